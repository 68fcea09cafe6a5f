"""What a long training is, and how it is run, judged and recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from labkit import records
from labkit.episode import TaskDistribution
from labkit.evaluation import Evaluation, evaluate
from labkit.learners.learner import Learner
from labkit.records import Figure, Published, Record
from labkit.training import History

RUNS = records.REPOSITORY / "data" / "runs"
"""Where unfinished trainings keep their state, to go on from after an interruption."""

SMOKE_STEPS, SMOKE_TASKS = 2, 2


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A long training; the fields of a subclass are its configuration, all of it.

    published: figures from the literature, by the name of the tasks they are on.
    deviations: where the protocol differs from the published one.
    unit: of the figures, as in `labkit.records.Figure`.
    """

    unit: ClassVar[str] = "accuracy"

    steps: int
    published: Mapping[str, Published] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    def learner(self) -> Learner:
        """A fresh, untrained learner."""
        raise NotImplementedError

    def train(
        self, learner: Learner, *, steps: int, seed: int, **keywords: Any
    ) -> History:
        """`meta_train` it, handing the keywords on."""
        raise NotImplementedError

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        """The tasks it is judged on, by name, none of them seen in training.

        Each is made when called for, so that those that need no data need none.
        """
        raise NotImplementedError

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, **keywords: Any
    ) -> Evaluation:
        """`evaluate` it; a subclass may know a quicker way to the same figure."""
        return evaluate(learner, tasks, **keywords)

    def data_sha256(self) -> dict[str, str]:
        """The files it reads; none, if a subclass does not say so."""
        return {}

    def configuration(self) -> dict[str, Any]:
        about_the_figures = ("published", "deviations")
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in about_the_figures
        }


def run(
    name: str,
    experiment: Experiment,
    *,
    seed: int,
    device: torch.device,
    n_tasks: int = 1000,
    smoke: bool = False,
    report: Callable[[str], None] = print,
) -> Record:
    """Train, evaluate on `n_tasks` tasks of each kind, and keep record and weights.

    It goes on from where an interrupted run stopped, and refuses to if the experiment
    has another configuration by now. What it keeps has the experiment's name, and with
    another seed than 0 the seed's, so that it does not replace what the book shows. A
    smoke run takes two steps and two tasks to prove that everything fits together, and
    keeps nothing.
    """
    if not smoke:
        for folder in (RUNS, records.RESULTS, records.CHECKPOINTS):
            require_writable(folder)
    learner = experiment.learner().to(device)
    # made before training, so that missing data is noticed now and not hours later
    evaluations = {name: make() for name, make in experiment.evaluations().items()}
    history = experiment.train(
        learner,
        steps=SMOKE_STEPS if smoke else experiment.steps,
        seed=seed,
        label=name,
        configuration=experiment.configuration(),
        checkpoint=None if smoke else RUNS / f"{name}-seed{seed}.pt",
    )
    # on the CPU the same seed draws the same tasks, wherever training ran
    learner.cpu()
    figures = []
    for tasks_name, tasks in evaluations.items():
        evaluation = experiment.evaluate(
            learner,
            tasks,
            n_tasks=SMOKE_TASKS if smoke else n_tasks,
            seed=seed,
        )
        published = experiment.published.get(tasks_name)
        figure = Figure.of(tasks_name, evaluation, published, experiment.unit)
        figures.append(figure)
        report(f"{name}: {tasks_name}: {figure.measured()}")
    kept_as = name if seed == 0 else f"{name}-seed{seed}"
    record = Record(
        experiment=kept_as,
        command=f"python -m labkit train {name} --seed {seed}",
        configuration=experiment.configuration(),
        figures=figures,
        seed=seed,
        seconds=round(history.seconds, 1),
        data_sha256=experiment.data_sha256(),
        checkpoint_sha256=None if smoke else records.save_weights(learner, kept_as),
        deviations=list(experiment.deviations),
        **records.surroundings(device),
    )
    if not smoke:
        report(f"{name}: wrote {record.write().relative_to(records.REPOSITORY)}")
    return record


def require_writable(folder: Path) -> None:
    """Raise PermissionError now and not after hours of training."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to, and results go there.")
