"""What every network of the book is: a function of x and of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

Parameters = Mapping[str, Tensor]
"""Named as in `named_parameters()`; each may carry a leading task axis [T, ...]."""


class Network(nn.Module):
    """A function f(x, parameters).

    `network(x)` uses the network's own parameters on x with any leading axes.
    `network(x, parameters)` uses those given instead, which may be one set a task,
    every tensor [T, ...]: then x is [T, B, ...] and task t is computed with set t.

    Attributes:
        features: the length of the output vectors.
        example: the shape of one input, to be compared with what comes; None for any.
        uses_batch_statistics: in evaluation, too, an output depends on the other
            examples it is computed with. A learner whose queries pass through such a
            network is transductive.
    """

    features: int
    example: tuple[int, ...] | None = None
    uses_batch_statistics: bool = False

    def forward(
        self, x: Float[Tensor, "..."], parameters: Parameters | None = None
    ) -> Float[Tensor, "... features"]:
        raise NotImplementedError

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A fresh draw of all parameters, one for each task if T is given."""
        raise NotImplementedError

    def batch_statistics(
        self, x: Float[Tensor, "..."], parameters: Parameters
    ) -> dict[str, Tensor]:
        """What its normalisation measures on x, as further entries of `parameters`:
        with them the network normalises other inputs as it did x."""
        return {}

    def parameters_for(self, x: Tensor, parameters: Parameters | None) -> Parameters:
        """The parameters given, or its own; called at the beginning of `forward`.

        Raises:
            TypeError: x is no tensor, or of another type of number than the parameters.
            ValueError: an input of another shape than `example`, on another device, or
                for another number of tasks.
        """
        p = dict(self.named_parameters()) if parameters is None else parameters
        require_input(type(self).__name__, x, self.example, next(iter(p.values()), x))
        return p

    def call_with(
        self, parameters: Parameters, x: Float[Tensor, "..."]
    ) -> Float[Tensor, "... features"]:
        """`forward(x)` with these in place of its own, one set for all tasks: for a
        network whose layers know no task axis.

        Raises:
            ValueError: one set a task.
        """
        own = dict(self.named_parameters())
        if any(value.ndim > own[name].ndim for name, value in parameters.items()):
            raise ValueError(
                f"{type(self).__name__} takes one set of parameters for all tasks, and "
                "was given one for each. Conv4 and MLP take one for each, and "
                "labkit.networks.wrapped.Wrapped makes a network that does of layers "
                "of torch's."
            )
        return functional_call(self, dict(parameters), (x,))

    def register(self, parameters: Parameters) -> None:
        """Make these the network's own parameters."""
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))


def frozen(network: nn.Module) -> set[str]:
    """The names of the parameters that shall stay as they are."""
    return {
        name
        for name, parameter in network.named_parameters()
        if not parameter.requires_grad
    }


def require_network(network: object) -> None:
    """Raise TypeError if it is none, and say how to make one."""
    if not isinstance(network, Network):
        raise TypeError(
            f"{type(network).__name__} is no labkit.networks.network.Network, whose "
            "forward takes (x, parameters=None). labkit.networks.wrapped.Wrapped(module"
            ", features=..., axes=...) makes one of any torch.nn.Module, which it "
            "calls by torch.func.functional_call."
        )


def require_input(
    name: str, x: object, example: tuple[int, ...] | None, parameter: Tensor
) -> None:
    """Check that x is of examples of that shape, and computable with the parameter.

    Raises:
        TypeError: x is no tensor, or of another type of number than the parameter.
        ValueError: x is of another shape, or on another device.
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name} reads tensors and was given a {type(x).__name__}: "
            "torch.as_tensor(values, dtype=torch.float32)."
        )
    if example is not None and x.shape[x.ndim - len(example) :] != example:
        given = tuple(x.shape)
        remedy = "Give it such inputs, or make a network for these."
        if len(example) == 3 and x.ndim >= 3:
            remedy = (
                "Images are [..., channels, height, width]: resize them or take their "
                "mean over the channels, or make a network for channels and size."
            )
            if (*x.shape[-1:], *x.shape[-3:-1]) == example:
                remedy = "The channels come first: x.movedim(-1, -3)."
        raise ValueError(
            f"{name} reads examples of the shape {example}, the last axes of its "
            f"input, and was given {given}. {remedy}"
        )
    if not x.is_floating_point():
        raise TypeError(
            f"{name} computes with floating-point numbers and was given {x.dtype}: "
            "x.float(), and x.float() / 255 for pixels from 0 to 255."
        )
    if x.device != parameter.device:
        raise ValueError(
            f"{name} has its parameters on {parameter.device} and its input is on "
            f"{x.device}: move one of them by .to(device)."
        )
    if x.dtype != parameter.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f"{name} has parameters of {parameter.dtype} and its input is {x.dtype}: "
            "convert the input by x.to(dtype), or the learner by .to(dtype)."
        )


def uniform_fan_in(
    *shape: int, fan_in: int, generator: torch.Generator
) -> Float[Tensor, "..."]:
    """Uniform in ±1/√fan_in, PyTorch's default for linear and convolution weights."""
    draw = torch.rand(shape, generator=generator, device=generator.device)
    return (2 * draw - 1) * fan_in**-0.5
