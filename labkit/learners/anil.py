"""Almost no inner loop (Raghu, Raghu, Bengio & Vinyals 2020): the head alone adapts.

    θ = (body φ, head w),   w_k = w_{k−1} − α ∇_w L_T(φ, w_{k−1}) on the support   (§4)

and θ' = (φ, w_K). The body is the same for every task and passed once, whatever K is.
It learns all the same: the query loss reaches φ through the query's features and, in
second order, through the support's, from which w_K was made. Inner loop, loss and
normalisation are those of `maml`. With `first_order` the second of these ways is shut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor

from labkit.learners.inner_loop import gradient_descent
from labkit.learners.maml import MAML
from labkit.networks.linear import linear
from labkit.networks.network import Parameters, frozen
from labkit.networks.with_head import WithHead

HEAD = ("weight", "bias")


class ANIL(MAML):
    """MAML whose inner loop leaves the body as it is; the arguments are MAML's.

    Around the network of a trained `MAML`, it is the control experiment: how much is
    lost if at test time the body may not adapt?
    """

    network: WithHead

    def __init__(self, network: WithHead, **options: Any) -> None:
        super().__init__(network, **options)

    def descent(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Iterator[dict[str, Tensor]]:
        theta = self.start(support_x.shape[0])
        features = self.network.body(support_x, self.network.of_body(theta))
        heads = gradient_descent(
            _head,
            {name: theta[name] for name in HEAD},
            features,
            support_y,
            loss=self.loss,
            steps=self.inner_steps,
            rate=self.rate(),
            second_order=not self.first_order,
            clip_norm=self.inner_clip_norm,
            frozen=frozen(self.network),
        )
        return (theta | head for head in heads)


def _head(features: Float[Tensor, "T S D"], p: Parameters) -> Float[Tensor, "T S C"]:
    return linear(features, p["weight"], p["bias"])
