"""The multilayer perceptron; 2 × 40 is the sinusoid network of Finn et al. (2017)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.networks.linear import linear
from labkit.networks.network import Network, Parameters, uniform_fan_in
from labkit.randomness import seeded


class MLP(Network):
    """Linear layers with ReLU between them: inputs → hidden... → outputs.

    Initialised as PyTorch does by default, from `seed` alone. Finn et al. (2017) draw
    weights from a truncated normal and start biases at zero instead.

    Args:
        relu_last: a ReLU after the last layer too, for a body that is to get a head.
    """

    def __init__(
        self,
        inputs: int = 1,
        hidden: Sequence[int] = (40, 40),
        outputs: int = 1,
        *,
        relu_last: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for width in (inputs, *hidden, outputs):
            require_whole(1, width=width)
        self.relu_last = relu_last
        self.widths = (inputs, *hidden, outputs)
        self.example, self.features = (inputs,), outputs
        self.register(self.initial_parameters(generator=seeded(seed, "MLP")))

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        parameters = {}
        for layer, (ins, outs) in enumerate(pairwise(self.widths)):
            for name, shape in (("weight", (outs, ins)), ("bias", (outs,))):
                parameters[f"{name}{layer}"] = uniform_fan_in(
                    *tasks, *shape, fan_in=ins, generator=generator
                )
        return parameters

    def forward(
        self, x: Float[Tensor, "... inputs"], parameters: Parameters | None = None
    ) -> Float[Tensor, "... outputs"]:
        p = self.parameters_for(x, parameters)
        last = len(self.widths) - 2
        for layer in range(last):
            x = F.relu(linear(x, p[f"weight{layer}"], p[f"bias{layer}"]))
        x = linear(x, p[f"weight{last}"], p[f"bias{last}"])
        return F.relu(x) if self.relu_last else x
