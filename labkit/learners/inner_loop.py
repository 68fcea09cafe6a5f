"""Gradient descent on the support sets of T tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.networks.network import Parameters
from labkit.objective import Score, one_a_task


def gradient_descent(
    function: Callable[[Tensor, Parameters], Tensor],
    parameters: Parameters,
    x: Float[Tensor, "T S ..."],
    y: Float[Tensor, "T S C"],
    *,
    loss: Score,
    steps: int,
    rate: float | Mapping[str, Tensor],
    second_order: bool,
    clip_norm: float | None = None,
    frozen: Collection[str] = (),
) -> Iterator[dict[str, Tensor]]:
    """The path θ_0, θ_1, …, θ_steps of θ ← θ − rate · ∇θ L_T(θ) for each task.

    θ_0 is the `parameters` given, each [T, ...], and `function(x, θ)` the prediction.
    Those named in `frozen` stay as they are.
    A rate is one number, or for each parameter a tensor of its shape without T. With
    `clip_norm`, a task's gradient that is longer is scaled down to that length first.

    With `second_order` every θ_k is a differentiable function of θ_0 and of the rates;
    otherwise the gradients in it count as constants. Under `torch.no_grad()` nothing
    is kept from one step to the next, so that memory does not grow with the steps.

    Raises:
        ValueError: the loss does not depend on some parameter, or is not one number
            for each task; all parameters are frozen.
    """
    kept = {name: value for name, value in parameters.items() if name in frozen}
    theta = {name: value for name, value in parameters.items() if name not in frozen}
    if steps and not theta:
        raise ValueError(
            "All parameters are frozen by requires_grad_(False), so that nothing can "
            "adapt. Free those that shall; evaluation needs none of them frozen."
        )
    for _ in range(steps):
        yield kept | theta
        gradients = _gradients(function, theta, kept, x, y, loss, second_order)
        if clip_norm is not None:
            gradients = _clip(gradients, clip_norm)
        theta = {
            name: value - (rate[name] if isinstance(rate, Mapping) else rate) * gradient
            for (name, value), gradient in zip(theta.items(), gradients, strict=True)
        }
    yield kept | theta


def _gradients(
    function: Callable[[Tensor, Parameters], Tensor],
    theta: Parameters,
    kept: Parameters,
    x: Float[Tensor, "T S ..."],
    y: Float[Tensor, "T S C"],
    loss: Score,
    second_order: bool,
) -> tuple[Tensor, ...]:
    """∇θ L_T(θ) of each task, in the order of θ.

    There is no loop over tasks: the gradient of the sum of their losses holds, in its
    row t, the gradient of task t's loss alone, because no other loss depends on that
    row.
    """
    # Tensors of inference mode have no gradients; copies do. (The compiler, which never
    # runs in that mode, cannot read the question.)
    if not torch.compiler.is_compiling() and torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            theta = {name: value.clone() for name, value in theta.items()}
            kept = {name: value.clone() for name, value in kept.items()}
            return _gradients(
                function, theta, kept, x.clone(), y.clone(), loss, second_order
            )
    recording = torch.is_grad_enabled()
    with torch.enable_grad():
        at = {
            name: value
            if recording and value.requires_grad
            else value.detach().requires_grad_()
            for name, value in theta.items()
        }
        total = one_a_task(loss(function(x, {**kept, **at}), y), len(x)).sum()
        gradients: tuple[Tensor | None, ...] = (None,) * len(at)
        if total.requires_grad:
            gradients = torch.autograd.grad(
                total,
                list(at.values()),
                create_graph=recording and second_order,
                allow_unused=True,
            )
    unused = [name for name, g in zip(at, gradients, strict=True) if g is None]
    if unused:
        raise ValueError(
            f"The loss on the support does not depend on {', '.join(unused)}: there is "
            "no gradient to descend. Does the network compute with the parameters it "
            "is given, and the loss without .detach(), .argmax() or torch.no_grad()?"
        )
    return tuple(gradient for gradient in gradients if gradient is not None)


def _clip(gradients: tuple[Tensor, ...], longest: float) -> tuple[Tensor, ...]:
    """Each task's gradient, over all parameters together, at most so long."""
    rows = [gradient.reshape(len(gradient), -1) for gradient in gradients]
    squares = torch.stack([row.square().sum(1) for row in rows]).sum(0)
    factor = longest / squares.clamp_min(longest**2).sqrt()
    return tuple(g * factor.view(-1, *(1,) * (g.ndim - 1)) for g in gradients)
