"""What the experiments of MAML's family share: the learner, and how it is judged."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation, device_of, evaluate
from labkit.experiments.experiment import Experiment
from labkit.learners.anil import ANIL
from labkit.learners.learner import Learner, Normalisation
from labkit.learners.maml import MAML, multi_step_loss
from labkit.learners.meta_sgd import MetaSGD
from labkit.learners.reptile import reptile_loss
from labkit.networks.network import Network
from labkit.objective import Score, accuracy, cross_entropy, meta_loss
from labkit.training import History, constant, cosine, meta_train

LEARNERS = {"MAML": MAML, "ANIL": ANIL, "MetaSGD": MetaSGD}
OBJECTIVES = {
    "query loss": meta_loss,
    "query loss of every step": multi_step_loss,
    "reptile": reptile_loss,
}


@dataclass(frozen=True)
class Judged:
    """Tasks, and the protocol under which a learner is judged on them."""

    tasks: TaskDistribution
    inner_steps: int
    normalisation: Normalisation = "inductive"

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        return self.tasks.sample(n_tasks, generator=generator)


@dataclass(frozen=True, kw_only=True)
class GradientBased(Experiment):
    """A learner whose θ' is reached by gradient descent.

    inner_steps: in training; with 0 it is joint training, the pretrained baseline.
    objective: "query loss" of θ', that "of every step" on the way to it, or "reptile".
    """

    method: Literal["MAML", "ANIL", "MetaSGD"] = "MAML"
    inner_steps: int
    inner_rate: float
    first_order: bool = False
    inner_clip_norm: float | None = None
    normalisation: Normalisation = "inductive"
    objective: Literal["query loss", "query loss of every step", "reptile"] = (
        "query loss"
    )
    tasks_per_step: int
    learning_rate: float
    schedule: Literal["constant", "cosine"] = "cosine"
    clip_norm: float | None = None

    def network(self) -> Network:
        """A fresh, untrained network."""
        raise NotImplementedError

    def loss_and_score(self) -> tuple[Score, Score]:
        """The loss of both loops, and the score that is recorded."""
        return cross_entropy, accuracy

    def tasks(self, device: torch.device) -> TaskDistribution:
        """What it is trained on, drawn on that device."""
        raise NotImplementedError

    def learner(self) -> Learner:
        return LEARNERS[self.method](
            self.network(),
            loss=self.loss_and_score()[0],
            inner_steps=self.inner_steps,
            inner_rate=self.inner_rate,
            first_order=self.first_order,
            inner_clip_norm=self.inner_clip_norm,
            normalisation=self.normalisation,
        )

    def train(
        self, learner: Learner, *, steps: int, seed: int, **keywords: Any
    ) -> History:
        return meta_train(
            learner,
            self.tasks(device_of(learner)),
            steps=steps,
            loss=self.loss_and_score()[0],
            objective=OBJECTIVES[self.objective],
            tasks_per_step=self.tasks_per_step,
            seed=seed,
            learning_rate=self.learning_rate,
            schedule={"constant": constant, "cosine": cosine(steps)}[self.schedule],
            clip_norm=self.clip_norm,
            **keywords,
        )

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, **keywords: Any
    ) -> Evaluation:
        judge = copy.deepcopy(learner)
        if isinstance(tasks, Judged) and isinstance(judge, MAML):
            judge.inner_steps = tasks.inner_steps
            judge.normalisation = tasks.normalisation
        return evaluate(judge, tasks, score=self.loss_and_score()[1], **keywords)
