"""Fine-tuning: θ' is found by gradient descent on the support set from an unlearned θ.

    θ' = θ_0 after `steps` steps of θ ← θ − rate · ∇θ L_T(θ) on the support set

The baseline to ask of every meta-learner: what does a network learn from K examples
with no other task to learn from? θ_0 is a fresh random draw for every task, or, with
`from_scratch=False`, the network's own parameters, for instance pretrained ones.
Normalisation: inductive. While a network that uses batch statistics trains, they are
those of the support set; the last of them become part of θ' and normalise the queries.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_real, require_whole
from labkit.learner import Learner
from labkit.learners.inner_loop import gradient_descent
from labkit.networks.network import Network, frozen, require_network
from labkit.objective import Score
from labkit.randomness import seeded


class FineTuning(Learner):
    """Train the network on each task's support set, all tasks side by side.

    Parameters frozen by `requires_grad_(False)` are the network's own throughout.

    Args:
        network: from x to the C numbers predicted; its own parameters are never
            changed.
        loss: of a task's support predictions, one number a task.
        seed: of the random draws. A batch of T tasks has T different ones, and the same
            ones as every other batch of T.

    Raises:
        TypeError: a network that is no `Network`.
        ValueError: `from_scratch` with a network that keeps running statistics; a
            negative number of steps, or a number that is none.
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: Score,
        steps: int,
        rate: float,
        from_scratch: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_network(network)
        require_whole(0, steps=steps)
        require_real(rate=rate)
        if from_scratch and next(network.buffers(), None) is not None:
            raise ValueError(
                "from_scratch=True needs a network without running statistics, which "
                "would be those of other weights: Conv4(track_running_stats=False)."
            )
        self.network = network
        self.loss = loss
        self.steps, self.rate = steps, rate
        self.from_scratch, self.seed = from_scratch, seed

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> dict[str, Tensor]:
        """One trained set of parameters a task, with the support's batch statistics."""
        T = support_x.shape[0]
        own = dict(self.network.named_parameters())
        start = {name: value.expand(T, *value.shape) for name, value in own.items()}
        stay = frozen(self.network)
        if self.from_scratch:
            source = seeded(self.seed, "fine-tuning", device=support_x.device)
            fresh = self.network.initial_parameters(T, generator=source)
            start |= {name: fresh[name] for name in fresh if name not in stay}
        with torch.no_grad():
            for theta in gradient_descent(
                self.network,
                {name: value.to(own[name]) for name, value in start.items()},
                support_x,
                support_y,
                loss=self.loss,
                steps=self.steps,
                rate=self.rate,
                second_order=False,
                frozen=stay,
            ):
                tuned = theta
            if self.network.uses_batch_statistics:
                tuned |= self.network.batch_statistics(support_x, tuned)
        return tuned

    def predict(
        self, adapted: dict[str, Tensor], query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        return self.network(query_x, adapted)
