"""The same tasks with something done to them before a learner sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from labkit.episode import Episode, TaskDistribution
from labkit.tasks.checks import require_tasks


@dataclass(frozen=True)
class Changed:
    """Episodes of `tasks` after `change`, which may draw from the generator given.

    That one is a copy. So the tasks of a seed are those that it draws without a change,
    and what two changes do can be compared task by task.

    Raises:
        ValueError: `tasks` cannot be sampled.
    """

    tasks: TaskDistribution
    change: Callable[[Episode, torch.Generator], Episode]

    def __post_init__(self) -> None:
        require_tasks(tasks=self.tasks)

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Episodes of the shapes that `change` gives them."""
        episode = self.tasks.sample(n_tasks, generator=generator)
        return self.change(episode, generator.clone_state())
