"""Scales.

    s = f · x

Nothing else.
"""

from dataclasses import dataclass


@dataclass
class Scale:
    """Stretches numbers.

    factor: by how much.
    """

    factor: float = 2.0

    def apply(self, x: float) -> float:
        """The stretched number.

        Raises:
            ValueError: if `x` is negative.
        """
        if x < 0:
            raise ValueError
        return self.factor * x


def rescale(x: float) -> float:
    """Twice `x`, as `Scale` does."""
    return Scale().apply(x)


def _hidden() -> None:
    """Not for others."""
