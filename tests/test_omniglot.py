"""Omniglot: read from zips made here, and from the real ones where they are."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from labkit.tasks import omniglot
from labkit.tasks.characters import CharacterSet, concatenate
from labkit.tasks.downloads import DamagedData, DataFile, MissingData, digest

BACKGROUND = {
    "Alphabet_of_the_Magi": 20,
    "Anglo-Saxon_Futhorc": 29,
    "Arcadian": 26,
    "Armenian": 41,
    "Asomtavruli_(Georgian)": 40,
    "Balinese": 24,
    "Bengali": 46,
    "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
    "Braille": 26,
    "Burmese_(Myanmar)": 34,
    "Cyrillic": 33,
    "Early_Aramaic": 22,
    "Futurama": 26,
    "Grantha": 43,
    "Greek": 24,
    "Gujarati": 48,
    "Hebrew": 22,
    "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
    "Japanese_(hiragana)": 52,
    "Japanese_(katakana)": 47,
    "Korean": 40,
    "Latin": 26,
    "Malay_(Jawi_-_Arabic)": 40,
    "Mkhedruli_(Georgian)": 41,
    "N_Ko": 33,
    "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
    "Sanskrit": 42,
    "Syriac_(Estrangelo)": 23,
    "Tagalog": 17,
    "Tifinagh": 55,
}
EVALUATION = {
    "Angelic": 20,
    "Atemayar_Qelisayer": 26,
    "Atlantean": 26,
    "Aurek-Besh": 26,
    "Avesta": 26,
    "Ge_ez": 26,
    "Glagolitic": 45,
    "Gurmukhi": 45,
    "Kannada": 41,
    "Keble": 26,
    "Malayalam": 47,
    "Manipuri": 40,
    "Mongolian": 30,
    "Old_Church_Slavonic_(Cyrillic)": 45,
    "Oriya": 46,
    "Sylheti": 28,
    "Syriac_(Serto)": 23,
    "Tengwar": 25,
    "Tibetan": 42,
    "ULOG": 26,
}


def png(bar=0, side=105):
    """A bilevel drawing, paper 1: a horizontal bar of ink in rows [bar, bar + 15)."""
    paper = np.ones((side, side), dtype=bool)
    paper[bar : bar + 15] = False
    buffer = io.BytesIO()
    Image.fromarray(paper).save(buffer, "png")
    return buffer.getvalue()


def release(characters=("Greek/character01", "Greek/character02", "Latin/character01")):
    """The members of a small zip of the release's form: name -> content."""
    return {
        f"images_test/{character}/{n:04d}_{drawer:02d}.png": png(15 * (drawer % 7))
        for n, character in enumerate(characters, 1)
        for drawer in range(1, 21)
    }


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_becomes_characters_with_ink_255_in_the_order_of_the_drawers(tmp_path):
    characters = omniglot.read(write(tmp_path / "a.zip", release()), size=7)
    assert characters.names == (
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
    )
    assert characters.alphabets == ("Greek", "Latin")
    assert characters.alphabet.tolist() == [0, 0, 1]
    assert characters.images.shape == (3, 20, 7, 7)
    for i in range(20):
        ink = torch.zeros(7, 7, dtype=torch.uint8)
        ink[(i + 1) % 7] = 255
        assert torch.equal(characters.images[1, i], ink)


def test_sizes_are_means_over_areas(tmp_path):
    path = write(tmp_path / "a.zip", release(["Greek/character01"]))
    full, small = (omniglot.read(path, size).images for size in (105, 28))
    assert full.shape[2:] == (105, 105) and set(full.unique().tolist()) == {0, 255}
    assert small.shape[2:] == (28, 28)
    assert small.float().mean() == pytest.approx(full.float().mean().item(), abs=0.3)


def without(members, ending):
    return {k: v for k, v in members.items() if not k.endswith(ending)}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds no ALPHABET/characterNN"),
        (
            {k.partition("/")[2]: v for k, v in release().items()},
            "holds no ALPHABET/characterNN",
        ),
        (
            without(release(), "0002_07.png"),
            "19 drawings of Greek/character02 where 20 people",
        ),
        (
            release() | {"images_test/Greek/character02/0002_07.png": b"no image"},
            "0002_07.png .* cannot be read",
        ),
        (
            release() | {"images_test/Greek/character02/0002_07.png": png()[:60]},
            "0002_07.png .* cannot be read",
        ),
        (
            release() | {"images_test/Greek/character02/0002_07.png": png(side=50)},
            "50×50 pixels where a drawing has 105×105",
        ),
    ],
)
def test_a_garbled_archive_is_described(tmp_path, members, message):
    with pytest.raises(DamagedData, match=message):
        omniglot.read(write(tmp_path / "a.zip", members), size=28)


def test_a_truncated_archive_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", release())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DamagedData, match="not a whole zip"):
        omniglot.read(path, size=28)


def test_only_the_published_file_is_loaded(tmp_path):
    write(tmp_path / "images_background_small1.zip", release())
    assert omniglot.available("small1", tmp_path)
    with pytest.raises(DamagedData, match="sha256 should be f38eb80f"):
        omniglot.load("small1", folder=tmp_path)


def test_what_is_not_there_says_how_to_get_it(tmp_path):
    assert not omniglot.available("evaluation", tmp_path)
    with pytest.raises(MissingData, match="python -m labkit data omniglot"):
        omniglot.load("evaluation", folder=tmp_path)


def test_a_part_is_downloaded_from_the_address_of_its_file(tmp_path, monkeypatch):
    source = write(tmp_path / "source.zip", release())
    published = DataFile(
        "omniglot",
        "images_background_small1.zip",
        source.as_uri(),
        {"sha256": digest(source.read_bytes(), "sha256")},
    )
    monkeypatch.setitem(omniglot.FILES, "small1", published)
    omniglot.download("small1", tmp_path / "data")
    assert len(omniglot.load("small1", folder=tmp_path / "data")) == 3


@pytest.mark.parametrize("call", [omniglot.load, omniglot.download, omniglot.available])
def test_an_unknown_part_is_named_beside_the_known_ones(call):
    with pytest.raises(ValueError, match=r"no part 'big'.*background, evaluation"):
        call("big")


def test_addresses_are_files_of_the_data_sets_own_repository():
    for file in omniglot.FILES.values():
        repository = "https://raw.githubusercontent.com/brendenlake/omniglot/master/"
        assert file.url.startswith(f"{repository}python/")
        assert file.url.endswith(f"/{file.name}")
        assert {"sha256", "git_blob"} & set(file.checksums)


def named(alphabets):
    """A set of the characters of these alphabets, one blank pixel each."""
    index = [a for a, size in enumerate(alphabets.values()) for _ in range(size)]
    return CharacterSet(
        images=torch.zeros(len(index), 1, 1, 1, dtype=torch.uint8),
        alphabet=torch.tensor(index),
        names=tuple(
            f"{alphabet}/character{n:02d}"
            for alphabet, size in alphabets.items()
            for n in range(1, size + 1)
        ),
        alphabets=tuple(alphabets),
    )


def test_vinyals_split_has_the_published_numbers():
    whole = concatenate(named(BACKGROUND), named(EVALUATION))
    assert (len(named(BACKGROUND)), len(named(EVALUATION))) == (964, 659)
    train, validation, test = omniglot.vinyals_split(whole)
    # Snell et al. (2017) and the class lists published with their code.
    assert len(train.with_rotations()) == 4112
    assert len(validation.with_rotations()) == 688
    assert len(test.with_rotations()) == 1692
    parts = [set(part.names) for part in (train, validation, test)]
    assert set.union(*parts) == set(whole.names)
    assert sum(map(len, parts)) == len(whole)
    # 1,200 to train on, of which some to validate, and the rest in the release's order.
    assert test.names == whole.names[1200:]


def test_vinyals_split_is_only_of_the_whole_release():
    with pytest.raises(ValueError, match=r"1,623 .* these are 964"):
        omniglot.vinyals_split(named(BACKGROUND))


real = pytest.mark.skipif(
    not (omniglot.available("small1") and omniglot.available("small2")),
    reason="the minimal Omniglot sets are not here: see LABKIT_DATA in data/README.md",
)


@real
def test_the_real_minimal_sets():
    small1, small2 = omniglot.load("small1"), omniglot.load("small2", size=20)
    assert small1.images.shape == (136, 20, 28, 28)
    assert small2.images.shape == (156, 20, 20, 20)
    for characters, alphabets in (
        (small1, ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")),
        (small2, ("Greek", "Japanese_(katakana)", "Latin", "Sanskrit", "Tagalog")),
    ):
        assert characters.alphabets == alphabets
        assert characters.alphabet.bincount().tolist() == [
            BACKGROUND[name] for name in alphabets
        ]
        ink = characters.images.float().mean((1, 2, 3)) / 255
        assert ink.min() > 0.02 and ink.max() < 0.2
    with pytest.raises(ValueError, match="50 names come more than once"):
        concatenate(small1, small2.resize(28))
