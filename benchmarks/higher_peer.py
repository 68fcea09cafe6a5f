"""MAML with higher 0.2.1, as in its own Omniglot example.

Raises:
    ImportError: on import, if higher is not installed.
"""

# mypy: ignore-errors
# higher is not in the environment that is type-checked.

from __future__ import annotations

from collections.abc import Callable

import higher
import torch
from torch import Tensor, nn

from labkit.episode import Episode


def meta_gradient(
    model: nn.Module,
    episode: Episode,
    loss: Callable[[Tensor, Tensor], Tensor],
    inner_steps: int,
    inner_rate: float,
) -> None:
    """Add the gradient of the mean query loss to the `.grad` of the parameters."""
    inner = torch.optim.SGD(model.parameters(), lr=inner_rate)
    for task in episode.chunks(1):
        with higher.innerloop_ctx(model, inner, copy_initial_weights=False) as (
            fast,
            descent,
        ):
            for _ in range(inner_steps):
                descent.step(loss(fast(task.support_x[0]), task.support_y[0]))
            query_loss = loss(fast(task.query_x[0]), task.query_y[0])
            (query_loss / episode.n_tasks).backward()
