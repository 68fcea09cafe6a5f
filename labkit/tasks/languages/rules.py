"""Rules of format and style: the words stay, and what is around them changes.

A rule puts the parts of a sentence in some order, perhaps leaves one out or repeats it,
puts signs or keys between them, and changes the letters' case. Those trained on are
drawn from all there are with at most `PLACES` tokens, but for those with a name,
`HELD_OUT`. No rule trained on has the skeleton of one of these, which is the order of
its parts and of the places where a sign or key stands, whatever sign it is and in
whatever case the words are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from jaxtyping import Int64
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
)
from labkit.tasks.languages.vocabulary import (
    CASES,
    END,
    ENGLISH,
    IDS,
    KEYS,
    SIGNS,
    TOKENS,
    ids,
)

HELD_OUT = {
    "upper case": "SUBJECT VERB OBJECT",
    "reversal": "object verb subject",
    "brackets": "( subject verb object )",
    "delimiters": "subject , verb , object",
    "key and value": "subject: subject verb: verb object: object",
    "function call": "verb ( subject , object )",
    "headline": "Object => Subject",
    "echo": "subject verb object object",
    "frame": "| verb | object |",
    "topic first": "OBJECT ; subject verb",
}
"""Named rules, as patterns: any other word than the three parts, in lower case, upper
case or capitals, stands as it is."""

PARTS = {"subject": (SUBJECT, NUMBER), "verb": (VERB,), "object": (OBJECT,)}
UNITS = (*PARTS.values(), (LITERAL,))


@dataclass(frozen=True)
class Rules:
    """Tasks of rewriting by a rule that is another one in every task, or by one named.

    Attributes:
        shot: how many sentences to learn from, and to rewrite.
        query: how many sentences to learn from, and to rewrite.
        name: of a held-out rule; without it, rules are drawn from those trained on.
        topic: how many words a task has.

    Raises:
        ValueError: no query, or an unknown name.
    """

    shot: int
    query: int = 1
    name: str | None = None
    topic: Topic = FEW_WORDS

    def __post_init__(self) -> None:
        require_counts(self.shot, self.query)
        if self.name is not None and self.name not in HELD_OUT:
            raise ValueError(
                f"There is no rule {self.name!r}. There are: {', '.join(HELD_OUT)}."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks: x is [T, N, 4] and y [T, N, 7], numbers of tokens."""
        if self.name is None:
            grammar = draw_rules(n_tasks, generator=generator)
        else:
            grammar = named(self.name, n_tasks, device=generator.device)
        return grammar.episode(self.shot, self.query, self.topic, generator=generator)


def draw_rules(n_tasks: int, *, generator: torch.Generator) -> Grammar:
    """A rule for each task, none with the skeleton of a held-out one.

    In half of them all parts are in one case, in the others each in its own.
    """
    at = generator.device
    skeletons = trained_skeletons().to(at)

    def uniform(high: int, *shape: int) -> Int64[Tensor, "..."]:
        return torch.randint(high, shape, generator=generator, device=at)

    slots = skeletons[uniform(len(skeletons), n_tasks)]
    forms = uniform(len(CASES), n_tasks, PLACES)
    of_all = forms[:, :1].expand_as(forms)
    forms = torch.where(uniform(2, n_tasks, 1) == 0, of_all, forms)
    before = forms.roll(1, dims=1)
    forms = torch.where(slots == NUMBER, before, forms)  # a noun's number goes with it
    fixed = torch.tensor(ids([*SIGNS, *KEYS]), device=at)
    literals = fixed[uniform(len(fixed), n_tasks, PLACES)]
    literals = literals.where(slots == LITERAL, IDS[END])
    return Grammar(slots, forms, literals, case_tables(n_tasks, at))


def named(name: str, n_tasks: int, *, device: torch.device) -> Grammar:
    """A held-out rule, the same for all tasks."""
    slots, forms, literals = (
        torch.tensor(column, device=device).expand(n_tasks, PLACES)
        for column in parse(HELD_OUT[name])
    )
    return Grammar(slots, forms, literals, case_tables(n_tasks, device))


def parse(pattern: str) -> tuple[list[int], list[int], list[int]]:
    """The slots, forms and literals of a rule that is written as a pattern."""
    places = []
    for word in pattern.split():
        part = PARTS.get(word.lower())
        if part is None:
            places.append((LITERAL, 0, IDS[word]))
        else:
            form = [case(word.lower()) for case in CASES].index(word)
            places += [(slot, form, IDS[END]) for slot in part]
    places += [(FINISHED, 0, IDS[END])] * (PLACES - len(places))
    slots, forms, literals = zip(*places, strict=True)
    return list(slots), list(forms), list(literals)


@cache
def trained_skeletons() -> Int64[Tensor, "R places"]:
    """All skeletons that training draws from, the same number of each length or fewer.

    Each has at least one part of the sentence, none more than twice, and at most four
    places for signs and keys.
    """
    held_out = {tuple(parse(pattern)[0]) for pattern in HELD_OUT.values()}
    found = []
    for units in range(1, PLACES + 1):
        for chosen in product(UNITS, repeat=units):
            slots = [slot for unit in chosen for slot in unit]
            counts = [slots.count(slot) for slot in (SUBJECT, VERB, OBJECT)]
            if len(slots) > PLACES or max(counts) > 2 or sum(counts) < 1:
                continue
            if slots.count(LITERAL) > 4:
                continue
            skeleton = tuple(slots + [FINISHED] * (PLACES - len(slots)))
            if skeleton not in held_out:
                found.append(skeleton)
    return torch.tensor(found, device="cpu")


def case_tables(n_tasks: int, device: torch.device) -> Int64[Tensor, "T F V"]:
    """From each English token to itself in each case."""
    tables = [
        [IDS[case(token)] if token in ENGLISH else IDS[token] for token in TOKENS]
        for case in CASES
    ]
    return torch.tensor(tables, device=device).expand(n_tasks, -1, -1)
