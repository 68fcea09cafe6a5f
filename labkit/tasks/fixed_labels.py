"""Few-shot tasks that can be learned by heart (Yin et al. 2020): labels never change.

The classes are in N groups, a task takes one class of each, and the label of a class is
its group. Tasks differ, and yet one function answers them all, without their support:
they are not *mutually exclusive* (section 3 there). `permuted=True` numbers the classes
of every task anew, as `FewShot` does, and changes nothing else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from labkit.episode import Episode
from labkit.tasks.characters import CharacterSet, FewShot


@dataclass(frozen=True)
class FixedLabels:
    """N-way tasks, for N groups of classes, ordered by group: x is [T, N · n, 1, H, W].

    The same generator draws the same drawings whether labels are permuted or not.

    Raises:
        ValueError: there is no group, a group has not enough drawings of each class, a
            class is in two groups, or the groups have images of several sizes.
    """

    groups: tuple[CharacterSet, ...]
    shot: int = 1
    query: int = 5
    permuted: bool = False

    def __post_init__(self) -> None:
        if not self.groups:
            raise ValueError("groups is empty: each label needs a group of classes.")
        for group in self.groups:
            FewShot(group, 1, self.shot, self.query)
        sizes = sorted({tuple(group.images.shape[2:]) for group in self.groups})
        if len(sizes) > 1:
            raise ValueError(
                f"The groups have images of {sizes} pixels: they must agree. Use "
                "resize to bring all to one size."
            )
        names = Counter(name for group in self.groups for name in group.names)
        shared = [name for name, n in names.items() if n > 1]
        if shared:
            raise ValueError(
                f"{len(shared)} classes are in several groups, first {shared[0]!r}: "
                "each has one label, so it belongs to one group."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """x [T, S, 1, H, W] and [T, Q, 1, H, W], targets one-hot over the groups."""
        parts = [
            FewShot(group, 1, self.shot, self.query).sample(
                n_tasks, generator=generator
            )
            for group in self.groups
        ]
        way = len(parts)
        keys = torch.rand(n_tasks, way, generator=generator, device=generator.device)
        labels = torch.eye(way, device=generator.device)
        labels = (
            labels[keys.argsort(-1)]
            if self.permuted
            else labels.expand(n_tasks, way, way)
        )
        return Episode(
            torch.cat([part.support_x for part in parts], 1),
            labels.repeat_interleave(self.shot, 1),
            torch.cat([part.query_x for part in parts], 1),
            labels.repeat_interleave(self.query, 1),
        )
