"""Few-shot characters by gradient descent: MAML's family, and ProtoNet beside it.

All train a small Conv4 on the same invented characters, on as many tasks of the same
kind. No published figure stands beside theirs, since those are of networks trained on
real characters, and on hundreds of times as many tasks. The inner loop of MAML is that
of Finn et al. (2017), appendix A.1, trained with one step of 0.4 and judged with three;
but of the mean loss, so that its steps are a fifth of those of the published code.
ANIL's was too, but its figures came out too low (87.1% on fresh glyphs, 66.3% on the
held-out alphabets); it now takes five steps in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch

from labkit.episode import TaskDistribution
from labkit.experiments.characters import (
    DRAWINGS,
    WORLD,
    FewShotCharacters,
    fresh_glyphs,
    held_out,
)
from labkit.experiments.experiment import Experiment
from labkit.experiments.gradient_based import GradientBased, Judged
from labkit.learner import Normalisation
from labkit.networks.conv4 import Conv4
from labkit.networks.network import Network
from labkit.networks.with_head import WithHead
from labkit.randomness import seeded
from labkit.tasks import omniglot
from labkit.tasks.characters import CharacterSet, FewShot
from labkit.tasks.glyphs import draw_alphabets

SIZE, WAY, WIDTH, QUERY = 28, 5, 32, 5
TASKS_PER_STEP = {1: 4, 5: 2}


@dataclass(frozen=True, kw_only=True)
class AdaptedCharacters(GradientBased):
    """Conv4 with a linear head, trained on 5-way episodes of invented characters.

    It is judged inductively and transductively, whatever it was trained as, after
    `judged_steps` inner steps.
    """

    tasks_judged: ClassVar[int] = 600  # each needs a training of its own

    shot: int
    glyph_alphabets: int
    judged_steps: int
    way: int = WAY
    query: int = QUERY
    width: int = WIDTH

    def network(self, seed: int) -> Network:
        body = Conv4(width=self.width, track_running_stats=False, seed=seed)
        return WithHead(body, self.way, seed=seed)

    def training_tasks(self, device: torch.device) -> TaskDistribution:
        characters = draw_alphabets(
            self.glyph_alphabets,
            20,
            DRAWINGS,
            size=SIZE,
            generator=seeded(WORLD, "glyphs to train on"),
        )
        return FewShot(characters.to(device), self.way, self.shot, self.query)

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        modes: dict[str, Normalisation] = {
            "": "inductive",
            ", transductive": "transductive",
        }
        sources = {"fresh glyphs": fresh_glyphs, "held-out alphabets": held_out}
        return {
            f"{source}, {self.way}-way {self.shot}-shot between alphabets{suffix}": (
                partial(self._judged, characters, mode)
            )
            for suffix, mode in modes.items()
            for source, characters in sources.items()
        }

    def _judged(
        self, characters: Callable[[int], CharacterSet], mode: Normalisation
    ) -> Judged:
        tasks = FewShot(characters(SIZE), self.way, self.shot, query=5)
        return Judged(tasks, self.judged_steps, mode)

    def data_sha256(self) -> dict[str, str]:
        return omniglot.data_sha256("small2")


def _adapting(shot: int, **changes: Any) -> AdaptedCharacters:
    settings: dict[str, Any] = {
        "shot": shot,
        "inner_steps": 1,
        "judged_steps": 3,
        "inner_rate": 0.4,
        "steps": 1000,
        "tasks_per_step": TASKS_PER_STEP[shot],
        "learning_rate": 3e-3,
        "clip_norm": 10.0,
        "glyph_alphabets": 100,
    }
    return AdaptedCharacters(**settings | changes)


def _prototypical(shot: int) -> FewShotCharacters:
    """The same network, drawings and tasks, with the class means for θ'."""
    return FewShotCharacters(
        method="ProtoNet",
        network="Conv4",
        width=WIDTH,
        distance="squared_euclidean",
        way=WAY,
        shot=shot,
        query=QUERY,
        steps=1000,
        tasks_per_step=TASKS_PER_STEP[shot],
        learning_rate=3e-3,
        glyph_alphabets=100,
    )


EXPERIMENTS: dict[str, Experiment] = {
    "maml-glyphs-1shot": _adapting(1),
    "maml-glyphs-1shot-transductive": _adapting(1, normalisation="transductive"),
    "fomaml-glyphs-1shot": _adapting(1, first_order=True),
    "anil-glyphs-1shot": _adapting(1, method="ANIL", inner_steps=5, judged_steps=5),
    "maml-glyphs-5shot": _adapting(5),
    "protonet-conv4-glyphs-1shot": _prototypical(1),
    "protonet-conv4-glyphs-5shot": _prototypical(5),
}
