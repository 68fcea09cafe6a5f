"""Meta-SGD (Li, Zhou, Chen & Li 2017): every weight learns its own inner rate.

    θ_k = θ_{k−1} − α ∘ ∇ L_T(θ_{k−1}) on the support                  (Algorithm 1)

with α of the shape of θ, learned together with θ by descent on the query loss. A rate
may become zero, so that its weight no longer adapts, or negative. Inner loop, loss,
order and normalisation are those of `maml`, which this is when every rate stays equal.

Deviations: α starts at `inner_rate` everywhere, where the paper draws it at random, and
`inner_steps` may exceed the paper's single step; the rates are the same at every step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.learners.maml import MAML
from labkit.networks.network import Network


class MetaSGD(MAML):
    """MAML with a learned rate for every parameter; the arguments are MAML's.

    Attributes:
        rates: α, one tensor a parameter of the network, in the order of its parameters.
    """

    def __init__(self, network: Network, **options: Any) -> None:
        super().__init__(network, **options)
        self.rates = nn.ParameterList(
            torch.full_like(parameter, self.inner_rate)
            for parameter in network.parameters()
        )

    def rate(self) -> dict[str, Tensor]:
        names = dict(self.network.named_parameters())
        return dict(zip(names, self.rates, strict=True))
