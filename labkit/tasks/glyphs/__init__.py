"""An endless set of invented handwritten characters, drawn by a small motor program.

After Lake et al. (2015): a character is a sequence of strokes that join one another,
and a drawing is one execution of that program by a hand that varies.

    style of an alphabet -> strokes of a character -> variation of a drawer -> ink
    invention.py            invention.py, strokes.py  hand.py                   pen.py

Lengths are in units of the box a character is drawn in: x to the right, y downwards.
Sizes and variations are set to those of Omniglot's Balinese, Early Aramaic, Greek,
Korean and Latin.
"""

from __future__ import annotations

import math

import torch

from labkit.tasks.characters import CharacterSet
from labkit.tasks.glyphs.hand import draw
from labkit.tasks.glyphs.invention import CANDIDATES, invent
from labkit.tasks.glyphs.pen import PEN_WIDTH, ink
from labkit.tasks.glyphs.strokes import Strokes

AT_ONCE = 512
"""Candidates invented, or images drawn, in one go: what bounds the memory in use."""

MOST_CHARACTERS = 500
"""Of an alphabet: they are compared in pairs."""


def draw_alphabets(
    n_alphabets: int,
    characters: int,
    drawings: int,
    *,
    size: int = 28,
    generator: torch.Generator,
) -> CharacterSet:
    """Invent alphabets, and let `drawings` hands draw each of their characters.

    Everything is made on the generator's device. The same generator state gives the
    same characters and drawings at every `size` (pixels a side).

    Raises:
        ValueError: a count is below 1, an alphabet is of more than `MOST_CHARACTERS`,
            or the size is below 8 pixels.
    """
    for name, value, least in (
        ("n_alphabets", n_alphabets, 1),
        ("characters", characters, 1),
        ("drawings", drawings, 1),
        ("size", size, 8),
    ):
        if value < least:
            raise ValueError(
                f"draw_alphabets cannot use {name}={value}: at least {least} is needed."
            )
    if characters > MOST_CHARACTERS:
        raise ValueError(
            f"characters={characters}: an alphabet has at most {MOST_CHARACTERS}. For "
            "more, ask for more alphabets."
        )
    device = generator.device
    alphabets_at_once = math.ceil(AT_ONCE / (characters * CANDIDATES))
    strokes = Strokes.concatenate(
        [
            invent(len(some), characters, generator)
            for some in torch.arange(n_alphabets).split(alphabets_at_once)
        ]
    )
    images = torch.empty(
        (n_alphabets * characters * drawings, size, size),
        dtype=torch.uint8,
        device=device,
    )
    for some in torch.arange(len(images), device=device).split(AT_ONCE):
        path = draw(strokes[some // drawings], generator)
        images[some] = ink(path, size, PEN_WIDTH)
    names = tuple(f"invented{alphabet:03}" for alphabet in range(n_alphabets))
    return CharacterSet(
        images.view(-1, drawings, size, size),
        torch.arange(n_alphabets, device=device).repeat_interleave(characters),
        tuple(f"{name}/character{c:02}" for name in names for c in range(characters)),
        names,
    )
