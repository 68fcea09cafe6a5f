"""What was reached: a mean over fresh tasks, with its uncertainty and its protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode, TaskDistribution
from labkit.learner import Learner, Normalisation
from labkit.objective import Score, accuracy, task_losses
from labkit.progress import Progress
from labkit.randomness import TEST, seeded

Measure = Callable[[Learner, Episode, Score], Tensor]
"""(learner, episode, score) -> one number for each task [T], or several [T, ...]."""


@dataclass(frozen=True)
class Evaluation:
    """A score over `n_tasks` tasks drawn with `seed`.

    `ci95` is the half-width of the normal 95% interval of the mean,
    1.96 · s / √n with s the standard deviation between tasks: it says how well these
    tasks measure this learner, not how much another training seed would change it.
    """

    mean: float
    ci95: float
    n_tasks: int
    seed: int
    normalisation: Normalisation

    @classmethod
    def of(
        cls, scores: Float[Tensor, " T"], seed: int, normalisation: Normalisation
    ) -> Evaluation:
        """Mean and interval of the scores of single tasks."""
        n_tasks = len(scores)
        ci95 = 1.96 * scores.std().item() / n_tasks**0.5
        return cls(scores.mean().item(), ci95, n_tasks, seed, normalisation)

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.ci95:.2g}"

    def percent(self) -> str:
        """The same, for a score between 0 and 1: "98.1 ± 0.2%"."""
        return f"{100 * self.mean:.1f} ± {100 * self.ci95:.1f}%"


def evaluate(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    score: Score = accuracy,
    n_tasks: int = 600,
    seed: int = 0,
    tasks_per_batch: int = 10,
    device: torch.device | None = None,
) -> Evaluation:
    """Mean score of an adapted learner over fresh tasks, with its 95% interval.

    The same seed and `tasks_per_batch` give the same tasks for every learner, so two
    learners can be compared task by task. The learner is put in evaluation mode, and
    back as it was; its weights do not change. Memory does not grow with `n_tasks`.

    Args:
        device: where tasks are drawn; the device of the learner's parameters by
            default.

    Raises:
        ArithmeticError: the score of a task is NaN.
        ValueError: fewer than two tasks, of which no interval can be computed.
    """
    scores = task_scores(
        learner,
        tasks,
        score=score,
        n_tasks=n_tasks,
        seed=seed,
        tasks_per_batch=tasks_per_batch,
        device=device,
    )
    return Evaluation.of(scores, seed, learner.normalisation)


def task_scores(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    score: Score = accuracy,
    measure: Measure = task_losses,
    n_tasks: int = 600,
    seed: int = 0,
    stream: str = TEST,
    tasks_per_batch: int = 10,
    device: torch.device | None = None,
) -> Float[Tensor, "T ..."]:
    """The score of every single task that `evaluate` averages, in double precision.

    Args:
        measure: what to score, if not the answers to the queries after adaptation.
        stream: the name of the stream that the tasks are drawn from.
    """
    if n_tasks < 2:
        raise ValueError(
            f"n_tasks={n_tasks}: an interval needs at least 2 tasks, and a "
            "figure worth printing several hundred."
        )
    generator = seeded(seed, stream, device=device or device_of(learner))
    progress = Progress("evaluating", n_tasks)
    was_training = [module for module in learner.modules() if module.training]
    learner.eval()
    scores: list[Tensor] = []
    try:
        with torch.no_grad():
            for start in range(0, n_tasks, tasks_per_batch):
                size = min(tasks_per_batch, n_tasks - start)
                episode = draw(tasks, size, generator)
                scores.append(measure(learner, episode, score).double())
                progress(start + size)
    finally:
        for module in was_training:
            module.training = True
    found = torch.cat(scores)
    broken = found.reshape(n_tasks, -1).isnan().any(1)
    if broken.any():
        raise ArithmeticError(
            f"{int(broken.sum())} of {n_tasks} tasks have no score, the first of them "
            f"number {int(broken.nonzero()[0])}: it has no query, or NaN among its "
            "data or its predictions."
        )
    return found


def draw(tasks: TaskDistribution, n_tasks: int, generator: torch.Generator) -> Episode:
    """That many tasks.

    Raises:
        ValueError: the distribution drew another number of them.
    """
    episode = tasks.sample(n_tasks, generator=generator)
    if episode.n_tasks != n_tasks:
        raise ValueError(
            f"{type(tasks).__name__}.sample({n_tasks}) drew {episode.n_tasks} tasks: "
            "an average over tasks needs as many as were asked for."
        )
    return episode


def device_of(learner: Learner) -> torch.device:
    """Where the learner's parameters are; the CPU for one that has none."""
    parameter = next(learner.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
