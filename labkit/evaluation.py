"""What was reached: a mean over fresh tasks, with its uncertainty and its protocol."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from labkit.arguments import require_whole
from labkit.episode import Episode, TaskDistribution
from labkit.learner import Learner, Normalisation
from labkit.objective import Score, accuracy, one_a_task, task_losses
from labkit.progress import Progress
from labkit.randomness import TEST, global_generators, replayed, seeded

Measure = Callable[[Learner, Episode, Score], Tensor]
"""(learner, episode, score) -> one number for each task [T], or several [T, ...]."""


@dataclass(frozen=True)
class Evaluation:
    """A score over `n_tasks` tasks drawn with `seed`.

    `ci95` is the half-width of the normal 95% interval of the mean,
    1.96 · s / √n with s the standard deviation between tasks: it says how well these
    tasks measure this learner, not how much another training seed would change it.
    `normalisation` is what the answers were found to depend on.
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
    learners can be compared task by task. The learner is evaluated in evaluation mode,
    and left in the mode it was in; its weights do not change. Several threads may
    evaluate one learner at once. Memory does not grow with `n_tasks`.

    A learner that says it is inductive, and whose answers to the first tasks change
    with the other queries, is reported as transductive, with a warning. The figure
    itself is right, and only what it was called was not.

    Args:
        device: where tasks are drawn; the device of the learner's parameters by
            default.

    Raises:
        ArithmeticError: the score of a task is NaN or infinite.
        TypeError: the learner cannot compute with the tasks' kind of numbers.
        ValueError: fewer than two tasks, of which no interval can be computed; tasks
            without a query, or of a shape that the learner or the score does not take.
    """
    found: list[Normalisation] = []

    def losses(learner: Learner, episode: Episode, score: Score) -> Tensor:
        adapted = learner.adapt(episode.support_x, episode.support_y)
        alone = None if found else without_companions(learner, adapted, episode.query_x)
        prediction = learner.predict(adapted, episode.query_x)
        if alone is not None:
            found.append(normalisation_found(learner, prediction, alone))
        return one_a_task(score(prediction, episode.query_y), episode.n_tasks)

    scores = task_scores(
        learner,
        tasks,
        score=score,
        measure=losses,
        n_tasks=n_tasks,
        seed=seed,
        tasks_per_batch=tasks_per_batch,
        device=device,
    )
    return Evaluation.of(scores, seed, found[0])


def evaluate_each(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    measure: Measure,
    n_tasks: int = 600,
    seed: int = 0,
    tasks_per_batch: int = 10,
) -> list[Evaluation]:
    """As `evaluate`, of a measure that gives several numbers [T, N]: the mean and
    interval of each of the N.

    What the answers depend on is not tried, since a measure may ask in a way of its
    own. A learner with batch normalisation that keeps no running statistics is reported
    as transductive, whatever it says.
    """
    scores = task_scores(
        learner,
        tasks,
        measure=measure,
        n_tasks=n_tasks,
        seed=seed,
        tasks_per_batch=tasks_per_batch,
    )
    mode = learner.normalisation
    if any(
        isinstance(m, _BatchNorm) and m.running_mean is None for m in learner.modules()
    ):
        mode = "transductive"
    return [Evaluation.of(of, seed, mode) for of in scores.unbind(1)]


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

    Raises:
        ArithmeticError: the score of a task is NaN or infinite.
        ValueError: fewer than two tasks, of which no interval can be computed.
    """
    require_whole(1, n_tasks=n_tasks, tasks_per_batch=tasks_per_batch)
    if n_tasks < 2:
        raise ValueError(
            f"n_tasks={n_tasks}: an interval needs at least 2 tasks, and a "
            "figure worth printing several hundred."
        )
    generator = seeded(seed, stream, device=device or device_of(learner))
    progress = Progress("evaluating", n_tasks)
    scores: list[Tensor] = []
    with torch.no_grad(), evaluation_mode(learner):
        for start in range(0, n_tasks, tasks_per_batch):
            size = min(tasks_per_batch, n_tasks - start)
            episode = draw(tasks, size, generator)
            scores.append(measure(learner, episode, score).double())
            progress(start + size)
    found = torch.cat(scores)
    broken = ~found.reshape(n_tasks, -1).isfinite().all(1)
    if broken.any():
        raise ArithmeticError(
            f"{int(broken.sum())} of {n_tasks} tasks have no finite score, the first "
            f"of them number {int(broken.nonzero()[0])}: it has NaN or infinity among "
            "its data or its predictions, or targets that are no one-hot rows where "
            "the score compares classes."
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


def without_companions(
    learner: Learner, adapted: Any, query_x: Real[Tensor, "T Q ..."]
) -> Real[Tensor, "T Q ..."]:
    """The answers when copies of the query in the middle take the places of all others.

    In the middle, because whoever reads queries in turn comes to it with some before
    and some behind. What is drawn for these answers will be drawn again for the next.
    """
    T, Q = query_x.shape[:2]
    if Q > 1:
        copies = query_x[:, Q // 2 : Q // 2 + 1].expand_as(query_x)
    else:  # then the only companions are the other tasks
        copies = query_x[T // 2 : T // 2 + 1].expand_as(query_x)
    with replayed(generators_of(learner)):
        return learner.predict(adapted, copies)


def normalisation_found(
    learner: Learner,
    answers: Real[Tensor, "T Q ..."],
    alone: Real[Tensor, "T Q ..."],
) -> Normalisation:
    """What the learner says of itself, unless the answer to the query in the middle
    changed with its companions."""
    T, Q = answers.shape[:2]
    one, other = answers[T // 2, Q // 2], alone[T // 2, Q // 2]
    tolerance = 0.0
    if one.is_floating_point():
        size = one.abs().nan_to_num().max().clamp_min(1)
        tolerance = torch.finfo(one.dtype).eps ** 0.5 * size.item()
    same = torch.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True)
    if same or learner.normalisation == "transductive":
        return learner.normalisation
    warnings.warn(
        f"{type(learner).__name__} says it is inductive, but its answer to a query "
        "changes with the other queries, as with batch normalisation without running "
        "statistics. It is reported as transductive.",
        stacklevel=5,
    )
    return "transductive"


_held: dict[int, tuple[int, bool]] = {}
"""Of every module that is being evaluated: by how many, and whether it was training."""

_holding = threading.Lock()


@contextmanager
def evaluation_mode(learner: Learner) -> Iterator[None]:
    """The learner in evaluation mode; after the block each module is as it was.

    Where several threads evaluate one module, the last to finish puts it back.
    """
    modules = list(learner.modules())
    with _holding:
        for module in modules:
            holders, was_training = _held.get(id(module), (0, module.training))
            _held[id(module)] = holders + 1, was_training
        learner.eval()
    try:
        yield
    finally:
        with _holding:
            for module in modules:
                holders, was_training = _held.pop(id(module))
                if holders > 1:
                    _held[id(module)] = holders - 1, was_training
                else:
                    module.training = was_training


def generators_of(learner: Learner) -> list[torch.Generator]:
    """All that the learner can draw from: torch's own, and those it keeps itself."""
    kept = (value for module in learner.modules() for value in vars(module).values())
    own = (value for value in kept if isinstance(value, torch.Generator))
    return [*global_generators(device_of(learner)), *own]
