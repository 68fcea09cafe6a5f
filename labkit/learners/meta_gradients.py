"""The meta-gradient of MAML, four times: one answer, each rung faster than the last.

Every function takes a `MAML` learner and an episode, and gives ∇θ of the mean over
tasks of the query loss after adaptation, by parameter name. The first is Algorithm 1 of
Finn et al. (2017) written as it reads; `tests/test_ladder.py` holds the others to it.
Where the network normalises by the batch, queries are by their own (transductive).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.compiler import config as compiler
from torch.func import grad, vmap
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learners.maml import MAML
from labkit.networks.conv_block import EPSILON
from labkit.networks.network import Parameters, frozen
from labkit.objective import meta_loss
from labkit.randomness import seeded

Gradient = dict[str, Tensor]


class NoCompilerError(RuntimeError):
    """`torch.compile` needs a C++ compiler, and there is none."""


def meta_gradient_by_loop(learner: MAML, episode: Episode) -> Gradient:
    """Task after task, step after step: the reference.

    Raises:
        ValueError: a learner of another rule than Algorithm 1's.
    """
    _require_plain(learner)
    network = learner.network
    theta: dict[str, Tensor] = dict(network.named_parameters())
    total = episode.query_y.new_zeros(())
    for task in episode.chunks(1):
        fast = theta
        for _ in range(learner.inner_steps):
            loss = learner.loss(network(task.support_x, fast), task.support_y).sum()
            gradients = torch.autograd.grad(
                loss, list(fast.values()), create_graph=True
            )
            fast = {
                name: value - learner.inner_rate * gradient
                for (name, value), gradient in zip(fast.items(), gradients, strict=True)
            }
        total = total + learner.loss(network(task.query_x, fast), task.query_y).sum()
    mean = total / episode.n_tasks
    gradients = torch.autograd.grad(mean, list(theta.values()))
    return dict(zip(theta, gradients, strict=True))


def meta_gradient_by_vmap(learner: MAML, episode: Episode) -> Gradient:
    """One task as a pure function; `vmap` runs it on all, `grad` differentiates it.

    The network must be made of operations that `vmap` knows how to batch, and to batch
    correctly: see `second_order_error_of_vmap`. Those of Conv4 are not among them.

    Raises:
        ValueError: a learner of another rule than Algorithm 1's.
    """
    _require_plain(learner)
    network = learner.network

    def loss_on(
        parameters: Parameters, x: Float[Tensor, "n ..."], y: Float[Tensor, "n C"]
    ) -> Float[Tensor, ""]:
        return learner.loss(network(x, parameters)[None], y[None]).squeeze(0)

    def query_loss(
        theta: Parameters,
        support_x: Float[Tensor, "S ..."],
        support_y: Float[Tensor, "S C"],
        query_x: Float[Tensor, "Q ..."],
        query_y: Float[Tensor, "Q C"],
    ) -> Float[Tensor, ""]:
        fast = dict(theta)
        for _ in range(learner.inner_steps):
            gradients = grad(loss_on)(fast, support_x, support_y)
            fast = {
                name: value - learner.inner_rate * gradients[name]
                for name, value in fast.items()
            }
        return loss_on(fast, query_x, query_y)

    def mean_query_loss(theta: Parameters) -> Float[Tensor, ""]:
        return vmap(query_loss, in_dims=(None, 0, 0, 0, 0))(
            theta,
            episode.support_x,
            episode.support_y,
            episode.query_x,
            episode.query_y,
        ).mean()

    theta = {name: value.detach() for name, value in network.named_parameters()}
    return grad(mean_query_loss)(theta)


def meta_gradient_by_task_axis(learner: MAML, episode: Episode) -> Gradient:
    """What labkit does: every parameter and every tensor of data is [T, ...].

    `learner.adapt` differentiates the sum of the support losses of all tasks, whose
    gradient is each task's own, because no task's loss depends on another's weights.
    """
    theta = dict(learner.network.named_parameters())
    loss = meta_loss(learner, episode, learner.loss)
    gradients = torch.autograd.grad(loss, list(theta.values()))
    return dict(zip(theta, gradients, strict=True))


def _require_plain(learner: MAML) -> None:
    changed = learner.first_order or learner.inner_clip_norm is not None
    if changed or frozen(learner.network) or type(learner) is not MAML:
        raise ValueError(
            "This rung is written for second-order MAML with one rate, no clipping and "
            "no frozen weights. meta_gradient_by_task_axis takes every member of the "
            "family."
        )


_compiled = torch.compile(meta_gradient_by_task_axis, fullgraph=True)


def meta_gradient_compiled(learner: MAML, episode: Episode) -> Gradient:
    """The task axis again, translated to machine code at the first call (some 20 s).

    The inner and the outer gradient are traced into one graph. To compile the network
    alone would not do: what `torch.compile` returns can be differentiated only once.

    Translations are kept on disk for each kind of processor by itself: torch finds one
    by its graph alone, and what was made for AVX-512 is no program under AVX2.

    Raises:
        NoCompilerError: there is no C++ compiler.
        RuntimeError: the learner cannot be translated.
    """
    processor = torch.backends.cpu.get_cpu_capability()
    try:
        with (
            torch._dynamo.config.patch(trace_autograd_ops=True),
            compiler.patch(cache_key_tag=processor),  # type: ignore[attr-defined]
        ):
            return _compiled(learner, episode)
    except torch._dynamo.exc.TorchDynamoException as error:
        instead = "meta_gradient_by_task_axis computes the same without."
        if not _compiler_works():
            raise NoCompilerError(
                "torch.compile needs a C++ compiler (on Debian: apt install g++), and "
                f"none was found that works. {instead}"
            ) from error
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise RuntimeError(
            f"torch.compile could not translate the meta-gradient ({reason.strip()}). "
            f"The C++ compiler works. {instead}"
        ) from error


def _compiler_works() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, OSError):
        return False
    return True


def second_order_error_of_vmap(
    normalise: Callable[[Tensor, Tensor], Tensor],
) -> float:
    """How wrong `grad(vmap(grad))` is through `normalise`, relative to a Python loop.

    Three tasks in double precision; weights, normalisation with a scale, ReLU and a
    sum; one inner step on weights and scale. With `torch_batch_norm` the meta-gradient
    of the weights is wrong by half and nothing says so, although the gradients of
    each task, `vmap(grad)`, are right. With `written_batch_norm`, the same
    function of the same numbers, it is right.
    """
    source = seeded(0)
    x, z, y, weight, scale = (
        torch.randn(shape, generator=source, dtype=torch.float64)
        for shape in [(3, 5, 4), (3, 5, 4), (3, 5), (6, 4), (6,)]
    )

    def loss(theta: tuple[Tensor, Tensor], x: Tensor, y: Tensor) -> Tensor:
        weight, scale = theta
        prediction = normalise(x @ weight.T, scale).relu().sum(-1)
        return (prediction - y).square().mean()

    def query_loss(weight: Tensor, x: Tensor, z: Tensor, y: Tensor) -> Tensor:
        of_weight, of_scale = grad(loss)((weight, scale), x, y)
        return loss((weight - 0.1 * of_weight, scale - 0.1 * of_scale), z, y)

    def mean_query_loss(weight: Tensor) -> Tensor:
        return vmap(query_loss, in_dims=(None, 0, 0, 0))(weight, x, z, y).mean()

    by_vmap = grad(mean_query_loss)(weight)
    tasks = zip(x, z, y, strict=True)
    by_loop = torch.stack([grad(query_loss)(weight, *task) for task in tasks]).mean(0)
    return ((by_vmap - by_loop).norm() / by_loop.norm()).item()


def torch_batch_norm(
    h: Float[Tensor, "n features"], scale: Float[Tensor, " features"]
) -> Float[Tensor, "n features"]:
    """As PyTorch's layer does in training mode."""
    return F.batch_norm(h, None, None, scale, training=True)


def written_batch_norm(
    h: Float[Tensor, "n features"], scale: Float[Tensor, " features"]
) -> Float[Tensor, "n features"]:
    """The same, written out."""
    return scale * (h - h.mean(0)) / (h.var(0, unbiased=False) + EPSILON).sqrt()
