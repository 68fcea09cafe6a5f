"""Characters put together from two others."""

from __future__ import annotations

import pytest
import torch

from labkit.randomness import seeded
from labkit.tasks.characters import CharacterSet
from labkit.tasks.compounds import compounds

SIDE = 20


@pytest.fixture
def characters() -> CharacterSet:
    """A page all white and one that holds a mark at its left edge, halfway up."""
    images = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    images[1, :, 8:12, :4] = 200
    alphabet = torch.zeros(2, dtype=torch.int64)
    return CharacterSet(images, alphabet, ("A/1", "A/2"), ("A",))


def test_a_compound_has_both_parts_each_in_its_place(characters):
    made = compounds(characters, 100, generator=seeded(0))
    assert made.images.shape == (100, 3, SIDE, SIDE)
    ink = (made.images > 60).any(1)
    halves = {
        (
            bool(page[: SIDE // 2].any()),
            bool(page[SIDE // 2 :].any()),
            bool(page[:, : SIDE // 2].any()),
            bool(page[:, SIDE // 2 :].any()),
        )
        for page in ink
    }
    above, below = (True, False, True, False), (False, True, True, False)
    beside = (True, True, True, True)  # two marks, halfway up, left of each half
    assert {above, below, beside} <= halves
    assert (False, False, False, False) in halves  # white beside white


def test_every_drawing_of_a_compound_is_of_drawings_of_its_own_number(characters):
    images = characters.images.clone()
    images[:, 1] = 0
    single = CharacterSet(images, characters.alphabet, characters.names, ("A",))
    made = compounds(single, 20, generator=seeded(0))
    assert not made.images[:, 1].any()
    assert made.images[:, 0].any()


def test_the_seed_decides(characters):
    one, same, other = (
        compounds(characters, 30, generator=seeded(seed)).images for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_no_compounds_at_all_is_refused(characters):
    with pytest.raises(ValueError, match="n=0 must be a whole number of at least 1"):
        compounds(characters, 0, generator=seeded(0))


def test_compounds_of_nothing_are_refused(characters):
    with pytest.raises(ValueError, match="holds none"):
        compounds(characters.select([]), 1, generator=seeded(0))
