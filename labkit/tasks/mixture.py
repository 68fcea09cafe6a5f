"""Tasks of several kinds in one batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from labkit.episode import Episode, TaskDistribution


@dataclass(frozen=True)
class Mixture:
    """Of every `sum(weights)` tasks, so many of each kind, in that order.

    All kinds must have tensors of the same shapes. Where the number of tasks is not a
    multiple, the first kinds have what is left over.

    Raises:
        ValueError: not one weight for each kind, a negative one, or all of them 0.
    """

    kinds: tuple[TaskDistribution, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.kinds) != len(self.weights):
            raise ValueError(
                f"{len(self.kinds)} kinds of tasks need as many weights, not "
                f"{len(self.weights)}."
            )
        if min(self.weights) < 0 or not any(self.weights):
            raise ValueError(
                f"weights={self.weights}: none may be negative, nor all of them 0."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """T tasks, kind after kind, of the shapes that all kinds share."""
        turns = [kind for kind, n in enumerate(self.weights) for _ in range(n)]
        counts = [0] * len(self.kinds)
        for task in range(n_tasks):
            counts[turns[task % len(turns)]] += 1
        parts = [
            kind.sample(count, generator=generator)
            for kind, count in zip(self.kinds, counts, strict=True)
            if count
        ]
        return Episode(
            *(
                torch.cat([getattr(part, field.name) for part in parts])
                for field in fields(Episode)
            )
        )
