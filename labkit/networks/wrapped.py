"""Any `torch.nn.Module` as a network with a task axis: a ResNet of torchvision's, say.

With its own parameters the module is called as it is. With one set of parameters a task
`torch.func.vmap` calls it once for all tasks, and learners differentiate what comes
out; to differentiate within `vmap` would be silently wrong at second order where there
is batch normalisation (`labkit.learners.meta_gradients.second_order_error_of_vmap`).

Batch normalisation by the statistics of the input is computed by its definition while
the module runs, so that these statistics can be kept, to normalise queries as their
support, and so that running ones move by the mean over tasks, as those of `Conv4` do.

Recurrent layers of torch (LSTM, GRU, RNN and their cells) cannot be batched by `vmap`:
with one set of parameters a task they are refused.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from labkit.arguments import require_whole
from labkit.networks.network import Network, Parameters
from labkit.randomness import global_draws

MODULE, MEASURED = "module.", "measured."


class Wrapped(Network):
    """[..., example] → [..., features], whatever the module makes of [B, example].

    Normalisation: the module's. Dropout draws another mask for each task.

    Args:
        module: with an output [B, features]. It becomes part of the network, and is
            not copied.
        features: the length of the output vectors.
        axes: how many axes one example has: 3 for an image, 1 for a vector.

    Raises:
        TypeError: the module is none.
        ValueError: an output of another shape; one set of parameters a task for a
            module with recurrent layers; lazy layers, which have no parameters yet.
    """

    def __init__(self, module: nn.Module, *, features: int, axes: int) -> None:
        super().__init__()
        require_whole(1, features=features)
        require_whole(0, axes=axes)
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"{type(module).__name__} is no torch.nn.Module; Wrapped(module, "
                "features=..., axes=...) wraps one."
            )
        if any(nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
            raise ValueError(
                "The module has lazy layers, which get their parameters with the first "
                "input: call it once before it is wrapped."
            )
        self.module, self.features, self.axes = module, features, axes
        self.uses_batch_statistics = any(
            isinstance(part, _BatchNorm) and part.running_mean is None
            for part in module.modules()
        )

    def forward(
        self, x: Float[Tensor, "..."], parameters: Parameters | None = None
    ) -> Float[Tensor, "... features"]:
        if not isinstance(x, Tensor) or x.dtype != torch.int64:  # not of tokens
            self.parameters_for(x, parameters)
        if parameters is None:
            return self._vectors(self.module(self._examples(x, 0)), x)
        output, measured, running = self._call(x, parameters)
        if self.training:
            for number, update in running.items():
                if f"{number}.mean" in measured:  # and not given
                    update(measured[f"{number}.mean"], measured[f"{number}.var"])
        return output

    def batch_statistics(
        self, x: Float[Tensor, "..."], parameters: Parameters
    ) -> dict[str, Tensor]:
        measured = self._call(x, parameters)[1]
        return {MEASURED + name: value for name, value in measured.items()}

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A draw by the `reset_parameters` of every layer, as torch's layers have it.

        Raises:
            ValueError: a layer has parameters and no such method.
        """
        fresh, device = copy.deepcopy(self.module).cpu(), generator.device
        seed = torch.randint(2**62, (), generator=generator, device=device).item()
        draws = []
        with global_draws(int(seed), "Wrapped", device=torch.device("cpu")):
            for _ in range(math.prod(tasks)):
                _reset(fresh)
                draws.append([p.detach().clone() for p in fresh.parameters()])
        names = dict(self.named_parameters())
        return {
            name: torch.stack(drawn).view(*tasks, *drawn[0].shape).to(device)
            for name, drawn in zip(names, zip(*draws, strict=True), strict=True)
        }

    def _call(
        self, x: Float[Tensor, "..."], parameters: Parameters
    ) -> tuple[Float[Tensor, "... features"], dict[str, Tensor], dict[str, Update]]:
        """The output, the statistics measured on the way, and what they update."""
        if recurrent := [m for m in self.module.modules() if isinstance(m, RECURRENT)]:
            raise ValueError(
                f"torch computes {type(recurrent[0]).__name__} with its own parameters "
                "alone. Write the recurrence out of linear layers for a learner that "
                "adapts weights, such as MAML or FineTuning."
            )
        given = _without(MEASURED, parameters)
        weights = _without(MODULE, parameters)
        axes = {name: p.ndim for name, p in self.module.named_parameters()}
        where = {
            name: 0 if w.ndim > axes[name] else None for name, w in weights.items()
        }
        running: dict[str, Update] = {}

        def once(
            weights: Parameters, given: Parameters, x: Tensor
        ) -> tuple[Any, dict[str, Tensor]]:
            with Normalisation(given) as normalisation:
                output = functional_call(self.module, dict(weights), (x,))
            running.update(normalisation.running)
            return output, normalisation.measured

        if 0 not in where.values():
            output, measured = once(weights, given, self._examples(x, 0))
            return self._vectors(output, x), measured, running
        at_once = vmap(once, in_dims=(where, 0, 0), randomness="different")
        try:
            with sdpa_kernel(SDPBackend.MATH):  # the others cannot be differentiated
                output, measured = at_once(weights, given, self._examples(x, 1))
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise RuntimeError(
                f"{type(self.module).__name__} could not be computed with one set of "
                f"parameters a task ({reason}). Its operations must be known to "
                "torch.vmap, which runs it on all tasks at once."
            ) from error
        return self._vectors(output, x), measured, running

    def _examples(self, x: Tensor, task_axes: int) -> Tensor:
        """[..., example] as [B, example], or as [T, B, example]."""
        leading = x.ndim - self.axes
        if leading < 1 + task_axes:
            raise ValueError(
                f"An input {tuple(x.shape)} has {x.ndim} axes; examples of axes="
                f"{self.axes} come with {1 + task_axes} or more before their own."
            )
        shape = x.shape[:task_axes], x.shape[leading:]
        return x.reshape(*shape[0], x.shape[task_axes:leading].numel(), *shape[1])

    def _vectors(self, output: Any, x: Tensor) -> Float[Tensor, "... features"]:
        leading = x.shape[: x.ndim - self.axes]
        made = tuple(output.shape) if isinstance(output, Tensor) else type(output)
        if not (
            isinstance(output, Tensor)
            and output.shape[-1:] == (self.features,)
            and output.numel() == leading.numel() * self.features
        ):
            raise ValueError(
                f"{type(self.module).__name__} made {made} of {leading.numel()} "
                f"examples of axes={self.axes}, where [B, features={self.features}] "
                "is asked for. Does it need nn.Flatten at its end, or other numbers?"
            )
        return output.reshape(*leading, self.features)


class Normalisation(TorchFunctionMode):
    """Within it, batch normalisation by the statistics of the input is computed by its
    definition. Each has a number, in the order of calls.

    Attributes:
        given: statistics to be taken in place of the input's, by number.
        measured: those of the input.
        running: what they shall update afterwards, by number.
    """

    def __init__(self, given: Parameters) -> None:
        super().__init__()
        self.given = given
        self.measured: dict[str, Tensor] = {}
        self.running: dict[str, Update] = {}
        self.calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.batch_norm:
            func = self._batch_norm
        return func(*args, **kwargs or {})

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """`F.batch_norm`."""
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
        number, self.calls = str(self.calls), self.calls + 1
        mean, var = self._moments(number, x)
        if running_mean is not None and running_var is not None:
            n = x.numel() // x.shape[1]
            self.running[number] = _update(running_mean, running_var, momentum, n)
        mean, deviation = (
            moment.view(-1, *(1,) * (x.ndim - 2))
            for moment in (mean, (var + eps).sqrt())
        )
        x = (x - mean) / deviation
        for vector, combine in ((weight, torch.mul), (bias, torch.add)):
            if vector is not None:
                x = combine(x, vector.view(-1, *(1,) * (x.ndim - 2)))
        return x

    def _moments(self, number: str, x: Tensor) -> list[Tensor]:
        names = [f"{number}.mean", f"{number}.var"]
        if names[0] in self.given:
            return [self.given[name] for name in names]
        var, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        self.measured |= zip(names, (mean, var), strict=True)
        return [mean, var]


Update = Callable[[Tensor, Tensor], None]
"""Takes the moments of a batch, one set or [T, ...]."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def _update(mean: Tensor, var: Tensor, momentum: float, n: int) -> Update:
    """Move running statistics towards those of n numbers a channel, unbiased."""

    @torch.no_grad()
    def towards(batch_mean: Tensor, batch_var: Tensor) -> None:
        unbiased = batch_var * (n / (n - 1))
        for running, batch in ((mean, batch_mean), (var, unbiased)):
            running.lerp_(batch.view(-1, len(running)).mean(0), momentum)

    return towards


def _without(prefix: str, parameters: Parameters) -> dict[str, Tensor]:
    """Those whose name begins like that, by the rest of it."""
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def _reset(module: nn.Module) -> None:
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None)
        reset = reset or getattr(part, "_reset_parameters", None)
        if reset is not None:
            reset()
        elif next(part.parameters(recurse=False), None) is not None:
            raise ValueError(
                f"{type(part).__name__} has parameters of its own and no "
                "reset_parameters(), so that no fresh ones can be drawn. Give it this "
                "method, or take from_scratch=False."
            )
