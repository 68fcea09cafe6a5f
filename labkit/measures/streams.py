"""A stream judged as it runs: every prediction is made before its label is read.

Accuracy is told apart by *presentation*: the first drawing of a class in a stream, the
second, and so on (Santoro et al. 2016, Table 1). Nothing can be known of the first, so
what is right there beyond chance was reached by elimination, and no more than that can
be, `ceiling_by_elimination`. A higher figure is a leak.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation, evaluate_each
from labkit.learner import Learner
from labkit.learners.recurrent import StreamLearner
from labkit.objective import Score


def stream_loss(learner: Learner, episode: Episode, loss: Score) -> Float[Tensor, ""]:
    """The mean over tasks of the loss over all steps of the support, as a stream.

    For `meta_train(objective=...)`; the queries are left alone.
    """
    logits, _ = cast(StreamLearner, learner).stream(
        episode.support_x, episode.support_y
    )
    return loss(logits, episode.support_y).mean()


def presentation_of(targets: Float[Tensor, "T L C"]) -> Int64[Tensor, "T L"]:
    """How often the class of each step has been shown by then: 1 at the first."""
    return (targets.cumsum(1) * targets).sum(-1).round().long()


def by_presentation(
    logits: Float[Tensor, "T L C"],
    targets: Float[Tensor, "T L C"],
    presentation: Int64[Tensor, "T L"],
    count: int,
) -> Float[Tensor, "T count"]:
    """The share of each task's answers that are right, for presentations 1 to count."""
    right = (logits.argmax(-1) == targets.argmax(-1)).to(logits.dtype)
    asked = torch.arange(1, count + 1, device=logits.device) == presentation[..., None]
    return (right.unsqueeze(-1) * asked).sum(1) / asked.sum(1)


def evaluate_stream(
    learner: StreamLearner,
    tasks: TaskDistribution,
    *,
    presentations: int,
    n_tasks: int = 600,
    seed: int = 0,
    tasks_per_batch: int = 20,
) -> list[Evaluation]:
    """Accuracy at the first, second, ... presentation, each with its 95% interval.

    Args:
        presentations: how many to tell apart; every class must come that often.
    """
    return evaluate_each(
        learner,
        tasks,
        measure=partial(_by_presentation, presentations),
        n_tasks=n_tasks,
        seed=seed,
        tasks_per_batch=tasks_per_batch,
    )


def _by_presentation(
    count: int, learner: Learner, episode: Episode, score: Score
) -> Float[Tensor, "T count"]:
    targets = episode.support_y
    logits, _ = cast(StreamLearner, learner).stream(episode.support_x, targets)
    return by_presentation(logits, targets, presentation_of(targets), count)


def ceiling_by_elimination(classes: int) -> float:
    """The highest expected accuracy at first presentations: H_N / N, 45.7% for N = 5.

    When the first drawing of a class comes and j classes have been seen, N − j labels
    are left, each as likely as the others. A stream passes through j = 0, …, N − 1 once
    each, so the mean over first presentations is (1/N + 1/(N − 1) + … + 1) / N.
    """
    return sum(1 / left for left in range(1, classes + 1)) / classes
