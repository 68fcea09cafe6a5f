"""A stream of examples in random order, each to be classified before its label comes.

Santoro et al. (2016), section 2 and 4.1: five classes, ten drawings of each, 50 steps;
labels are one-hot and mean something else in every task. How the label arrives one step
late is the learner's business; the task only fixes the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode, TaskDistribution


@dataclass(frozen=True)
class Stream:
    """The tasks of `tasks`, their support in a random order, another one each.

    Stream(FewShot(characters, way=5, shot=10, query=1)) is the published protocol: the
    support is the stream. The query, one more drawing of each class, asks what has been
    learned by its end.
    """

    tasks: TaskDistribution

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Episodes of the shapes of `tasks`, each support in an order of its own."""
        e = self.tasks.sample(n_tasks, generator=generator)
        keys = torch.rand(
            e.support_y.shape[:2], generator=generator, device=generator.device
        )
        order = keys.argsort(1)
        return Episode(
            _in_order(e.support_x, order),
            _in_order(e.support_y, order),
            e.query_x,
            e.query_y,
        )


def _in_order(
    of_each_task: Float[Tensor, "T S ..."], order: Tensor
) -> Float[Tensor, "T S ..."]:
    task = torch.arange(len(order), device=order.device)
    return of_each_task[task[:, None], order]
