"""No embedding: an example as it is, be it pixels or features computed beforehand."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_whole
from labkit.networks.network import Network, Parameters


class Flat(Network):
    """[T, L, ...] → [T, L, features]: the network without parameters."""

    def __init__(self, *, features: int) -> None:
        super().__init__()
        require_whole(1, features=features)
        self.features = features

    def forward(
        self, x: Float[Tensor, "T L ..."], parameters: Parameters | None = None
    ) -> Float[Tensor, "T L features"]:
        self.parameters_for(x, parameters)
        return x.flatten(2)

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        return {}
