"""Reptile (Nichol, Achiam & Schulman 2018): move θ towards θ', and that is all.

    θ ← θ + ε · mean over tasks of (θ' − θ)                     (Algorithm 2)

The learner is `MAML`; what differs is what `meta_train` descends on. The gradient of
`reptile_loss` is θ − mean θ', so that plain descent at a rate ε is the formula;
`meta_train` hands this gradient to Adam, as the paper allows (§3). There is no second
derivative, and no query: in training, both sides of an episode are the support.

Inner loop and normalisation: MAML's. Deviation: every inner step takes all examples,
where the paper takes mini-batches; gradients of several mini-batches that agree are
what it finds Reptile to look for (§5.1).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode
from labkit.learners.maml import MAML
from labkit.objective import Score


def reptile_loss(learner: MAML, episode: Episode, loss: Score) -> Float[Tensor, ""]:
    """½‖θ − θ'‖², θ' held constant, averaged over tasks: an `objective` to train on.

    `loss` is not asked: θ' is found with the learner's own.
    """
    x = torch.cat([episode.support_x, episode.query_x], dim=1)
    y = torch.cat([episode.support_y, episode.query_y], dim=1)
    with torch.no_grad():
        adapted = learner.adapt(x, y)
    squares = [
        (theta - adapted[name]).square().sum()
        for name, theta in learner.network.named_parameters()
    ]
    return torch.stack(squares).sum() / (2 * episode.n_tasks)
