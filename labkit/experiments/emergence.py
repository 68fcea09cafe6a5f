"""When in-context learning emerges, and whether it stays.

Two layers of attention are trained on bursty sequences, for a range of class counts,
burstiness and Zipf exponents (the axes of Chan et al. 2022 and Reddy 2024), and in two
places for much longer, in parts (Singh et al. 2023 ask what becomes of it). All of it
is far smaller than theirs: Gaussian classes in 32 dimensions, a network of 32,000
weights, minutes on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, get_args

import torch
from torch import Tensor

from labkit.episode import Episode, TaskDistribution
from labkit.experiments.experiment import Experiment
from labkit.learners.attention_only import AttentionOnly
from labkit.measures.induction import induction_score, matches, previous_token_score
from labkit.objective import Score, accuracy, meta_loss
from labkit.randomness import spawn
from labkit.tasks.bursty import Bursty, Test

TESTS = tuple(test for test in get_args(Test) if test)
CLASS_COUNTS = (64, 256, 1024, 4096)
BURSTINESS = (0.0, 0.5, 0.9)
EXPONENTS = (0.5, 1.0, 1.5)
DRAWS = (0, 1)
LONG_BURSTINESS = (0.75, 1.0)
PARTS = (1000, 1000, 2000, 4000, 8000)
"""Steps of each part of a long training, which so doubles its length each time."""


@dataclass(frozen=True, kw_only=True)
class Emergence(Experiment):
    """Two layers of attention, meta-trained on bursty sequences at a constant rate.

    Attributes:
        draw: which classes, initial weights and sequences.
        part: the number of the part that this is of a longer training; each part sees
            other sequences, and Adam's averages start afresh.
    """

    tasks_per_batch: ClassVar[int] = 500

    classes: int
    burstiness: float
    zipf: float = 0.0
    dimension: int = 32
    labels: int = 32
    shot: int = 8
    copies: int = 2
    noise: float = 0.1
    width: int = 64
    draw: int = 0
    tasks_per_step: int = 128
    learning_rate: float = 2e-3
    part: int = 0

    def seed_of(self, seed: int) -> int:
        return spawn(seed, f"draw {self.draw}, part {self.part}")

    def learner(self, seed: int = 0) -> AttentionOnly:
        return AttentionOnly(
            self.dimension,
            self.labels,
            shot=self.shot,
            width=self.width,
            seed=seed,
        )

    def tasks(self, test: Test = "") -> Bursty:
        """What it is trained on, or what one test draws."""
        return Bursty(
            classes=self.classes,
            labels=self.labels,
            dimension=self.dimension,
            shot=self.shot,
            copies=self.copies,
            burstiness=self.burstiness,
            zipf=self.zipf,
            noise=self.noise,
            world=self.draw,
            test=test,
        )

    def training_tasks(self, device: torch.device) -> Bursty:
        return self.tasks()

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        return {test: partial(self.tasks, test) for test in TESTS}


@dataclass
class Watch:
    """An `objective` for `meta_train`: the query loss, and a look at the learner first.

    At every `every`-th step the accuracy on each of the `tests`, and both scores of
    induction on the new classes, are added to `curves`, the step to `steps`, and who
    reads whom in the first sequence of new classes to `maps`.
    """

    tests: Mapping[str, Episode]
    every: int
    steps: list[int] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    maps: list[Tensor] = field(default_factory=list)
    _done: int = 0

    @classmethod
    def of(
        cls, tasks: Bursty, every: int, *, n_tasks: int, generator: torch.Generator
    ) -> Watch:
        """Watch it on the same sequences of each test at every look."""
        tests = {
            test: replace(tasks, test=test).sample(n_tasks, generator=generator)
            for test in TESTS
        }
        return cls(tests, every)

    def __call__(self, learner: AttentionOnly, episode: Episode, loss: Score) -> Tensor:
        if self._done % self.every == 0:
            self.look(learner)
        self._done += 1
        return meta_loss(learner, episode, loss)

    @torch.no_grad()
    def look(self, learner: AttentionOnly) -> None:
        found: dict[str, Tensor] = {}
        for test, e in self.tests.items():
            logits, maps = learner.attention(e.support_x, e.support_y, e.query_x)
            found[test] = accuracy(logits, e.query_y)
            if test == "new classes":
                found["induction score"] = induction_score(maps, matches(e))
                found["previous-token score"] = previous_token_score(maps)
                self.maps.append(maps[0])
        self.steps.append(self._done)
        for name, values in found.items():
            self.curves.setdefault(name, []).append(values.mean().item())


def of_sweep(classes: int, burstiness: float, draw: int, zipf: float = 0.0) -> str:
    """The name of the experiment there."""
    bursty = f"{100 * burstiness:.0f}-percent-bursty"
    return f"emergence-{classes}-classes-{bursty}-zipf-{zipf:g}-draw-{draw}"


def of_long(burstiness: float, draw: int, part: int) -> str:
    """The name of a part, from 1, of a long training."""
    bursty = f"{100 * burstiness:.0f}-percent-bursty"
    return f"emergence-long-{bursty}-draw-{draw}-part-{part}"


EXPERIMENTS = {
    **{
        of_sweep(classes, burstiness, draw): Emergence(
            classes=classes, burstiness=burstiness, draw=draw, steps=2000
        )
        for classes in CLASS_COUNTS
        for burstiness in BURSTINESS
        for draw in DRAWS
    },
    **{
        of_sweep(1024, 0.9, draw, zipf): Emergence(
            classes=1024, burstiness=0.9, zipf=zipf, draw=draw, steps=2000
        )
        for zipf in EXPONENTS
        for draw in DRAWS
    },
    **{
        of_long(burstiness, draw, part): Emergence(
            classes=640,
            burstiness=burstiness,
            draw=draw,
            steps=steps,
            part=part,
            start=of_long(burstiness, draw, part - 1) if part > 1 else "",
        )
        for burstiness in LONG_BURSTINESS
        for draw in DRAWS
        for part, steps in enumerate(PARTS, 1)
    },
}
