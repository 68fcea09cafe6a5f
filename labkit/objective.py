"""The formula of the book: E_T [ L_T( f_θ' ) ] with θ' = Adapt(θ, support_T)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learner import Learner

Score = Callable[[Tensor, Tensor], Tensor]
"""(prediction [T, Q, C], target [T, Q, C]) -> one number for each task [T]."""


def meta_loss(learner: Learner, episode: Episode, loss: Score) -> Float[Tensor, ""]:
    """The mean over tasks of the query loss after adaptation."""
    return task_losses(learner, episode, loss).mean()


def task_losses(learner: Learner, episode: Episode, loss: Score) -> Float[Tensor, " T"]:
    """L_T(f_θ') of each task under any score: a loss to train, or an accuracy."""
    adapted = learner.adapt(episode.support_x, episode.support_y)
    prediction = learner.predict(adapted, episode.query_x)
    return one_a_task(loss(prediction, episode.query_y), episode.n_tasks)


def one_a_task(losses: Tensor, n_tasks: int) -> Float[Tensor, " T"]:
    """The losses, if there is one for each task.

    Raises:
        ValueError: the loss has averaged over tasks, as those of PyTorch do.
    """
    if losses.shape != (n_tasks,):
        raise ValueError(
            f"The loss must be one number for each of {n_tasks} tasks, and has the "
            f"shape {tuple(losses.shape)}. labkit.objective has losses that are; one "
            "of PyTorch needs reduction='none' and a mean over all axes but the first."
        )
    return losses


def require_alike(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError if the two are not of one shape [T, Q, C]."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"Predictions {tuple(prediction.shape)} and targets {tuple(target.shape)} "
            "must be alike, [T, Q, C]. Classes are one-hot rows: "
            "torch.nn.functional.one_hot(labels, C).float()."
        )


def require_classes(logits: Tensor, target: Tensor) -> None:
    """Raise ValueError if the two are not of one shape [T, Q, C] with C classes.

    One column is no choice: its softmax is 1 and its argmax 0 whatever was predicted,
    and class indices kept as [T, Q, 1] would all be right.
    """
    require_alike(logits, target)
    if target.shape[-1] < 2:
        raise ValueError(
            f"Targets {tuple(target.shape)} have one column, and classes need one "
            "each: torch.nn.functional.one_hot(labels, C).float(). Yes and no are two "
            "classes; values to be predicted are scored by squared_error."
        )


def _nan_unless_distribution(target: Tensor, scores: Tensor) -> Tensor:
    """The score of each query, NaN where its target's row does not sum to 1.

    So a wrong target counts as no result, and nothing waits for the device to be told.
    """
    off = (target.sum(-1) - 1).abs() > 0.01
    return scores.masked_fill(off, torch.nan)


def squared_error(
    prediction: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Mean over the queries and components of (prediction − target)², not halved."""
    require_alike(prediction, target)
    return (prediction - target).square().mean(dim=(1, 2))


def cross_entropy(
    logits: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Mean over the queries of −log softmax(logits) at the true class, in nats; NaN
    where a target is no distribution over the classes, as a one-hot row is.

    Raises:
        ValueError: other shapes, or one column.
    """
    require_classes(logits, target)
    losses = -(F.log_softmax(logits, dim=-1) * target).sum(-1)
    return _nan_unless_distribution(target, losses).mean(-1)


def accuracy(
    logits: Float[Tensor, "T Q C"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Fraction of the queries whose largest logit is at the true class; NaN where a
    logit is NaN, which has no largest, or a target no distribution over the classes.

    Raises:
        ValueError: other shapes, or one column.
    """
    require_classes(logits, target)
    true = target.to(logits.dtype).argmax(-1)
    right = (logits.argmax(-1) == true).float()
    right = right.masked_fill(logits.isnan().any(-1), torch.nan)
    return _nan_unless_distribution(target, right).mean(-1)
