"""MAML with TorchOpt 0.7.3, as in its own Omniglot example, but for this: that adds up
the losses of all tasks before it differentiates, which holds the graphs of all of them.

Raises:
    ImportError: on import, if TorchOpt or something it needs is not installed.
"""

# mypy: ignore-errors
# TorchOpt is not in the environment that is type-checked.

from __future__ import annotations

from collections.abc import Callable

import torchopt
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
    descent = torchopt.MetaSGD(model, lr=inner_rate)
    start = torchopt.extract_state_dict(model, by="reference", detach_buffers=True)
    state = torchopt.extract_state_dict(descent, by="reference")
    for task in episode.chunks(1):
        for _ in range(inner_steps):
            descent.step(loss(model(task.support_x[0]), task.support_y[0]))
        query_loss = loss(model(task.query_x[0]), task.query_y[0])
        (query_loss / episode.n_tasks).backward()
        torchopt.recover_state_dict(model, start)
        torchopt.recover_state_dict(descent, state)
