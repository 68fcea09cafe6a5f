"""Model-agnostic meta-learning (Finn, Abbeel & Levine 2017): θ' is a few steps from θ.

    θ_0 = θ,  θ_k = θ_{k−1} − α ∇ L_T(θ_{k−1}) on the support,  θ' = θ_K   (Algorithm 1)

and θ descends on the query loss of θ' (eq. 1), which `meta_train` does, with Adam.

Inner loop: `inner_steps` = K full-batch steps at `inner_rate` = α, the same for every
parameter. Loss: as given, the same one inside, on the support, and outside, on the
query. Those of `labkit.objective` average over a task's examples, where eq. 2 and 3
sum. The published code averages in regression, and in N-way classification divides by
the shots alone, so that its 0.4 is 0.4 N here. `meta_train` averages over tasks, where
eq. 1 sums. Order: the meta-gradient passes through the inner gradients, unless
`first_order` takes them for constants (FOMAML, §5.2).

Normalisation: in the inner loop by the statistics of the task's own support. The query
is normalised by the support's too, under θ' (inductive), or by its own (transductive).
The published code is transductive; here that has to be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_real, require_whole
from labkit.episode import Episode
from labkit.learner import Learner, Normalisation
from labkit.learners.inner_loop import gradient_descent
from labkit.networks.network import Network, frozen, require_network
from labkit.objective import Score


class MAML(Learner):
    """Learn an initialisation from which a few gradient steps suffice.

    Parameters frozen by `requires_grad_(False)` do not adapt.

    Args:
        loss: of a task's predictions on its support, one number a task.
        inner_steps: K. It may be set to another number on a trained learner, to adapt
            for longer than in training; with 0 steps, θ' = θ and training is joint
            training.
        inner_clip_norm: the longest gradient a task may have in the inner loop; a
            longer one is scaled down, so that no task is thrown far. The paper has
            none.
        normalisation: may be set on a trained learner as well, to judge one set of
            weights under both protocols. It matters to networks that use batch
            statistics. One that keeps running statistics uses those in evaluation and
            is inductive.

    Raises:
        TypeError: a network that is no `Network`.
        ValueError: a negative number of steps, or a number that is none; another word
            for the normalisation, or "transductive" with a network whose predictions
            do not depend on each other anyway.
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: Score,
        inner_steps: int,
        inner_rate: float,
        first_order: bool = False,
        inner_clip_norm: float | None = None,
        normalisation: Normalisation = "inductive",
    ) -> None:
        super().__init__()
        require_network(network)
        if normalisation not in get_args(Normalisation):
            raise ValueError(
                f"normalisation={normalisation!r}: it is one of "
                f"{', '.join(get_args(Normalisation))}."
            )
        require_whole(0, inner_steps=inner_steps)
        require_real(inner_rate=inner_rate)
        require_real(above=0.0, inner_clip_norm=inner_clip_norm)
        if normalisation == "transductive" and not network.uses_batch_statistics:
            raise ValueError(
                'normalisation="transductive" needs a network that normalises by the '
                "batch in evaluation too, such as Conv4(track_running_stats=False)."
            )
        self.network = network
        self.loss = loss
        self.inner_steps, self.inner_rate = inner_steps, inner_rate
        self.first_order, self.inner_clip_norm = first_order, inner_clip_norm
        self.normalisation = normalisation

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> dict[str, Tensor]:
        """θ', one set of fast weights a task. Under `torch.no_grad()` they are detached
        from θ, and no second-order graph is built."""
        for theta in self.descent(support_x, support_y):
            adapted = theta
        return self.with_statistics(adapted, support_x)

    def path(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> list[dict[str, Tensor]]:
        """All of θ_0, θ_1, …, θ_K = θ', each to be given to `predict`."""
        return [
            self.with_statistics(theta, support_x)
            for theta in self.descent(support_x, support_y)
        ]

    def predict(
        self, adapted: dict[str, Tensor], query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        return self.network(query_x, adapted)

    def descent(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Iterator[dict[str, Tensor]]:
        """The fast weights along the inner loop."""
        return gradient_descent(
            self.network,
            self.start(support_x.shape[0]),
            support_x,
            support_y,
            loss=self.loss,
            steps=self.inner_steps,
            rate=self.rate(),
            second_order=not self.first_order,
            clip_norm=self.inner_clip_norm,
            frozen=frozen(self.network),
        )

    def rate(self) -> float | Mapping[str, Tensor]:
        """α, for all parameters or for each."""
        return self.inner_rate

    def start(self, n_tasks: int) -> dict[str, Tensor]:
        """θ_0: one copy of θ a task, in the same memory."""
        return {
            name: value.expand(n_tasks, *value.shape)
            for name, value in self.network.named_parameters()
        }

    def with_statistics(
        self, theta: dict[str, Tensor], support_x: Float[Tensor, "T S ..."]
    ) -> dict[str, Tensor]:
        """What an inductive θ' holds besides weights: how the support is normalised."""
        of_batch = self.network.training or self.network.uses_batch_statistics
        if self.normalisation == "transductive" or not of_batch:
            return theta
        return theta | self.network.batch_statistics(support_x, theta)


def multi_step_loss(learner: MAML, episode: Episode, loss: Score) -> Float[Tensor, ""]:
    """The query loss after every inner step, not after the last alone: the mean of
    L_T(f_θ_k) over k = 1, …, K and over tasks (with K = 0, joint training). An
    `objective` to train on.

    It keeps a long inner loop from diverging on its way (MAML++: Antoniou, Edwards &
    Storkey 2019, §4). There the weights of the early steps decay during training; here
    all steps count the same throughout.
    """
    path = learner.path(episode.support_x, episode.support_y)
    losses = [
        loss(learner.predict(theta, episode.query_x), episode.query_y)
        for theta in path[1:] or path
    ]
    return torch.stack(losses).mean()
