"""The tokens that sentences are made of, and how they are written as text.

A token is a word, an affix, a sign or a key. Its number is its place in `TOKENS`. As
text, tokens stand apart, but for affixes: "dog" and "-s" are written "dogs", and the
prefix "an-" and "bamo" are written "anbamo".
"""

from __future__ import annotations

from collections.abc import Iterable

END = ""
"""What stands after the last token of a sentence, up to the last of its places."""

NOUNS, VERBS, SIGNS, KEYS, _AFFIXES = (
    line.split()
    for line in (
        "dog cat bird horse girl boy king queen doctor farmer lion robot",
        "saw heard found chased helped followed pushed called",
        "( ) [ ] { } , ; : | = =>",
        "subject: verb: object: who: did: whom:",
        "an el ik om ur as et il on ub ar ex",
    )
)
SINGULAR, PLURAL = "-", "-s"
_ONSETS, _VOWELS = "bdgklmnptz", "auio"
_SYLLABLES = [onset + vowel for onset in _ONSETS for vowel in _VOWELS]
STEMS = [first + _SYLLABLES[(7 * i + 13) % 40] for i, first in enumerate(_SYLLABLES)]
PREFIXES = [affix + "-" for affix in _AFFIXES]
SUFFIXES = ["-" + affix for affix in _AFFIXES]

ENGLISH = [*NOUNS, *VERBS, SINGULAR, PLURAL]
CASES = (str, str.upper, str.capitalize)
"""What can be done to the letters of an English token: nothing, or two things."""

TOKENS = list(
    dict.fromkeys(
        [END]
        + [case(word) for case in CASES for word in ENGLISH]
        + [*SIGNS, *KEYS, *STEMS, *PREFIXES, *SUFFIXES]
    )
)
IDS = {token: number for number, token in enumerate(TOKENS)}


def ids(tokens: Iterable[str]) -> list[int]:
    """The numbers of tokens."""
    return [IDS[token] for token in tokens]


def text(numbers: Iterable[int]) -> str:
    """The tokens with these numbers, as one line."""
    line = " ".join(TOKENS[number] for number in numbers if number != IDS[END])
    return (line + " ").replace("- ", "").replace(" -", "").strip()
