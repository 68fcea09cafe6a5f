"""A network and a linear layer on its features: a classifier, or a regressor."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_whole
from labkit.networks.linear import linear
from labkit.networks.network import (
    Network,
    Parameters,
    require_network,
    uniform_fan_in,
)
from labkit.randomness import seeded

BODY = "body."


class WithHead(Network):
    """x → body(x) → linear → `outputs` numbers. Its parameters hold the body's too."""

    def __init__(self, body: Network, outputs: int, *, seed: int = 0) -> None:
        super().__init__()
        require_network(body)
        require_whole(1, outputs=outputs)
        self.body = body
        self.features = outputs
        self.uses_batch_statistics = body.uses_batch_statistics
        self.register(self._initial_head(generator=seeded(seed, "head")))

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        body = self.body.initial_parameters(*tasks, generator=generator)
        head = self._initial_head(*tasks, generator=generator)
        return head | {BODY + name: value for name, value in body.items()}

    def _initial_head(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        ins, outs = self.body.features, self.features
        return {
            "weight": uniform_fan_in(
                *tasks, outs, ins, fan_in=ins, generator=generator
            ),
            "bias": uniform_fan_in(*tasks, outs, fan_in=ins, generator=generator),
        }

    def forward(
        self, x: Float[Tensor, "..."], parameters: Parameters | None = None
    ) -> Float[Tensor, "... outputs"]:
        p = dict(self.named_parameters()) if parameters is None else parameters
        return linear(self.body(x, self.of_body(p)), p["weight"], p["bias"])

    def batch_statistics(
        self, x: Float[Tensor, "..."], parameters: Parameters
    ) -> dict[str, Tensor]:
        measured = self.body.batch_statistics(x, self.of_body(parameters))
        return {BODY + name: value for name, value in measured.items()}

    def of_body(self, parameters: Parameters) -> dict[str, Tensor]:
        """Those of the parameters that are the body's, by the names it knows."""
        return {
            name.removeprefix(BODY): value
            for name, value in parameters.items()
            if name.startswith(BODY)
        }
