"""The reader of invented languages: what can be known from a prompt, by plain loops.

It knows how languages are made, and nothing of the one at hand. It goes through all
arrangements of stems and affixes, reads lexicon and affixes off the examples under
each, and drops those under which a word would have two translations, or two words the
same. A query is answered if an arrangement that is left says what all its parts become;
where several do and differ, most votes win. What is not in the prompt is not guessed.
So its share of exact answers is what a learner can reach, but for lucky guesses.
"""

from __future__ import annotations

from collections import Counter

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit.learner import Learner
from labkit.tasks.languages.grammar import FINISHED, LITERAL, PLACES
from labkit.tasks.languages.invented import (
    NONE,
    ORDERS,
    PREFIX,
    SUFFIX,
    Place,
    arrangements,
)
from labkit.tasks.languages.vocabulary import (
    END,
    IDS,
    PREFIXES,
    STEMS,
    SUFFIXES,
    TOKENS,
)

Arranged = tuple[Place, ...]
Reading = dict[tuple[int, int], int]
"""What (form, English token) becomes, and which token the affix (LITERAL, affix) is."""

SIDES = {NONE: {*STEMS}, PREFIX: {*PREFIXES}, SUFFIX: {*SUFFIXES}}


class LanguageOracle(Learner):
    """θ' = for each task the arrangements that fit its support, with their readings."""

    def __init__(self, orders: tuple[str, ...] = ORDERS) -> None:
        super().__init__()
        self.candidates = [one.places for one in arrangements(orders)]

    def adapt(
        self,
        support_x: Int64[Tensor, "T S words"],
        support_y: Int64[Tensor, "T S places"],
    ) -> list[list[tuple[Arranged, Reading]]]:
        adapted = []
        for x, y in zip(support_x.tolist(), support_y.tolist(), strict=True):
            readings = [(one, read(one, x, y)) for one in self.candidates]
            adapted.append([(one, found) for one, found in readings if found])
        return adapted

    def predict(
        self,
        adapted: list[list[tuple[Arranged, Reading]]],
        query_x: Int64[Tensor, "T Q words"],
    ) -> Int64[Tensor, "T Q places"]:
        answers = [
            [answer(readings, x) for x in queries]
            for readings, queries in zip(adapted, query_x.tolist(), strict=True)
        ]
        return torch.tensor(answers, device=query_x.device)


def read(one: Arranged, x: list[list[int]], y: list[list[int]]) -> Reading | None:
    """What the examples say under this arrangement; None if they contradict it."""
    reading: Reading = {}
    for sentence, translation in zip(x, y, strict=True):
        for place, token in zip(one, translation, strict=True):
            known = {END} if place.slot == FINISHED else SIDES[place.side]
            part = key(place, sentence)
            if TOKENS[token] not in known or reading.setdefault(part, token) != token:
                return None
    return reading if len(set(reading.values())) == len(reading) else None


def key(place: Place, sentence: list[int]) -> tuple[int, int]:
    """What it is that stands at this place: a word or an affix, or the end."""
    if place.slot in (LITERAL, FINISHED):
        return place.slot, place.affix
    return place.form, sentence[place.slot]


def answer(readings: list[tuple[Arranged, Reading]], sentence: list[int]) -> list[int]:
    """What most arrangements say; an empty sentence where none knows all parts."""
    votes: Counter[tuple[int, ...]] = Counter()
    for one, reading in readings:
        parts = [place for place in one if place.slot != FINISHED]
        if all(key(place, sentence) in reading for place in parts):
            said = [reading[key(place, sentence)] for place in parts]
            votes[tuple(said + [IDS[END]] * (PLACES - len(said)))] += 1
    most = votes.most_common(1)
    return list(most[0][0]) if most else [IDS[END]] * PLACES
