"""Bursty sequences of labelled items, in which there are two ways to be right.

M classes have one of L labels each, for ever. A sequence shows `shot` items with their
labels and asks for that of one more (Chan et al. 2022, section 2; Reddy 2024,
section 2). What the weights know of its class answers it, and so does the context, if
the class is in it. The tests take one of the two ways away, or set them against each
other.

An item of class c is x = (μ_c + σ ξ) / √(1 + σ²) with μ_c, ξ ~ N(0, I/D), as in Reddy
(2024). Chan et al. take the characters of Omniglot.

Deviations: classes with the same label are never in one sequence, so that a label says
which items match; and where the query's class is missing from the context, the classes
there still occur `copies` times each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.randomness import seeded

Test = Literal["", "in weights", "new classes", "swapped labels"]


@dataclass(frozen=True)
class Bursty:
    """p(T) of sequences with one query each; targets are one-hot over the L labels.

    Attributes:
        classes: M, a multiple of `labels`; class c has the label c mod L.
        copies: how often each class of a context occurs in it.
        burstiness: the fraction of sequences whose context holds the query's class.
        zipf: the class of rank r = c + 1 is drawn in proportion to r to the power of
            −zipf.
        noise: σ, the spread within a class.
        label_noise: the fraction of sequences in which the labels of the context's
            classes are moved on by one, so that what the weights know of them is wrong.
        world: which M classes.
        test: "" for training, or what is tested: "in weights", the query's class and
            label are not in the context; "new classes", drawn for this sequence alone,
            the query's among them; "swapped labels", a class of the context with the
            label it has there.

    Raises:
        ValueError: numbers that leave no such sequence.
    """

    classes: int = 2048
    labels: int = 32
    dimension: int = 32
    shot: int = 8
    copies: int = 2
    burstiness: float = 0.9
    zipf: float = 0.0
    noise: float = 0.1
    label_noise: float = 0.0
    world: int = 0
    test: Test = ""

    def __post_init__(self) -> None:
        if self.labels < 1 or self.noise < 0:
            raise ValueError(
                f"labels={self.labels} must be at least 1 and noise={self.noise} at "
                "least 0."
            )
        if self.classes < 1 or self.classes % self.labels:
            raise ValueError(
                f"classes={self.classes} must be a multiple of labels={self.labels}: "
                "every label has as many classes."
            )
        if self.copies < 1 or self.shot % self.copies:
            raise ValueError(
                f"shot={self.shot} must be a multiple of copies={self.copies}: every "
                "class of a context occurs as often."
            )
        if not self.in_context < self.labels:
            raise ValueError(
                f"A sequence has {self.in_context + 1} classes, each with another "
                f"label, and there are labels={self.labels}: use more labels or copies."
            )
        swaps = self.label_noise > 0 or self.test == "swapped labels"
        if swaps and self.in_context < 2:
            raise ValueError(
                "Labels are swapped between classes, and with copies=shot the context "
                "holds one class: use fewer copies."
            )
        if not (0 <= self.burstiness <= 1 and 0 <= self.label_noise <= 1):
            raise ValueError(
                f"burstiness={self.burstiness} and label_noise={self.label_noise} are "
                "fractions of all sequences, between 0 and 1."
            )

    @property
    def in_context(self) -> int:
        """The number of classes in a context."""
        return self.shot // self.copies

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw sequences: `shot` items of [D] to learn from, and one to ask about."""
        T, n, device = n_tasks, self.in_context, generator.device
        task = torch.arange(T, device=device)[:, None]

        classes = self.draw_classes(T, n + 1, generator=generator)
        labels = classes % self.labels
        if self.test == "new classes":
            centres = _normal((T, n + 1, self.dimension), generator)
        else:
            centres = means(self.classes, self.dimension, self.world, device)[classes]

        burstiness = {"": self.burstiness, "in weights": 0.0}.get(self.test, 1.0)
        swaps = {"": self.label_noise, "swapped labels": 1.0}.get(self.test, 0.0)
        # the last of the n + 1 classes is not in the context
        asked = torch.where(_chance(T, burstiness, generator), 0, n)
        moved = torch.cat([labels[:, :n].roll(1, dims=1), labels[:, n:]], dim=1)
        told = torch.where(_chance(T, swaps, generator), moved, labels)

        places = torch.arange(self.shot, device=device).expand(T, -1) % n
        which = torch.cat([_shuffled(places, generator), asked], dim=1)
        spread = self.noise * _normal((T, self.shot + 1, self.dimension), generator)
        x = (centres[task, which] + spread) / (1 + self.noise**2) ** 0.5
        y = F.one_hot(told[task, which], self.labels).float()
        support, query = slice(self.shot), slice(self.shot, None)
        return Episode(x[:, support], y[:, support], x[:, query], y[:, query])

    def draw_classes(
        self, n_tasks: int, number: int, *, generator: torch.Generator
    ) -> Int[Tensor, "T number"]:
        """Classes with different labels, drawn one after the other in proportion to
        their frequency without those whose label is taken, then shuffled.

        It is a race: class c arrives after a time from Exp(p_c), and the first of each
        label counts.
        """
        device = generator.device
        ranks = torch.arange(1, self.classes + 1, device=device)
        drawn = torch.rand(n_tasks, self.classes, generator=generator, device=device)
        arrival = -drawn.log() * ranks**self.zipf
        first = arrival.unflatten(1, (-1, self.labels)).min(dim=1)
        labels = first.values.topk(number, largest=False).indices
        return _shuffled(
            first.indices.gather(1, labels) * self.labels + labels, generator
        )


@cache
def means(
    classes: int, dimension: int, world: int, device: torch.device
) -> Float[Tensor, "M D"]:
    """The μ of all classes of a world, the same on every device."""
    return _normal((classes, dimension), seeded(world, "classes of a world")).to(device)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Vectors with a mean squared length of 1."""
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return drawn / shape[-1] ** 0.5


def _shuffled(
    rows: Int[Tensor, "T n"], generator: torch.Generator
) -> Int[Tensor, "T n"]:
    keys = torch.rand(rows.shape, generator=generator, device=generator.device)
    return rows.gather(1, keys.argsort(1))


def _chance(
    n_tasks: int, probability: float, generator: torch.Generator
) -> Bool[Tensor, "T 1"]:
    draw = torch.rand(n_tasks, 1, generator=generator, device=generator.device)
    return draw < probability
