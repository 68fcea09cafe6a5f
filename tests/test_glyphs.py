"""Invented characters: what they share with real ones, and what they promise."""

import pytest
import torch
from torch.nn import functional as F

from labkit.randomness import seeded
from labkit.tasks.glyphs import draw_alphabets
from labkit.tasks.glyphs.invention import (
    ALIKE,
    Style,
    centred,
    invent,
    legibility,
    looks,
    pieces_less_holes,
    walk,
)
from labkit.tasks.glyphs.pen import Path, ink
from labkit.tasks.glyphs.strokes import Strokes


@pytest.fixture(scope="module")
def glyphs():
    return draw_alphabets(20, 10, 10, generator=seeded(1))


def brightness(images):
    return images.float() / 255


def test_a_seed_decides_every_pixel(glyphs):
    again = draw_alphabets(20, 10, 10, generator=seeded(1))
    other = draw_alphabets(20, 10, 10, generator=seeded(2))
    assert torch.equal(glyphs.images, again.images)
    assert not torch.equal(glyphs.images, other.images)


def test_classes_are_named_by_alphabet(glyphs):
    assert glyphs.images.shape == (200, 10, 28, 28)
    assert glyphs.images.dtype == torch.uint8
    assert glyphs.alphabets[3] == "invented003"
    assert glyphs.names[37] == "invented003/character07"
    assert glyphs.alphabet[37] == 3


def test_ink_is_bright_smooth_at_its_edges_and_on_dark_paper(glyphs):
    darkest, brightest = glyphs.images.amin((2, 3)), glyphs.images.amax((2, 3))
    assert (darkest == 0).all()
    assert (brightest == 255).float().mean() > 0.95
    between = (glyphs.images > 0) & (glyphs.images < 255)
    assert between.float().mean() > 0.5 * (glyphs.images == 255).float().mean()


def test_ink_and_extent_are_those_of_real_characters(glyphs):
    # Five Omniglot alphabets: ink 0.076, width 0.53 and height 0.58 of the box, which
    # vary between two drawings of a character by 0.08.
    image = brightness(glyphs.images)
    assert image.mean() == pytest.approx(0.076, abs=0.012)
    for axis, real in ((2, 0.53), (3, 0.58)):
        used = (image > 0.3).any(axis).float()
        extent = used.cumsum(-1).mul(used).amax(-1) / 28
        assert extent.mean() == pytest.approx(real, abs=0.08)
        assert extent.std(1).mean() == pytest.approx(0.08, abs=0.025)


@pytest.mark.parametrize("size", [48, 56, 105])
def test_any_size_shows_the_same_drawings(size):
    small = draw_alphabets(2, 10, 10, size=28, generator=seeded(1)).images
    other = draw_alphabets(2, 10, 10, size=size, generator=seeded(1)).images
    assert other.shape == (20, 10, size, size)
    small = brightness(small)
    other = F.interpolate(brightness(other), size=(28, 28), mode="area")
    to_same = (other - small).abs().mean()
    to_next_drawing = (other - small.roll(1, 1)).abs().mean()
    assert to_same < 0.25 * to_next_drawing


def test_drawings_of_a_character_differ_yet_are_nearest_to_each_other(glyphs):
    blurred = F.avg_pool2d(brightness(glyphs.images), 5, 2).flatten(2)
    distance = torch.cdist(blurred[:, 0], blurred[:, 1])
    own = distance.diagonal()
    others = (distance.sum(1) - own) / (len(own) - 1)
    assert own.min() > 0
    assert own.mean() < 0.8 * others.mean()


def test_pixels_alone_tell_characters_better_than_chance_but_not_well(glyphs):
    # The pixels' nearest neighbour is right in 42% of 5-way tasks on real characters.
    pixels = brightness(glyphs.images).flatten(2).view(40, 5, 10, -1)
    nearest = torch.cdist(pixels[:, :, 1], pixels[:, :, 0]).argmin(-1)
    accuracy = (nearest == torch.arange(5)).float().mean()
    assert 0.3 < accuracy < 0.65


def test_kept_are_the_legible_and_distinct_of_the_candidates():
    style = Style.draw(30, seeded(0)).for_each(120)
    share = {}
    for name, strokes in (
        ("candidates", centred(walk(style, seeded(1)))),
        ("kept", invent(30, 20, seeded(2))),
    ):
        look = looks(strokes).view(30, -1, 14 * 14)
        repeated = (look @ look.mT > ALIKE).tril(-1).any(-1)
        legible = legibility(strokes)
        share[name] = legible.float().mean(), repeated.float().mean()
    assert share["candidates"][0] < 0.6 and share["candidates"][1] > 0.2
    assert share["kept"][0] > 0.95 and share["kept"][1] < 0.05


def test_characters_of_an_alphabet_share_its_style():
    # Analysis of variance: with one style for all, the ratio would be about 1.
    n_alphabets, characters = 40, 10
    strokes = invent(n_alphabets, characters, seeded(5))
    roundness = strokes.roundness.mean((1, 2)).view(n_alphabets, characters)
    extent = strokes.lattice.amax(-1) - strokes.lattice.amin(-1)
    width, height = extent.view(n_alphabets, characters, 2).unbind(-1)
    for trait in (roundness, width, height):
        between = characters * trait.mean(1).var()
        assert between / trait.var(1).mean() > 3


def test_the_pen_covers_what_its_width_says():
    # A horizontal line of length 0.5 and width 0.1 covers 0.05 of the box, and its two
    # round ends a disc of diameter 0.1.
    start, end = torch.tensor([[[0.25, 0.5]]]), torch.tensor([[[0.75, 0.5]]])
    line = Path(start, end, end - start, end - start, torch.tensor([[0.5]]))
    page = brightness(ink(line, 200, 0.1))
    assert page.mean().item() == pytest.approx(0.05 + torch.pi * 0.05**2, rel=0.01)


def test_ink_off_the_paper_is_cut_not_wrapped():
    start, end = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[1.5, 0.5]]])
    line = Path(start, end, end - start, end - start, torch.tensor([[1.0]]))
    page = brightness(ink(line, 28, 0.05))[0]
    assert page[13:15, 15:].amin() > 0.5
    assert page[:, :12].amax() == 0
    assert page[:12].amax() == 0 and page[16:].amax() == 0


def square(roundness):
    """The closed stroke around four nodes, in a box of side 0.5."""
    nodes = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    return Strokes(
        lattice=torch.tensor([[[0.1, 0.6], [0.2, 0.7]]]),
        nodes=nodes[None, None],
        visited=torch.ones(1, 1, 5, dtype=torch.bool),
        roundness=torch.full((1, 1, 5), float(roundness)),
        bulge=torch.zeros(1, 1, 5),
    )


def test_a_sharp_closed_stroke_is_a_square_and_a_round_one_a_circle():
    for roundness, expected in ((0, 0.25), (1, 0.5**0.5 / 2)):
        strokes = centred(square(roundness))
        points = strokes.through(strokes.waypoints).points(401)[0] - 0.5
        radius = points.norm(dim=-1)
        assert points.abs().amax().item() == pytest.approx(expected, abs=2e-3)
        assert radius.amax().item() == pytest.approx(0.5**0.5 / 2, abs=2e-3)
        flat = 0.25 if roundness == 0 else 0.5**0.5 / 2
        assert radius.amin().item() == pytest.approx(flat, abs=2e-3)


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        (["####", "#..#", "####"], 0),
        (["#..#", "#..#", "#..#"], 2),
        (["###.", "#.##", "####"], 0),
        (["....", ".##.", ".##."], 1),
        (["#####", "#.#.#", "#####"], -1),
    ],
)
def test_pieces_less_holes_counts_pieces_and_holes(drawing, expected):
    inked = torch.tensor([[pixel == "#" for pixel in line] for line in drawing])
    assert pieces_less_holes(inked[None]).item() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_alphabets": 0}, "n_alphabets=0"),
        ({"characters": 0}, "characters=0"),
        ({"characters": 501}, "characters=501.*more alphabets"),
        ({"drawings": -1}, "drawings=-1"),
        ({"size": 4}, "size=4: at least 8"),
        ({"characters": 501}, "ask for more alphabets"),
    ],
)
def test_nonsense_is_named(change, message):
    arguments = {"n_alphabets": 1, "characters": 2, "drawings": 2, "size": 28}
    with pytest.raises(ValueError, match=message):
        draw_alphabets(**(arguments | change), generator=seeded(0))
