"""A draw from p(T): what a task shows (support) and what it asks (query)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Real
from torch import Tensor


@dataclass(frozen=True)
class Episode:
    """A batch of T tasks, each with S support and Q query examples.

    Targets are vectors throughout: the value itself for regression (C = 1), a one-hot
    row for N-way classification (C = N). The number of classes is thus read off the
    shape, and a sum weighted by targets, which is what class means and attention over
    labels are, is one matrix product. Where x and y are text, they are sequences of
    tokens: whole numbers, one a place.

    Raises:
        ValueError: the four tensors do not describe the same tasks, or targets are not
            vectors.
    """

    support_x: Real[Tensor, "T S ..."]
    support_y: Real[Tensor, "T S C"]
    query_x: Real[Tensor, "T Q ..."]
    query_y: Real[Tensor, "T Q C"]

    def __post_init__(self) -> None:
        for side in ("support", "query"):
            x, y = getattr(self, f"{side}_x"), getattr(self, f"{side}_y")
            if x.shape[:2] != y.shape[:2]:
                raise ValueError(
                    f"{side}_x {tuple(x.shape)} and {side}_y {tuple(y.shape)} must "
                    "begin with the same [tasks, examples]."
                )
            if y.ndim < 3:
                raise ValueError(
                    f"{side}_y {tuple(y.shape)} must be [tasks, examples, C]: for "
                    "classes torch.nn.functional.one_hot(labels, C).float(), for "
                    "regression y.unsqueeze(-1)."
                )
        if self.support_x.shape[0] != self.query_x.shape[0]:
            raise ValueError(
                f"support holds {self.support_x.shape[0]} tasks and query "
                f"{self.query_x.shape[0]}: they must be the same tasks."
            )
        if self.support_y.shape[-1] != self.query_y.shape[-1]:
            raise ValueError(
                f"support targets have {self.support_y.shape[-1]} columns and query "
                f"targets {self.query_y.shape[-1]}: they must agree."
            )

    @property
    def n_tasks(self) -> int:
        return self.support_x.shape[0]

    @property
    def device(self) -> torch.device:
        return self.support_x.device

    def __getitem__(self, tasks: slice) -> Episode:
        """The episode of a slice of the tasks."""
        return Episode(*(getattr(self, field.name)[tasks] for field in fields(self)))

    def chunks(self, size: int) -> Iterator[Episode]:
        """The same tasks, at most `size` at a time."""
        for start in range(0, self.n_tasks, size):
            yield self[start : start + size]

    def to(self, device: torch.device | str) -> Episode:
        return Episode(
            *(getattr(self, field.name).to(device) for field in fields(self))
        )


@runtime_checkable
class TaskDistribution(Protocol):
    """p(T). Whatever can be sampled can be trained on and evaluated on."""

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks. They live on the generator's device."""
        ...
