"""A draw from p(T): what a task shows (support) and what it asks (query)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Real
from torch import Tensor

from labkit.arguments import require_whole


def require_examples(side: str, x: Tensor, y: Tensor | None = None) -> None:
    """Check that x is [T, examples, ...] and y, if given, the targets [T, examples, C].

    Raises:
        TypeError: one of them is no tensor.
        ValueError: axes are missing, or the two do not begin alike.
    """
    for name, value in ((f"{side}_x", x), (f"{side}_y", y)):
        if not isinstance(value, Tensor) and (value is not None or name[-1] == "x"):
            raise TypeError(
                f"{name} is a {type(value).__name__} and must be a tensor: "
                "torch.as_tensor(values, dtype=torch.float32)."
            )
    if x.ndim < 2:
        raise ValueError(f"{side}_x {tuple(x.shape)} must be [tasks, examples, ...].")
    if y is None:
        return
    if x.shape[:2] != y.shape[:2]:
        raise ValueError(
            f"{side}_x {tuple(x.shape)} and {side}_y {tuple(y.shape)} must begin with "
            "the same [tasks, examples]."
        )
    if y.ndim < 3:
        raise ValueError(
            f"{side}_y {tuple(y.shape)} must be [tasks, examples, C]: for classes "
            "torch.nn.functional.one_hot(labels, C).float(), for regression "
            "y.unsqueeze(-1)."
        )
    if x.device != y.device:
        raise ValueError(
            f"{side}_x is on {x.device} and {side}_y on {y.device}: move one, or the "
            "whole episode by .to(device)."
        )


@dataclass(frozen=True)
class Episode:
    """A batch of T tasks, each with S support and Q query examples.

    Targets are vectors throughout: the value itself for regression (C = 1), a one-hot
    row for N-way classification (C = N). The number of classes is thus read off the
    shape, and a sum weighted by targets, which is what class means and attention over
    labels are, is one matrix product. Where x and y are text, they are sequences of
    tokens: whole numbers, one a place.

    Raises:
        TypeError: one of the four is no tensor.
        ValueError: they do not describe the same tasks, or targets are not vectors.
    """

    support_x: Real[Tensor, "T S ..."]
    support_y: Real[Tensor, "T S C"]
    query_x: Real[Tensor, "T Q ..."]
    query_y: Real[Tensor, "T Q C"]

    def __post_init__(self) -> None:
        require_examples("support", self.support_x, self.support_y)
        require_examples("query", self.query_x, self.query_y)
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

        if self.support_x.dtype != self.query_x.dtype:
            raise ValueError(
                f"support_x holds {self.support_x.dtype} and query_x "
                f"{self.query_x.dtype}: they must be alike, such as .float()."
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
        require_whole(1, size=size)
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
