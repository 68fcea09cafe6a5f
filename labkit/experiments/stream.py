"""Streams of characters: learners with a memory, trained to classify as they go.

The protocol is that of Santoro et al. (2016), Table 1: five classes, ten drawings of
each, one-hot labels that are new in every task and come one step late. What is read is
not pixels, unless an experiment says so, but the features that the network of
`matching-glyphs` gives a drawing. It is not trained further, so that every drawing is
embedded once, and all that is learned here is what to remember.

Settings were compared on invented characters of another seed; figures on the held-out
alphabets were looked at when all was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, cast

import torch

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation, device_of
from labkit.experiments import records
from labkit.experiments.characters import DRAWINGS, WORLD, fresh_glyphs, held_out
from labkit.experiments.experiment import Experiment
from labkit.experiments.records import Published
from labkit.learner import Learner
from labkit.learners.mann import MANN
from labkit.learners.matching import MatchingNet
from labkit.learners.recurrent import LSTMLearner, StreamLearner
from labkit.measures.streams import evaluate_stream, stream_loss
from labkit.networks.conv4 import Conv4
from labkit.networks.flat import Flat
from labkit.networks.network import Network
from labkit.randomness import seeded, spawn
from labkit.tasks import omniglot
from labkit.tasks.characters import CharacterSet, FewShot, concatenate
from labkit.tasks.embedded import Embedded
from labkit.tasks.glyphs import draw_alphabets
from labkit.tasks.stream import Stream
from labkit.training import History, Objective, Schedule, cosine

CLASSES, PRESENTATIONS = 5, 10
Embedding = Literal["matching-glyphs", "pixels"]
SIZES: dict[Embedding, int] = {"matching-glyphs": 28, "pixels": 20}

SANTORO = {
    "LSTM": {1: 0.244, 2: 0.495, 3: 0.553, 4: 0.610, 5: 0.636, 10: 0.625},
    "MANN": {1: 0.364, 2: 0.828, 3: 0.910, 4: 0.926, 5: 0.949, 10: 0.981},
}
"""Table 1: accuracy by presentation with one-hot labels and five classes."""


@dataclass(frozen=True)
class AtPresentation:
    """The tasks of a stream, to be judged at one presentation of each class."""

    tasks: Stream
    presentation: int

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        return self.tasks.sample(n_tasks, generator=generator)


@dataclass(frozen=True, kw_only=True)
class CharacterStream(Experiment):
    """A learner with a memory, meta-trained on streams of characters.

    Attributes:
        embedding: whose features are read, or "pixels" of 20 × 20 as in the paper.
        glyph_alphabets: how many invented alphabets of 20 characters to train on.
        omniglot: real characters to train on as well, with their rotations.
        warm_up: steps on streams of half the length, before `steps` on whole ones.
        heads: of MANN; an LSTM has none.
    """

    method: Literal["LSTM", "MANN"]
    embedding: Embedding = "matching-glyphs"
    glyph_alphabets: int
    omniglot: Literal["none", "small1"] = "none"
    warm_up: int = 0
    heads: int = 0
    tasks_per_step: int = 16
    learning_rate: float = 3e-3
    clip_norm: float | None = 10.0

    def learner(self, seed: int = 0) -> StreamLearner:
        inputs = Flat(features=400 if self.embedding == "pixels" else 64)
        if self.method == "LSTM":
            return LSTMLearner(inputs, CLASSES, seed=seed)
        return MANN(inputs, CLASSES, heads=self.heads, seed=seed)

    def objective(self) -> Objective:
        return stream_loss

    def schedule_over(self, steps: int) -> Schedule:
        return cosine(steps)

    def training_tasks(self, device: torch.device) -> Stream:
        return stream_of(self.characters().to(device), self.embedding)

    def train(
        self, learner: Learner, *, steps: int, seed: int, label: str, kept: Path | None
    ) -> History:
        """On short streams first, if it is to warm up, and then on whole ones."""
        seconds = 0.0
        if self.warm_up:
            characters = self.characters().to(device_of(learner))
            warming = self.meta_train(
                learner,
                stream_of(characters, self.embedding, presentations=5),
                max(1, self.warm_up * steps // self.steps),  # less in a smoke run
                spawn(seed, "warm-up"),
                f"{label}: warm-up",
                kept and kept.with_suffix(".warm-up.pt"),
            )
            seconds = warming.seconds
        history = super().train(learner, steps=steps, seed=seed, label=label, kept=kept)
        history.seconds += seconds
        return history

    def characters(self) -> CharacterSet:
        """What it is trained on."""
        size = SIZES[self.embedding]
        glyphs = draw_alphabets(
            self.glyph_alphabets,
            20,
            DRAWINGS,
            size=size,
            generator=seeded(WORLD, "glyphs of streams"),
        )
        if self.omniglot == "none":
            return glyphs
        return concatenate(glyphs, omniglot.load("small1", size).with_rotations())

    def evaluations(self) -> dict[str, Callable[[], TaskDistribution]]:
        sources = {"fresh glyphs": fresh_glyphs, "held-out alphabets": held_out}
        return {
            presented(source, k): partial(_judged, characters, self.embedding, k)
            for source, characters in sources.items()
            for k in SANTORO[self.method]
        }

    def evaluate(
        self, learner: Learner, tasks: TaskDistribution, *, n_tasks: int, seed: int
    ) -> Evaluation:
        judged = cast(AtPresentation, tasks)
        return evaluate_stream(
            cast(StreamLearner, learner),
            judged.tasks,
            presentations=PRESENTATIONS,
            n_tasks=n_tasks,
            seed=seed,
        )[judged.presentation - 1]

    def data_sha256(self) -> dict[str, str]:
        parts = ("small2",) if self.omniglot == "none" else ("small1", "small2")
        return omniglot.data_sha256(*parts)


def presented(source: str, k: int) -> str:
    """What a figure is called: accuracy where classes of `source` come the k-th time"""
    return f"{source}, 5 classes, presentation {k}"


def stream_of(
    characters: CharacterSet,
    embedding: Embedding = "matching-glyphs",
    classes: int = CLASSES,
    presentations: int = PRESENTATIONS,
) -> Stream:
    """Streams of these characters, embedded once for all."""
    few_shot = FewShot(characters, classes, presentations, query=1)
    if embedding == "pixels":
        return Stream(few_shot)
    network = embedding_network().to(characters.images.device)
    return Stream(Embedded.by(network, few_shot))


def embedding_network() -> Network:
    """The Conv4 of `matching-glyphs`: 28 × 28 pixels → 64 features."""
    trained = records.load_weights(MatchingNet(Conv4(), "cosine"), "matching-glyphs")
    return cast(Network, trained.get_submodule("network").eval())


@cache
def _stream(characters: Callable[[int], CharacterSet], embedding: Embedding) -> Stream:
    return stream_of(characters(SIZES[embedding]), embedding)


def _judged(
    characters: Callable[[int], CharacterSet], embedding: Embedding, k: int
) -> AtPresentation:
    return AtPresentation(_stream(characters, embedding), k)


def _published(method: Literal["LSTM", "MANN"]) -> dict[str, Published]:
    source = "Santoro et al. 2016, Table 1"
    return {
        presented("held-out alphabets", k): Published(value, source)
        for k, value in SANTORO[method].items()
    }


TESTED = (
    "tested on three alphabets of small2; Santoro et al. train on 1,200 characters of "
    "Omniglot with rotations and test on the other 423"
)
FEATURES = (
    "reads 64 features of the Conv4 of matching-glyphs, which was trained on invented "
    "characters and stays as it is, in place of 20 × 20 pixels"
)


def _lstm(real: Literal["none", "small1"]) -> CharacterStream:
    return CharacterStream(
        method="LSTM",
        glyph_alphabets=50,
        omniglot=real,
        steps=10_000,
        published=_published("LSTM"),
        deviations=(FEATURES, TESTED),
    )


def _mann(real: Literal["none", "small1"]) -> CharacterStream:
    """One head takes a quarter less time than four, a short stream half of a long."""
    return CharacterStream(
        method="MANN",
        heads=1,
        glyph_alphabets=50,
        omniglot=real,
        warm_up=2000,
        steps=10_000,
        published=_published("MANN"),
        deviations=(
            FEATURES,
            TESTED,
            "one head in place of four",
            "trained on streams of 5 presentations first, then of 10",
        ),
    )


def _on_pixels(method: Literal["LSTM", "MANN"]) -> CharacterStream:
    """Pixels and the published heads, with the deviations of `mann` and other
    characters: for a GPU.
    """
    return CharacterStream(
        method=method,
        heads=4 if method == "MANN" else 0,
        embedding="pixels",
        glyph_alphabets=50,
        omniglot="small1",
        steps=100_000,
        learning_rate=1e-3,
        published=_published(method),
        deviations=(TESTED,),
    )


EXPERIMENTS = {
    "lstm-stream-glyphs": _lstm("none"),
    "lstm-stream": _lstm("small1"),
    "mann-stream-glyphs": _mann("none"),
    "mann-stream": _mann("small1"),
    "lstm-stream-pixels": _on_pixels("LSTM"),
    "mann-stream-pixels": _on_pixels("MANN"),
}
