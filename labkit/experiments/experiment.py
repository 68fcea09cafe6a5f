"""What a long training is, and how it is run, judged and recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from labkit.episode import TaskDistribution
from labkit.evaluation import Evaluation, device_of, evaluate
from labkit.experiments import records
from labkit.experiments.records import Published, Record, Result
from labkit.files import home
from labkit.learner import Learner
from labkit.objective import Score, accuracy, cross_entropy, meta_loss
from labkit.randomness import SCHEME, spawn
from labkit.training import History, Objective, Schedule, constant, meta_train

SMOKE_STEPS, SMOKE_TASKS = 2, 2


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A long training; the fields of a subclass are its configuration, all of it.

    A subclass says what is learned (`learner`), on which tasks (`training_tasks`) and
    on which it is judged (`evaluations`), and overrides what else differs.

    Attributes:
        tasks_per_step: as in `meta_train`.
        learning_rate: as in `meta_train`.
        clip_norm: as in `meta_train`.
        start: the experiment whose weights it starts from, or "" for fresh ones.
        published: figures from the literature, by the name of the tasks they are on.
        deviations: where the protocol differs from the published one.
        unit: of the figures, as in `labkit.experiments.records.Result`.
        tasks_judged: how many tasks a figure is the mean over.
        tasks_per_batch: how many of them are drawn at once.
        checkpoint_every: steps between two savings of an unfinished training.
    """

    unit: ClassVar[str] = "accuracy"
    tasks_judged: ClassVar[int] = 1000
    tasks_per_batch: ClassVar[int] = 10
    checkpoint_every: ClassVar[int] = 500

    steps: int
    tasks_per_step: int = 1
    learning_rate: float = 1e-3
    clip_norm: float | None = None
    start: str = ""
    published: Mapping[str, Published] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    def learner(self, seed: int = 0) -> Learner:
        """A fresh, untrained learner; its initial weights are the seed's."""
        raise NotImplementedError

    def training_tasks(self, device: torch.device) -> TaskDistribution:
        """What it is trained on, drawn on that device."""
        raise NotImplementedError

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        """The tasks it is judged on, by name, none of them seen in training.

        Each is made when called for, so that those that need no data need none.
        """
        raise NotImplementedError

    def loss(self) -> Score:
        """What training minimises on the queries."""
        return cross_entropy

    def score(self) -> Score:
        """What is recorded."""
        return accuracy

    def objective(self) -> Objective:
        """What training descends on, if not the loss after adaptation."""
        return meta_loss

    def schedule_over(self, steps: int) -> Schedule:
        """The factor on the learning rate in a training of so many steps."""
        return constant

    def seed_of(self, seed: int) -> int:
        """The seed of its weights and tasks in a run with `seed`.

        Experiments of one seed meet the same tasks, so that they can be compared. One
        that continues another has a seed of its own, and so has one that repeats it.
        """
        return spawn(seed, f"after {self.start}") if self.start else seed

    def train(
        self, learner: Learner, *, steps: int, seed: int, label: str, kept: Path | None
    ) -> History:
        """`meta_train` it for so many steps; `kept` is where its state is kept."""
        tasks = self.training_tasks(device_of(learner))
        return self.meta_train(learner, tasks, steps, seed, label, kept)

    def meta_train(
        self,
        learner: Learner,
        tasks: TaskDistribution,
        steps: int,
        seed: int,
        label: str,
        kept: Path | None,
    ) -> History:
        """`labkit.training.meta_train` as this experiment is configured."""
        return meta_train(
            learner,
            tasks,
            steps=steps,
            loss=self.loss(),
            objective=self.objective(),
            tasks_per_step=self.tasks_per_step,
            seed=seed,
            learning_rate=self.learning_rate,
            schedule=self.schedule_over(steps),
            clip_norm=self.clip_norm,
            configuration=self.configuration(),
            checkpoint=kept,
            checkpoint_every=self.checkpoint_every,
            label=label,
        )

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, *, n_tasks: int, seed: int
    ) -> Evaluation:
        """`evaluate` it; a subclass may know a quicker way to the same figure."""
        return evaluate(
            learner,
            tasks,
            score=self.score(),
            n_tasks=n_tasks,
            seed=seed,
            tasks_per_batch=self.tasks_per_batch,
        )

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
    smoke: bool = False,
    report: Callable[[str], None] = print,
) -> Record:
    """Train, evaluate on each kind of tasks, and keep record and weights.

    It goes on from where an interrupted run stopped, and refuses to if the experiment
    has another configuration by now. What it keeps has the experiment's name, and with
    another seed than 0 the seed's, so that it does not replace what the book shows. A
    smoke run takes two steps and two tasks to prove that everything fits together, and
    keeps nothing.
    """
    if not smoke:
        for folder in ("runs", "results", "checkpoints"):
            require_writable(home() / folder)
    own_seed = experiment.seed_of(seed)
    learner = experiment.learner(own_seed).to(device)
    if experiment.start:
        start = kept_as(experiment.start, 0 if smoke else seed)
        records.load_weights(learner, start)
    # made before training, so that missing data is noticed now and not hours later
    evaluations = {name: make() for name, make in experiment.evaluations().items()}
    history = experiment.train(
        learner,
        steps=SMOKE_STEPS if smoke else experiment.steps,
        seed=own_seed,
        label=name,
        kept=None if smoke else home() / "runs" / f"{name}-seed{seed}.pt",
    )
    # on the CPU the same seed draws the same tasks, wherever training ran
    learner.cpu()
    results = judge(
        experiment,
        learner,
        evaluations,
        n_tasks=SMOKE_TASKS if smoke else None,
        seed=seed,
    )
    for result in results:
        report(f"{name}: {result.tasks}: {result.measured()}")
    weights = None if smoke else records.save_weights(learner, kept_as(name, seed))
    record = Record(
        experiment=kept_as(name, seed),
        command=f"python -m labkit train {name} --seed {seed}",
        configuration=experiment.configuration(),
        results=results,
        seed=seed,
        seed_scheme=SCHEME,
        seconds=round(history.seconds, 1),
        data_sha256=experiment.data_sha256(),
        checkpoint_sha256=weights,
        deviations=list(experiment.deviations),
        **records.surroundings(device),
    )
    if not smoke:
        report(f"{name}: wrote {record.write()}")
    return record


def judge(
    experiment: Experiment,
    learner: Learner,
    evaluations: Mapping[str, TaskDistribution],
    *,
    n_tasks: int | None,
    seed: int,
) -> list[Result]:
    """The figures of a learner, each on `n_tasks` tasks; None for as many as usual."""
    n_tasks = n_tasks or experiment.tasks_judged
    return [
        Result.of(
            name,
            experiment.evaluate(learner, tasks, n_tasks=n_tasks, seed=seed),
            experiment.published.get(name),
            experiment.unit,
        )
        for name, tasks in evaluations.items()
    ]


def kept_as(name: str, seed: int) -> str:
    """What the record and the weights of a run with that seed are called."""
    return name if seed == 0 else f"{name}-seed{seed}"


def require_writable(folder: Path) -> None:
    """Raise PermissionError now and not after hours of training."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to, and results go there.")
