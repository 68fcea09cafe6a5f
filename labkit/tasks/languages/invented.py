"""Invented languages: another lexicon, word order, affixes and agreement in every task.

A language translates nouns and verbs by a random one-to-one lexicon. It puts subject,
verb and object in one of six orders; marks the number of the subject on the noun, and
perhaps once more, in agreement, on the verb; and marks perhaps subject or object by an
affix of its case. Each affix is a prefix or a suffix. All are drawn at random for every
task: that a language comes twice is beyond all likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.episode import Episode
from labkit.tasks.languages.grammar import (
    FEW_WORDS,
    FINISHED,
    LITERAL,
    NUMBER,
    OBJECT,
    PLACES,
    SUBJECT,
    VERB,
    Grammar,
    Topic,
    require_counts,
    shuffled,
)
from labkit.tasks.languages.vocabulary import (
    END,
    IDS,
    NOUNS,
    PLURAL,
    PREFIXES,
    SINGULAR,
    STEMS,
    SUFFIXES,
    TOKENS,
    VERBS,
    ids,
)

ORDERS = tuple("".join(order) for order in permutations("SVO"))
HELD_OUT_ORDERS = ("OVS", "VOS")
"""Not trained on."""

NONE, PREFIX, SUFFIX = range(3)
SINGULAR_SUBJECT, PLURAL_SUBJECT, SINGULAR_VERB, PLURAL_VERB, NOMINATIVE, ACCUSATIVE = (
    range(6)
)
"""What an affix can mean."""


class Place(NamedTuple):
    """What stands at one place of a sentence.

    Attributes:
        form: 0, or 1 for the number of the subject as it is marked on the verb.
        affix: which, if it is always the same; −1 otherwise.
        side: PREFIX or SUFFIX, or NONE for what is no affix.
    """

    slot: int
    form: int = 0
    affix: int = -1
    side: int = NONE


@dataclass(frozen=True)
class Arrangement:
    """A word order, and where the affixes are: NONE, PREFIX or SUFFIX."""

    order: str
    number: int
    agreement: int
    nominative: int
    accusative: int

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the six affixes."""
        number, agreement = self.number, self.agreement
        return (number, number, agreement, agreement, self.nominative, self.accusative)

    @property
    def places(self) -> tuple[Place, ...]:
        """What stands where, up to the full number of places."""
        subject = _affixed([Place(SUBJECT)], NUMBER, 0, -1, self.number)
        parts = {
            "S": _affixed(subject, LITERAL, 0, NOMINATIVE, self.nominative),
            "V": _affixed([Place(VERB)], NUMBER, 1, -1, self.agreement),
            "O": _affixed([Place(OBJECT)], LITERAL, 0, ACCUSATIVE, self.accusative),
        }
        places = [place for part in self.order for place in parts[part]]
        return (*places, *[Place(FINISHED)] * (PLACES - len(places)))


def _affixed(
    inner: list[Place], slot: int, form: int, affix: int, side: int
) -> list[Place]:
    added = [] if side == NONE else [Place(slot, form, affix, side)]
    return added + inner if side == PREFIX else inner + added


def arrangements(orders: tuple[str, ...], affixes: bool = True) -> list[Arrangement]:
    """All there are in these orders: number is always marked, the rest perhaps; or
    nothing is, without affixes."""
    marked = (PREFIX, SUFFIX) if affixes else (NONE,)
    perhaps = (NONE, *marked) if affixes else (NONE,)
    return [
        Arrangement(*choice)
        for choice in product(orders, marked, perhaps, perhaps, perhaps)
    ]


@dataclass(frozen=True)
class Languages:
    """Tasks of translating into a language that is new in every task.

    Attributes:
        shot: how many sentences to learn from, and to translate.
        query: how many sentences to learn from, and to translate.
        orders: the word orders there are.
        affixes: whether there are any; without, a language is a lexicon and an order.
        topic: how many words a task has.

    Raises:
        ValueError: no query, or an unknown word order.
    """

    shot: int
    query: int = 1
    orders: tuple[str, ...] = ORDERS
    affixes: bool = True
    topic: Topic = FEW_WORDS

    def __post_init__(self) -> None:
        require_counts(self.shot, self.query)
        if not self.orders or not set(self.orders) <= set(ORDERS):
            raise ValueError(f"orders={self.orders} must be some of {ORDERS}.")

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks: x is [T, N, 4] and y [T, N, 7], numbers of tokens."""
        grammar = draw_languages(
            n_tasks, self.orders, self.affixes, generator=generator
        )
        return grammar.episode(self.shot, self.query, self.topic, generator=generator)


def draw_languages(
    n_tasks: int,
    orders: tuple[str, ...] = ORDERS,
    affixes: bool = True,
    *,
    generator: torch.Generator,
) -> Grammar:
    """A language for each task."""
    at = generator.device
    slots, forms, fixed, sides = (part.to(at) for part in _tables(orders, affixes))
    which = torch.randint(len(slots), (n_tasks,), generator=generator, device=at)
    # another syllable for each meaning, written as a prefix or as a suffix
    syllables = shuffled(n_tasks, len(SUFFIXES), generator)[:, : sides.shape[1]]
    written = torch.tensor([ids(PREFIXES), ids(SUFFIXES)], device=at)
    by_meaning = written[(sides[which] == SUFFIX).long(), syllables]
    literals = by_meaning.gather(1, fixed[which].clamp(min=0))
    literals = torch.where(fixed[which] >= 0, literals, IDS[END])

    tables = torch.arange(len(TOKENS), device=at).repeat(n_tasks, 2, 1)
    words = torch.tensor(ids([*NOUNS, *VERBS]), device=at)
    stems = torch.tensor(ids(STEMS), device=at)
    tables[:, 0, words] = stems[
        shuffled(n_tasks, len(stems), generator)[:, : len(words)]
    ]
    numbers = torch.tensor(ids([SINGULAR, PLURAL]), device=at)
    tables[:, :, numbers] = by_meaning[:, :NOMINATIVE].view(n_tasks, 2, 2)
    return Grammar(slots[which], forms[which], literals, tables)


@cache
def _tables(
    orders: tuple[str, ...], affixes: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each arrangement the slot, form and affix at each place; side by affix."""
    all_ = arrangements(orders, affixes)
    places = torch.tensor([one.places for one in all_], device="cpu")
    slots, forms, fixed, _ = places.unbind(-1)
    sides = torch.tensor([one.sides for one in all_], device="cpu")
    return slots, forms, fixed, sides
