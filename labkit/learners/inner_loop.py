"""Gradient descent on the support sets of T tasks at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.networks.network import Network, Parameters
from labkit.objective import Score


def gradient_steps(
    network: Network,
    parameters: Parameters,
    x: Float[Tensor, "T S ..."],
    y: Float[Tensor, "T S C"],
    *,
    loss: Score,
    steps: int,
    rate: float,
    second_order: bool,
) -> dict[str, Tensor]:
    """Each task's parameters [T, ...] after `steps` steps θ ← θ − rate · ∇θ L_T(θ).

    There is no loop over tasks: the gradient of the sum of their losses holds, in its
    row t, the gradient of task t's loss alone, because no other loss depends on that
    row. The result is a differentiable function of the `parameters` that came in;
    without `second_order` the gradients in it count as constants.
    """
    with torch.enable_grad():
        for _ in range(steps):
            task_losses = loss(network(x, parameters), y)
            gradients = torch.autograd.grad(
                task_losses.sum(),
                list(parameters.values()),
                create_graph=second_order,
            )
            parameters = {
                name: value - rate * gradient
                for (name, value), gradient in zip(
                    parameters.items(), gradients, strict=True
                )
            }
    return dict(parameters)
