"""A transformer that does linear regression in its forward pass.

One is trained on tasks that are new at every step, as in Garg et al. (2022) with noise;
the others on a pool of M tasks, for a range of M, as in Raventós et al. (2023). The two
papers train GPT-2-like networks of 12 and 8 layers, in 20 and 8 dimensions, for 500,000
steps; these are small ones that show the same pattern, within minutes on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from labkit.episode import TaskDistribution
from labkit.experiments.experiment import Experiment
from labkit.learners.in_context import InContext, prefix_loss
from labkit.networks.transformer import Transformer
from labkit.objective import Score, squared_error
from labkit.randomness import spawn
from labkit.tasks.linear_regression import Gaussian, LinearRegression, Pool
from labkit.training import Objective, Schedule, cosine

WARM_UP = 100
POOL_SIZES = (4, 16, 64, 256, 0)
DRAWS = (0, 1)


@dataclass(frozen=True, kw_only=True)
class InContextRegression(Experiment):
    """A transformer, meta-trained on every prefix of prompts of `shot` + 1 examples.

    Attributes:
        pool: how many tasks there are to train on; 0 for new ones at every step.
        draw: which pool, initial weights and points.
    """

    unit: ClassVar[str] = "squared error"
    tasks_judged: ClassVar[int] = 4000
    tasks_per_batch: ClassVar[int] = 500

    dimension: int
    shot: int
    width: int
    layers: int
    heads: int = 4
    noise: float = 1.0
    pool: int = 0
    draw: int = 0
    tasks_per_step: int = 64
    learning_rate: float = 3e-3
    clip_norm: float | None = 1.0

    def seed_of(self, seed: int) -> int:
        return spawn(super().seed_of(seed), f"draw {self.draw}")

    def learner(self, seed: int = 0) -> InContext:
        network = Transformer(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            context=2 * (self.shot + 1),
            seed=seed,
        )
        return InContext(network, self.dimension, 1, repeat_x=True, seed=seed)

    def training_tasks(self, device: torch.device) -> LinearRegression:
        return self.seen(self.shot) if self.pool else self.new(self.shot)

    def loss(self) -> Score:
        return squared_error

    def score(self) -> Score:
        return squared_error

    def objective(self) -> Objective:
        return prefix_loss

    def schedule_over(self, steps: int) -> Schedule:
        return cosine(steps, WARM_UP)

    def new(self, shot: int, query: int = 1) -> LinearRegression:
        """Tasks that no training met."""
        return LinearRegression(Gaussian(self.dimension), shot, query, self.noise)

    def seen(self, shot: int, query: int = 1) -> LinearRegression:
        """Tasks of the pool trained on."""
        pool = Pool(self.dimension, self.pool, self.draw)
        return LinearRegression(pool, shot, query, self.noise)

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        """Each task asks many queries, which cost little, for narrow intervals."""
        shots = sorted({self.dimension, 2 * self.dimension, self.shot})
        kinds = {"new": self.new, "seen": self.seen} if self.pool else {"new": self.new}
        return {
            f"{kind} tasks, {shot} examples": partial(tasks, shot, query=32)
            for kind, tasks in kinds.items()
            for shot in shots
        }


def of_pool(size: int, draw: int) -> str:
    """The name of the experiment on a pool of that size; 0 is without a pool."""
    return f"linear-pool-{size or 'none'}-draw-{draw}"


EXPERIMENTS = {
    "linear-regression": InContextRegression(
        dimension=5, shot=12, width=64, layers=3, steps=4500
    ),
    "linear-regression-longer": InContextRegression(
        dimension=5,
        shot=12,
        width=64,
        layers=3,
        steps=4000,
        tasks_per_step=128,
        learning_rate=1e-3,
        start="linear-regression",
    ),
    **{
        of_pool(size, draw): InContextRegression(
            dimension=3,
            shot=7,
            noise=0.25,
            width=32,
            layers=3,
            steps=12_000,
            learning_rate=4e-3,
            pool=size,
            draw=draw,
        )
        for size in POOL_SIZES
        for draw in DRAWS
    },
}
