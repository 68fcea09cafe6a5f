"""Exact answers after every number of examples, from one pass over the prompts.

A learner that writes its answer token by token is right if every token is. Reading the
true y instead, and asking at each token for the most likely next one, finds the same:
as long as all tokens were right, both have read the same. So `stream`, which answers
at all lengths of a prompt at once, gives the exact match of decoding at each of them.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation, evaluate_each
from labkit.learner import Learner
from labkit.learners.in_context_tokens import InContextTokens
from labkit.objective import Score


def exact_match(
    answer: Int64[Tensor, "T Q places"], target: Int64[Tensor, "T Q places"]
) -> Float[Tensor, " T"]:
    """The share of the queries whose every token is right: a `Score`."""
    return (answer == target).all(-1).float().mean(-1)


def evaluate_by_shots(
    learner: InContextTokens,
    tasks: TaskDistribution,
    *,
    n_tasks: int = 600,
    seed: int = 0,
    tasks_per_batch: int = 50,
) -> list[Evaluation]:
    """Exact match after 0, 1, …, S examples, of the last query after all S of them.

    Of tasks that ask more than one query, the others count as further examples.
    """
    return evaluate_each(
        learner,
        tasks,
        measure=by_shots,
        n_tasks=n_tasks,
        seed=seed,
        tasks_per_batch=tasks_per_batch,
    )


def by_shots(learner: Learner, episode: Episode, score: Score) -> Float[Tensor, "T N"]:
    """1 where the answer after so many examples is exact: a `Measure`."""
    x = torch.cat([episode.support_x, episode.query_x], dim=1)
    y = torch.cat([episode.support_y, episode.query_y], dim=1)
    logits = cast(InContextTokens, learner).stream(x, y)
    return (logits.argmax(-1) == y).all(-1).float()
