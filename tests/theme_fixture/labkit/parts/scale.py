"""Scales.

    s = f · x

Nothing else.
"""

from dataclasses import dataclass


@dataclass
class Scale:
    """Stretches numbers.

    Attributes:
        factor: By how much.
    """

    factor: float = 2.0

    def apply(self, x: float) -> float:
        """The stretched number.

        Args:
            x: What to stretch,
                as it is.

        Returns:
            The product: `factor` times `x`.

        Raises:
            ValueError: if `x` is negative.
        """
        if x < 0:
            raise ValueError
        return self.factor * x


def rescale(x: float) -> float:
    """Twice `x`, as `Scale` does.

    - It is *fast*.
    - It is exact.

    Example:
        >>> rescale(1)
        2.0

    Note:
        Nothing is stored.
    """
    return Scale().apply(x)


def _hidden() -> None:
    """Not for others."""
