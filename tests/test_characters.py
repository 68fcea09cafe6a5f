"""Few-shot tasks, and the sets of characters they are drawn from.

Drawing d of class c is an image that says so in two of its pixels, so that a test can
read off an episode which drawings it is made of.
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.randomness import seeded
from labkit.tasks.characters import CharacterSet, FewShot, area_resize, concatenate


def tagged(sizes=(5, 2, 4), drawings=6, prefix=""):
    """Alphabets A, B, … of these sizes; the first two pixels are class and drawing."""
    n = sum(sizes)
    images = torch.zeros(n, drawings, 3, 3, dtype=torch.uint8)
    images[:, :, 0, 0] = torch.arange(n)[:, None]
    images[:, :, 0, 1] = torch.arange(drawings)
    images[:, :, 2, 2] = 255
    alphabets = tuple(prefix + "ABCDEFGH"[i] for i in range(len(sizes)))
    return CharacterSet(
        images=images,
        alphabet=torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)),
        names=tuple(
            f"{a}/{i}"
            for a, size in zip(alphabets, sizes, strict=True)
            for i in range(size)
        ),
        alphabets=alphabets,
    )


def tags(x):
    """The class and the drawing of each image of [T, S, 1, H, W]: two of [T, S]."""
    return (x[:, :, 0, 0, :2] * 255).round().long().unbind(-1)


@st.composite
def protocols(draw):
    """What a FewShot is made of, such that there are tasks of it."""
    within = draw(st.booleans())
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    drawings = draw(st.integers(2, 7))
    shot = draw(st.integers(1, drawings - 1))
    way = draw(st.integers(1, max(sizes) if within else sum(sizes)))
    query = draw(st.integers(1, drawings - shot))
    return tuple(sizes), drawings, way, shot, query, within


@settings(max_examples=60, deadline=None)
@given(protocols(), st.integers(1, 4), st.integers(0, 2**32))
def test_a_task_is_n_classes_and_different_drawings_of_each(protocol, n_tasks, seed):
    sizes, drawings, way, shot, query, within = protocol
    characters = tagged(sizes, drawings)
    tasks = FewShot(characters, way, shot, query, within_alphabet=within)
    episode = tasks.sample(n_tasks, generator=seeded(seed))
    assert episode.support_x.shape == (n_tasks, way * shot, 1, 3, 3)
    assert episode.query_x.shape == (n_tasks, way * query, 1, 3, 3)
    assert episode.support_y.shape == (n_tasks, way * shot, way)
    assert episode.query_y.shape == (n_tasks, way * query, way)

    (support_class, support_drawing) = tags(episode.support_x)
    (query_class, query_drawing) = tags(episode.query_x)
    for t in range(n_tasks):
        # Label k is the same class in the support and in the query, and all differ.
        of_label: dict[int, int] = {}
        for y, c in [
            *zip(episode.support_y[t], support_class[t], strict=True),
            *zip(episode.query_y[t], query_class[t], strict=True),
        ]:
            assert y.sum() == 1 and y.max() == 1
            assert of_label.setdefault(int(y.argmax()), int(c)) == int(c)
        assert sorted(of_label) == list(range(way))
        assert len(set(of_label.values())) == way
        # No drawing comes twice, in the support, in the query, or across the two.
        drawn = [
            *zip(support_class[t].tolist(), support_drawing[t].tolist(), strict=True),
            *zip(query_class[t].tolist(), query_drawing[t].tolist(), strict=True),
        ]
        assert len(set(drawn)) == way * (shot + query)
        if within:
            assert len(characters.alphabet[support_class[t]].unique()) == 1


def test_images_are_floats_with_ink_one():
    characters = tagged()
    characters.images[..., 2, 2] = 255
    episode = FewShot(characters, 3, 1, 2).sample(5, generator=seeded(0))
    for x in (episode.support_x, episode.query_x):
        assert x.dtype == torch.float32
        assert (x[..., 2, 2] == 1.0).all() and (x[..., 1, 1] == 0.0).all()


def chi_square(counts):
    expected = counts.sum() / len(counts)
    return ((counts - expected) ** 2 / expected).sum()


def test_classes_labels_and_drawings_are_equally_likely():
    tasks = FewShot(tagged((5, 2, 4), drawings=6), way=3, shot=1, query=1)
    episode = tasks.sample(20_000, generator=seeded(0))
    classes, drawings = tags(episode.support_x)
    # The 99.99% points of chi-square with 11 − 1 and 6 − 1 degrees of freedom.
    for label in range(3):
        assert chi_square(classes[:, label].bincount(minlength=11)) < 35.6
        assert chi_square(drawings[:, label].bincount(minlength=6)) < 25.8
    # With one label fixed, the next is uniform over the other ten classes.
    second = classes[classes[:, 0] == 4, 1].bincount(minlength=11)
    assert second[4] == 0
    assert chi_square(second[torch.arange(11) != 4]) < 33.8


def test_within_draws_large_and_small_alphabets_equally_and_leaves_out_too_small_ones():
    tasks = FewShot(tagged((8, 2, 3)), way=3, shot=1, query=1, within_alphabet=True)
    episode = tasks.sample(20_000, generator=seeded(0))
    first_class, _ = tags(episode.support_x)
    drawn = tasks.characters.alphabet[first_class[:, 0]].bincount(minlength=3)
    assert drawn[1] == 0
    assert chi_square(drawn[[0, 2]]) < 15.2


def test_the_seed_decides_the_tasks():
    tasks = FewShot(tagged(), 3, 1, 2)
    one, again = (tasks.sample(4, generator=seeded(7)) for _ in range(2))
    other = tasks.sample(4, generator=seeded(8))
    assert torch.equal(one.query_x, again.query_x)
    assert not torch.equal(one.query_x, other.query_x)


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (dict(way=12, shot=1, query=1), "way=12 .* there are 11"),
        (dict(way=6, shot=1, query=1, within_alphabet=True), "way=6 .* largest has 5"),
        (dict(way=2, shot=2, query=5), "need 7 .* there are 6"),
        (dict(way=2, shot=0, query=5), "shot=0"),
        (dict(way=5.0, shot=1, query=1), "way=5.0 must be a whole number"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_it_is_tried(arguments, numbers):
    with pytest.raises(ValueError, match=numbers):
        FewShot(tagged(), **arguments)


@pytest.mark.usefixtures("as_called_by_readers")
def test_few_shot_tasks_are_of_a_set_of_characters():
    with pytest.raises(ValueError, match=r"must be a CharacterSet.*is Tensor"):
        FewShot(GOOD.images, 2, 1, 1)


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize("size", [0, 28.0])
def test_a_size_is_a_whole_number_of_pixels(size):
    with pytest.raises(ValueError, match=f"size={size} must be a whole number"):
        GOOD.resize(size)


def test_characters_and_generator_on_different_devices_are_refused():
    tasks = FewShot(tagged().to("meta"), 2, 1, 1)
    with pytest.raises(ValueError, match="on meta and the generator on cpu"):
        tasks.sample(1, generator=seeded(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10), st.integers(0, 2**32), st.booleans())
def test_a_split_shares_no_character_and_loses_none(first, seed, rotate_first):
    characters = tagged()
    if rotate_first:
        characters = characters.with_rotations()
    parts = characters.split(first, 11 - first, generator=seeded(seed))
    if not rotate_first:
        parts = tuple(part.with_rotations() for part in parts)
    train, test = parts
    assert set(train.origins).isdisjoint(test.origins)
    assert len(train.origins) == first and len(test.origins) == 11 - first
    assert len(train) == 4 * first and len(test) == 4 * (11 - first)


def test_a_split_must_use_every_character():
    with pytest.raises(ValueError, match=r"5 \+ 5 = 10 must use each of the 11"):
        tagged().split(5, 5, generator=seeded(0))


def test_subsets_keep_each_class_with_its_images_and_alphabet():
    whole = tagged()
    for part in (whole.select(["C", "A"]), *whole.split(4, 7, generator=seeded(1))):
        for i, name in enumerate(part.names):
            assert part.alphabets[part.alphabet[i]] == name.partition("/")[0]
            assert whole.names[part.images[i, 0, 0, 0]] == name


def test_select_takes_alphabets_with_their_rotations():
    characters = tagged().with_rotations().select(["B"])
    assert characters.alphabets == ("B", "B@90", "B@180", "B@270")
    assert characters.origins == ("B/0", "B/1")


def test_an_unknown_alphabet_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"no alphabet 'Klingon'.*3: A, B, C"):
        tagged().select(["A", "Klingon"])


def test_rotations_are_classes_and_alphabets_of_their_own():
    characters = tagged()
    rotated = characters.with_rotations()
    assert rotated.names[:11] == characters.names
    quarter = rotated.images[rotated.names.index("A/3@90")]
    drawing = characters.images[3, 2]
    for i in range(3):
        for j in range(3):
            # A quarter turn counter-clockwise brings the right edge to the top.
            assert quarter[2, i, j] == drawing[j, 2 - i]
    assert rotated.alphabet.bincount().tolist() == 4 * [5, 2, 4]


def test_mirror_images_and_their_rotations_are_classes_too():
    characters = tagged()
    turned = characters.with_rotations(mirrored=True)
    assert turned.names[: 4 * 11] == characters.with_rotations().names
    mirror = turned.images[turned.names.index("A/3@mirrored90")]
    drawing = characters.images[3, 2]
    for i in range(3):
        for j in range(3):
            # Left and right change places, then the right edge comes to the top.
            assert mirror[2, i, j] == drawing[j, i]
    assert turned.origins == characters.origins
    assert turned.alphabet.bincount().tolist() == 8 * [5, 2, 4]


def test_rotating_twice_is_refused():
    with pytest.raises(ValueError, match="rotations already"):
        tagged().with_rotations().with_rotations()


def test_concatenation_merges_alphabets_by_name():
    a, b = tagged((2, 3)), tagged((4,), prefix="x")
    both = concatenate(a, b.select(["xA"]), tagged((1,), prefix="y"))
    assert both.alphabets == ("A", "B", "xA", "yA")
    assert both.alphabet.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3]
    train, test = a.split(2, 3, generator=seeded(0))
    assert set(concatenate(train, test).alphabets) == {"A", "B"}


def test_concatenation_refuses_shared_classes_and_unlike_images():
    with pytest.raises(ValueError, match="5 names come more than once, first 'A/0'"):
        concatenate(tagged((2, 3)), tagged((2, 3)))
    with pytest.raises(ValueError, match="must agree"):
        concatenate(tagged((2,)), tagged((2,), prefix="x").resize(2))


def test_fields_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"2 classes of images, 2 .* and 1 names"):
        CharacterSet(
            torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
            torch.zeros(2).long(),
            ("A/0",),
            ("A",),
        )


GOOD = tagged()


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", GOOD.images / 255, r"torch.float32. .* \(255 \* images\)"),
        ("images", GOOD.images > 0, "is torch.bool"),
        ("images", GOOD.images.numpy(), "ndarray.*torch.from_numpy"),
        ("images", GOOD.images[:, 0], r"the shape \[11, 3, 3\]"),
        ("images", GOOD.images[:, :0], r"the shape \[11, 0, 3, 3\]"),
        ("images", GOOD.images // 255, "zeros and ones alone.*255 \\* images"),
        ("images", 255 - GOOD.images, "89% ink: it seems inverted.*255 - images"),
        ("alphabet", GOOD.alphabet.int(), "must be an int64 tensor"),
        ("alphabet", GOOD.alphabet.tolist(), "must be an int64 tensor"),
        ("alphabet", GOOD.alphabet[:, None], "must be an int64 tensor"),
        ("alphabet", GOOD.alphabet + 1, "from 1 to 3, and there are 3"),
        ("alphabet", GOOD.alphabet - 1, "from -1 to 1, and there are 3"),
        ("alphabet", GOOD.alphabet.to("meta"), "on cpu and alphabet on meta"),
        ("names", range(11), "names must be a tuple of strings"),
        ("names", "abcdefghijk", "names must be a tuple of strings"),
        ("alphabets", "ABC", "alphabets must be a tuple of strings"),
        ("alphabets", ("A", "B", "A"), "1 alphabets come more than once, first 'A'"),
    ],
)
def test_fields_of_another_kind_are_named_with_what_makes_them_right(
    field, value, message
):
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **{field: value})


@pytest.mark.parametrize(("old", "new"), [(12, 5), (105, 28), (7, 7), (5, 12)])
def test_area_resize_is_the_mean_over_a_grid_fine_enough_for_both(old, new):
    images = torch.randint(256, (2, old, old), generator=seeded(0)).to(torch.uint8)
    fine = images.repeat_interleave(new, -1).repeat_interleave(new, -2).double()
    expected = fine.view(2, new, old, new, old).mean((2, 4))
    resized = area_resize(images, new)
    assert (resized - expected).abs().max() <= 0.5 + 1e-4
    ink = images.double().mean((-1, -2))
    assert (resized.double().mean((-1, -2)) - ink).abs().max() < 0.5
    characters = tagged().resize(2)
    assert characters.images.shape[2:] == (2, 2)
