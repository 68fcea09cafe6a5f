"""Tasks of several kinds in one batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from labkit.episode import Episode, TaskDistribution
from labkit.tasks.checks import require_tasks


@dataclass(frozen=True)
class Mixture:
    """Of every `sum(weights)` tasks, so many of each kind, in that order.

    All kinds must have tensors of the same shapes. Where the number of tasks is not a
    multiple, the first kinds have what is left over.

    Raises:
        ValueError: not one weight for each kind, or one that is no whole number or
            negative, or all of them 0, or a kind cannot be sampled.
    """

    kinds: tuple[TaskDistribution, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.kinds) != len(self.weights):
            raise ValueError(
                f"{len(self.kinds)} kinds of tasks need as many weights, not "
                f"{len(self.weights)}."
            )
        whole = all(isinstance(weight, int) for weight in self.weights)
        if not whole or not any(self.weights) or min(self.weights) < 0:
            raise ValueError(
                f"weights={self.weights} must be whole numbers, so many tasks of each "
                "kind: none may be negative, nor all of them 0."
            )
        require_tasks(**{f"kinds[{i}]": kind for i, kind in enumerate(self.kinds)})

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """T tasks, kind after kind, of the shapes that all kinds share.

        Raises:
            ValueError: the kinds do not share their shapes.
        """
        turns = [kind for kind, n in enumerate(self.weights) for _ in range(n)]
        counts = [0] * len(self.kinds)
        for task in range(n_tasks):
            counts[turns[task % len(turns)]] += 1
        parts = [
            kind.sample(count, generator=generator)
            for kind, count in zip(self.kinds, counts, strict=True)
            if count
        ]
        shapes = [
            [list(getattr(part, field.name).shape[1:]) for field in fields(Episode)]
            for part in parts
        ]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                "All kinds of a Mixture must have support and query, x and y, of the "
                f"same shapes, and a task has {' or '.join(map(str, shapes))}."
            )
        return Episode(
            *(
                torch.cat([getattr(part, field.name) for part in parts])
                for field in fields(Episode)
            )
        )
