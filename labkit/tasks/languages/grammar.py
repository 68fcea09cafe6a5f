"""Grammars: what turns an English sentence into one of another language or format.

A sentence has four tokens: subject, its number, verb, object, as in "dog -s saw cat". A
grammar has `PLACES` places. At each stands a token of the sentence, looked up in one of
the grammar's tables, or a token that is always the same, such as a bracket:

    y[p] = tables[form[p], x[slot[p]]]    or    literal[p]

Everything has a leading task axis, so that T tasks are T grammars.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit.episode import Episode
from labkit.tasks.languages.vocabulary import NOUNS, PLURAL, SINGULAR, VERBS, ids

SUBJECT, NUMBER, VERB, OBJECT, LITERAL, FINISHED = range(6)
"""What can stand at a place: one of the four tokens of a sentence, a token that is
always the same, or nothing any more."""

WORDS, PLACES = 4, 7


@dataclass(frozen=True)
class Grammar:
    """One grammar for each of T tasks.

    Attributes:
        slots: what stands at each place.
        forms: which table it is looked up in, if it is of the sentence.
        literals: which token it is, if it is always the same.
        tables: F tables from all V tokens to tokens.
    """

    slots: Int64[Tensor, "T places"]
    forms: Int64[Tensor, "T places"]
    literals: Int64[Tensor, "T places"]
    tables: Int64[Tensor, "T F V"]

    def apply(self, x: Int64[Tensor, "T N words"]) -> Int64[Tensor, "T N places"]:
        """Each task's sentences in its own language or format."""
        T, N, _ = x.shape
        slots = self.slots[:, None].expand(T, N, PLACES)
        words = x.gather(2, slots.clamp(max=WORDS - 1))
        entries = self.forms[:, None] * self.tables.shape[-1] + words
        found = self.tables.flatten(1).gather(1, entries.flatten(1)).view_as(words)
        return torch.where(slots < WORDS, found, self.literals[:, None])

    def episode(
        self, shot: int, query: int, topic: Topic, *, generator: torch.Generator
    ) -> Episode:
        """Sentences x of a topic and what they become, all different within a task."""
        x = topic.sentences(len(self.slots), shot + query, generator=generator)
        y = self.apply(x)
        return Episode(x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:])


@dataclass(frozen=True)
class Topic:
    """How many nouns and verbs a task speaks with, drawn from all for each task."""

    nouns: int = 4
    verbs: int = 3

    @property
    def n_sentences(self) -> int:
        """Of different ones: nobody is both subject and object."""
        return self.nouns * 2 * self.verbs * (self.nouns - 1)

    def sentences(
        self, n_tasks: int, count: int, *, generator: torch.Generator
    ) -> Int64[Tensor, "T count words"]:
        """Different sentences, the same few words in all of a task's.

        Raises:
            ValueError: more sentences than can be made of so few words.
        """
        if count > self.n_sentences:
            raise ValueError(
                f"{self.nouns} nouns and {self.verbs} verbs make {self.n_sentences} "
                f"sentences, not {count}. Ask for fewer examples or give more words."
            )
        at = generator.device
        nouns = torch.tensor(ids(NOUNS), device=at)
        verbs = torch.tensor(ids(VERBS), device=at)
        numbers = torch.tensor(ids([SINGULAR, PLURAL]), device=at)
        nouns = nouns[shuffled(n_tasks, len(nouns), generator)[:, : self.nouns]]
        verbs = verbs[shuffled(n_tasks, len(verbs), generator)[:, : self.verbs]]
        sizes = (self.nouns, 2, self.verbs, self.nouns - 1)
        chosen = shuffled(n_tasks, self.n_sentences, generator)[:, :count]
        subject, number, verb, other = torch.unravel_index(chosen, sizes)
        object_ = other + (other >= subject)  # the others, numbered without it
        return torch.stack(
            [
                nouns.gather(1, subject),
                numbers[number],
                verbs.gather(1, verb),
                nouns.gather(1, object_),
            ],
            dim=-1,
        )


FEW_WORDS = Topic()
"""Four nouns and three verbs, of which there are 72 sentences."""


def shuffled(
    n_tasks: int, size: int, generator: torch.Generator
) -> Int64[Tensor, "T size"]:
    """The numbers below `size`, in another random order for each task."""
    keys = torch.rand(n_tasks, size, generator=generator, device=generator.device)
    return keys.argsort(1)


def require_counts(shot: int, query: int) -> None:
    """
    Raises:
        ValueError: fewer than no examples, or no query.
    """
    if shot < 0 or query < 1:
        raise ValueError(
            f"shot={shot} must be at least 0 and query={query} at least 1."
        )
