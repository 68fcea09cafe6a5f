"""Model-agnostic meta-learning (Finn, Abbeel & Levine 2017): θ' is a few steps from θ.

    θ' = θ − α ∇θ L_T(f_θ)           on the support set, `inner_steps` times   (eq. 1)

and θ itself descends on the query loss of θ' (§2.2, Algorithm 1), which `meta_train`
does: its gradient passes through the inner gradients, unless `first_order`. Inner loss:
as given, so that its reduction is the one the reader sees. Normalisation: that of the
network; with batch statistics the learner is transductive.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.learners.inner_loop import gradient_steps
from labkit.learners.learner import Learner
from labkit.networks.network import Network
from labkit.objective import Score


class MAML(Learner):
    """Learn an initialisation from which a few gradient steps suffice.

    loss: of a task's support predictions, one number a task.
    inner_rate: α, the same at every step and for every parameter.
    first_order: take the inner gradients for constants when θ is updated.
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: Score,
        inner_steps: int,
        inner_rate: float,
        first_order: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.inner_steps, self.inner_rate = inner_steps, inner_rate
        self.first_order = first_order
        if network.uses_batch_statistics:
            self.normalisation = "transductive"

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> dict[str, Tensor]:
        """The fast weights, one set a task. Under `torch.no_grad()` they are detached
        from θ, and no second-order graph is built."""
        T = support_x.shape[0]
        theta = {
            name: value.expand(T, *value.shape)
            for name, value in self.network.named_parameters()
        }
        recording = torch.is_grad_enabled()
        if not recording:
            theta = {name: value.requires_grad_() for name, value in theta.items()}
        return gradient_steps(
            self.network,
            theta,
            support_x,
            support_y,
            loss=self.loss,
            steps=self.inner_steps,
            rate=self.inner_rate,
            second_order=recording and not self.first_order,
        )

    def predict(
        self, adapted: dict[str, Tensor], query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        return self.network(query_x, adapted)
