"""A transformer that learns invented languages and rules of format from a prompt.

Every step of training shows languages and rules that are new. Never among them are the
rules with a name, nor others of their skeletons, nor languages of two word orders.
Settings were chosen on languages and rules of another seed than the recorded figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch

from labkit.episode import TaskDistribution
from labkit.evaluation import Evaluation
from labkit.experiments.experiment import Experiment
from labkit.learner import Learner
from labkit.learners.in_context import prefix_loss
from labkit.learners.in_context_tokens import InContextTokens, token_cross_entropy
from labkit.measures.by_shots import evaluate_by_shots
from labkit.networks.transformer import Transformer
from labkit.objective import Score
from labkit.tasks.languages.grammar import PLACES, WORDS, Topic
from labkit.tasks.languages.invented import HELD_OUT_ORDERS, ORDERS, Languages
from labkit.tasks.languages.rules import HELD_OUT, Rules
from labkit.tasks.languages.vocabulary import TOKENS
from labkit.tasks.mixture import Mixture
from labkit.training import Objective, Schedule, cosine

LARGEST_SHOT = 16
SHOTS_JUDGED = (0, 1, 2, 4, 8, LARGEST_SHOT)
TRAINED_ORDERS = tuple(order for order in ORDERS if order not in HELD_OUT_ORDERS)
WARM_UP = 100
NEVER = 10**9


@dataclass(frozen=True, kw_only=True)
class InContextLanguages(Experiment):
    """A transformer, meta-trained on every prefix of prompts of `shot` + 1 examples.

    Attributes:
        nouns: how many words a task of the training has.
        verbs: how many words a task of the training has.
        rules: of so many tasks together, how many are rules, languages in English order
            without affixes, those in any trained order without affixes, and whole
            languages.
        plain: of so many tasks together, how many are rules, languages in English order
            without affixes, those in any trained order without affixes, and whole
            languages.
        bare: of so many tasks together, how many are rules, languages in English order
            without affixes, those in any trained order without affixes, and whole
            languages.
        whole: of so many tasks together, how many are rules, languages in English order
            without affixes, those in any trained order without affixes, and whole
            languages.
        falling: let the learning rate fall to 0, as the last of several trainings
            should.
    """

    checkpoint_every: ClassVar[int] = 250

    width: int = 96
    layers: int = 3
    heads: int = 3
    shot: int = LARGEST_SHOT
    nouns: int = 4
    verbs: int = 3
    rules: int
    plain: int
    bare: int
    whole: int
    tasks_per_step: int = 32
    learning_rate: float = 3e-3
    clip_norm: float | None = 1.0
    falling: bool = True

    def learner(self, seed: int = 0) -> InContextTokens:
        network = Transformer(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            context=2 * PLACES * (LARGEST_SHOT + 1),
            seed=seed,
        )
        return InContextTokens(
            network, tokens=len(TOKENS), words=WORDS, places=PLACES, seed=seed
        )

    def loss(self) -> Score:
        return token_cross_entropy

    def objective(self) -> Objective:
        return prefix_loss

    def schedule_over(self, steps: int) -> Schedule:
        return cosine(steps if self.falling else NEVER, WARM_UP)

    def training_tasks(self, device: torch.device) -> Mixture:
        topic = Topic(self.nouns, self.verbs)
        language = partial(Languages, self.shot, topic=topic)
        kinds = (
            Rules(self.shot, topic=topic),
            language(orders=("SVO",), affixes=False),
            language(orders=TRAINED_ORDERS, affixes=False),
            language(orders=TRAINED_ORDERS),
        )
        return Mixture(kinds, (self.rules, self.plain, self.bare, self.whole))

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        kinds: dict[str, Callable[[int], TaskDistribution]] = {
            "new languages": partial(Languages, orders=TRAINED_ORDERS),
            "languages of new orders": partial(Languages, orders=HELD_OUT_ORDERS),
            **{f"rule: {name}": partial(Rules, name=name) for name in HELD_OUT},
        }
        return {
            judged(kind, shot): partial(tasks, shot)
            for kind, tasks in kinds.items()
            for shot in SHOTS_JUDGED
            if shot <= self.shot
        }

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, *, n_tasks: int, seed: int
    ) -> Evaluation:
        """Exact match of the answer after all examples."""
        return evaluate_by_shots(
            cast(InContextTokens, learner), tasks, n_tasks=n_tasks, seed=seed
        )[-1]


def judged(kind: str, shot: int) -> str:
    """The name of the figure on such tasks after so many examples."""
    return f"{kind}, {shot} example{'' if shot == 1 else 's'}"


EXPERIMENTS = {
    "languages-first": InContextLanguages(
        steps=1000,
        shot=8,
        nouns=3,
        verbs=2,
        tasks_per_step=48,
        rules=2,
        plain=2,
        bare=3,
        whole=5,
        falling=False,
    ),
    "languages": InContextLanguages(
        steps=4500, rules=1, plain=1, bare=2, whole=4, start="languages-first"
    ),
}
