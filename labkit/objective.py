"""The formula of the book: E_T [ L_T( f_θ' ) ] with θ' = Adapt(θ, support_T)."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learners.learner import Learner

Score = Callable[[Tensor, Tensor], Tensor]
"""(prediction [T, Q, C], target [T, Q, C]) -> one number for each task [T]."""


def meta_loss(learner: Learner, episode: Episode, loss: Score) -> Float[Tensor, ""]:
    """The mean over tasks of the query loss after adaptation."""
    return task_losses(learner, episode, loss).mean()


def task_losses(learner: Learner, episode: Episode, loss: Score) -> Float[Tensor, " T"]:
    """L_T(f_θ') of each task under any score: a loss to train, or an accuracy."""
    adapted = learner.adapt(episode.support_x, episode.support_y)
    return loss(learner.predict(adapted, episode.query_x), episode.query_y)


def squared_error(
    prediction: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Mean over the queries and components of (prediction − target)², not halved."""
    return (prediction - target).square().mean(dim=(1, 2))


def cross_entropy(
    logits: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Mean over the queries of −log softmax(logits) at the true class, in nats."""
    return -(F.log_softmax(logits, dim=-1) * target).sum(-1).mean(-1)


def accuracy(
    logits: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Fraction of the queries whose largest logit is at the true class."""
    return (logits.argmax(-1) == target.argmax(-1)).float().mean(-1)
