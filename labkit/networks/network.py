"""What every network of the book is: a function of x and of its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

Parameters = Mapping[str, Tensor]
"""Named as in `named_parameters()`; each may carry a leading task axis [T, ...]."""


class Network(nn.Module):
    """A function f(x, parameters).

    `network(x)` uses the network's own parameters on x with any leading axes.
    `network(x, parameters)` uses those given instead, which may be one set a task,
    every tensor [T, ...]: then x is [T, B, ...] and task t is computed with set t.

    Attributes:
        features: the length of the output vectors.
        uses_batch_statistics: in evaluation, too, an output depends on the other
            examples it is computed with. A learner whose queries pass through such a
            network is transductive.
    """

    features: int
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

    def register(self, parameters: Parameters) -> None:
        """Make these the network's own parameters."""
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))


def require_network(network: object) -> None:
    """Raise TypeError if it is none, and say how to make one."""
    if not isinstance(network, Network):
        raise TypeError(
            f"{type(network).__name__} is no labkit.networks.network.Network, whose "
            "forward takes (x, parameters=None). Derive it from Network; given "
            "parameters, torch.func.functional_call(self, dict(parameters), (x,)) is "
            "what an ordinary forward makes of them."
        )


def uniform_fan_in(
    *shape: int, fan_in: int, generator: torch.Generator
) -> Float[Tensor, "..."]:
    """Uniform in ±1/√fan_in, PyTorch's default for linear and convolution weights."""
    draw = torch.rand(shape, generator=generator, device=generator.device)
    return (2 * draw - 1) * fan_in**-0.5
