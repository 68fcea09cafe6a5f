"""What the experiments of MAML's family share: the learner, and how it is judged."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation
from labkit.experiments.experiment import Experiment
from labkit.learner import Learner, Normalisation
from labkit.learners.anil import ANIL
from labkit.learners.maml import MAML, multi_step_loss
from labkit.learners.meta_sgd import MetaSGD
from labkit.learners.reptile import reptile_loss
from labkit.networks.network import Network
from labkit.objective import meta_loss
from labkit.training import Objective, Schedule, constant, cosine

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

    Attributes:
        inner_steps: in training; with 0 it is joint training, the pretrained baseline.
        descends_on: "query loss" of θ', that "of every step" on the way to it, or
            "reptile".
    """

    method: Literal["MAML", "ANIL", "MetaSGD"] = "MAML"
    inner_steps: int
    inner_rate: float
    first_order: bool = False
    inner_clip_norm: float | None = None
    normalisation: Normalisation = "inductive"
    descends_on: Literal["query loss", "query loss of every step", "reptile"] = (
        "query loss"
    )
    schedule: Literal["constant", "cosine"] = "cosine"

    def network(self, seed: int) -> Network:
        """A fresh, untrained network."""
        raise NotImplementedError

    def learner(self, seed: int = 0) -> Learner:
        return LEARNERS[self.method](
            self.network(seed),
            loss=self.loss(),
            inner_steps=self.inner_steps,
            inner_rate=self.inner_rate,
            first_order=self.first_order,
            inner_clip_norm=self.inner_clip_norm,
            normalisation=self.normalisation,
        )

    def objective(self) -> Objective:
        return OBJECTIVES[self.descends_on]

    def schedule_over(self, steps: int) -> Schedule:
        return {"constant": constant, "cosine": cosine(steps)}[self.schedule]

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, *, n_tasks: int, seed: int
    ) -> Evaluation:
        judge = copy.deepcopy(learner)
        if isinstance(tasks, Judged) and isinstance(judge, MAML):
            judge.inner_steps = tasks.inner_steps
            judge.normalisation = tasks.normalisation
        return super().evaluate(judge, tasks, n_tasks=n_tasks, seed=seed)
