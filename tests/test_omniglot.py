"""Omniglot: read from zips made here, and from the real ones where they are."""

import hashlib
import io
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from labkit.tasks import archives, omniglot
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


def drawing(bar=0, side=105):
    """A bilevel drawing, paper 1: a horizontal bar of ink in rows [bar, bar + 15)."""
    paper = np.ones((side, side), dtype=bool)
    paper[bar : bar + 15] = False
    return Image.fromarray(paper)


def png(bar=0, side=105):
    return encoded(drawing(bar, side))


def encoded(image, form="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def release(characters=("Greek/character01", "Greek/character02", "Latin/character01")):
    """The members of a small zip of the release's form: name -> content."""
    return {
        f"images_test/{character}/{n:04d}_{drawer:02d}.png": png(15 * (drawer % 7))
        for n, character in enumerate(characters, 1)
        for drawer in range(1, 21)
    }


def write(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
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


WRONG = "images_test/Greek/character02/0002_07.png"


def inside(folder, members):
    return {f"{folder}/{name}": content for name, content in members.items()}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds no ALPHABET/characterNN.*no file at all"),
        ({"notes.txt": b""}, "holds no ALPHABET/characterNN.*It holds notes.txt"),
        (
            {k.partition("/")[2]: v for k, v in release().items()},
            "holds no ALPHABET/characterNN.*Greek/.*0001_01.png, 1 folder not deep",
        ),
        (
            inside("omniglot", release()),
            "holds no ALPHABET/characterNN.*omniglot/images_test/.*, 1 folder too deep",
        ),
        (
            inside("a/omniglot", release()),
            "holds no ALPHABET/characterNN.*, 2 folders too deep",
        ),
        (
            inside("__MACOSX", release()),
            "holds no ALPHABET/characterNN.*apart from __MACOSX",
        ),
        (
            release() | {k.replace("test", "more"): v for k, v in release().items()},
            "several parts, images_more/ images_test/",
        ),
        (
            without(release(), "0002_07.png"),
            "19 drawings of Greek/character02 where 20 people.*missing: 07",
        ),
    ],
)
def test_another_layout_is_named(tmp_path, members, message):
    with pytest.raises(DamagedData, match=message):
        omniglot.read(write(tmp_path / "a.zip", members), size=28)


VAST = png()[:16] + 2 * (20_000).to_bytes(4, "big") + png()[24:]
TRANSPARENT = Image.fromarray(np.zeros((105, 105, 4), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image", "cannot be read: it is no PNG"),
        (png()[:60], "cannot be read"),
        (png(side=28), "28×28 pixels where a drawing has 105×105"),
        (VAST, "20000×20000 pixels where a drawing has 105×105"),
        (encoded(drawing().convert("L"), "jpeg"), "is a JPEG"),
        (encoded(drawing().point(lambda v: 255 - v)), "86% ink.*inverted"),
        (encoded(TRANSPARENT), "has transparent pixels"),
        (encoded(drawing(), transparency=255), "has transparent pixels"),
        (
            encoded(drawing().convert("L").filter(ImageFilter.BLUR)),
            "has shades of grey",
        ),
        (encoded(Image.new("1", (105, 105), 1)), "is blank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_drawing_as_the_release_has_them_is_named(
    tmp_path, content, message
):
    path = write(tmp_path / "a.zip", release() | {WRONG: content})
    with pytest.raises(DamagedData, match=f"{WRONG} of .*{message}"):
        omniglot.read(path, size=28)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_the_same_pixels_saved_otherwise_are_the_same_drawing(tmp_path, mode):
    path = write(tmp_path / "a.zip", release())
    saved = release() | {WRONG: encoded(drawing().convert(mode))}
    other = write(tmp_path / "b.zip", saved)
    assert torch.equal(
        omniglot.read(path, 105).images, omniglot.read(other, 105).images
    )


def test_an_encrypted_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in release().items():
            archive.writestr(name, content)
        for info in archive.filelist:
            info.flag_bits |= 1
    with pytest.raises(DamagedData, match=r"0001_01.png .* encrypted"):
        omniglot.read(tmp_path / "a.zip", size=28)


def lying(path, members):
    """A deflated zip whose index says that each file has 500 bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for info in archive.filelist:
            info.file_size = 500
    return path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (partial(write, method=zipfile.ZIP_DEFLATED), "more than 65,536 bytes"),
        (lying, "cannot be read"),
        (partial(write, method=zipfile.ZIP_BZIP2), 'otherwise than by "deflate"'),
        (partial(write, method=zipfile.ZIP_LZMA), 'otherwise than by "deflate"'),
    ],
)
def test_a_small_archive_of_large_files_does_not_fill_the_memory(
    tmp_path, made, message
):
    first = "images_test/Greek/character01/0001_01.png"
    path = made(tmp_path / "a.zip", release() | {first: bytes(20_000_000)})
    tracemalloc.start()
    with pytest.raises(DamagedData, match=message):
        omniglot.read(path, size=28)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_archives_too_large_or_of_too_many_files_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip", release())
    monkeypatch.setattr(archives, "MOST_FILES", 59)
    with pytest.raises(DamagedData, match="more than 59 files"):
        omniglot.read(path, size=28)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(DamagedData, match="no archive of this data set has more"):
        omniglot.read(path, size=28)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", release())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(WRONG, png())
    with pytest.raises(DamagedData, match=f"holds {WRONG} twice"):
        omniglot.read(path, size=28)


def test_a_truncated_archive_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", release())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DamagedData, match="not a whole zip"):
        omniglot.read(path, size=28)


def content(members):
    """The digest of what is in TOP/…, as data/README.md says how it is made."""
    made = hashlib.sha256()
    for name, file in sorted(members.items()):
        ink = np.asarray(Image.open(io.BytesIO(file)).convert("L")) < 128
        made.update(name.partition("/")[2].encode() + b"\0")
        made.update(np.packbits(ink).tobytes())
    return made.hexdigest()


def unpack(folder, members):
    for name, file in members.items():
        path = folder / name.replace("images_test", "images_background_small1")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    return folder / "images_background_small1"


MAC = {
    "__MACOSX/images_test/Greek/character01/._0001_01.png": b"\0\5\x16\7",
    "images_test/Greek/.DS_Store": b"\0",
}
NAME = "images_background_small1.zip"


@pytest.mark.parametrize(
    "put",
    [
        lambda at: write(at / NAME, release()),
        lambda at: write(at / NAME, release(), zipfile.ZIP_DEFLATED),
        lambda at: write(at / NAME, release() | MAC),
        lambda at: unpack(at, release()),
        lambda at: unpack(at / "omniglot-py", release()),
    ],
    ids=["stored", "deflated", "zipped on a Mac", "unpacked", "by torchvision"],
)
def test_the_release_is_known_by_its_content_however_it_is_packed(
    tmp_path, monkeypatch, put
):
    monkeypatch.setitem(omniglot.CONTENT, "small1", content(release()))
    path = put(tmp_path)
    assert omniglot.available("small1", tmp_path)
    assert len(omniglot.load("small1", folder=tmp_path)) == 3
    assert omniglot.download("small1", tmp_path) == path
    assert not omniglot.is_official("small1", path)
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert omniglot.data_sha256("small1") == {
        "small1, names and pixels": content(release())
    }


def swapped(members, one, other):
    return members | {one: members[other], other: members[one]}


@pytest.mark.parametrize("place", [write, unpack])
@pytest.mark.parametrize(
    "members",
    [
        release(["Greek/character01", "Greek/character03", "Latin/character01"]),
        release(["Greek/character01", "Greek/character02"]),
        release() | {WRONG: png(bar=1)},
        swapped(release(), WRONG, WRONG.replace("_07", "_08")),
    ],
    ids=["renamed", "a character less", "other pixels", "drawers exchanged"],
)
def test_another_content_is_refused(tmp_path, monkeypatch, members, place):
    monkeypatch.setitem(omniglot.CONTENT, "small1", content(release()))
    place(tmp_path / NAME if place is write else tmp_path, members)
    for call in (omniglot.load, omniglot.download):
        with pytest.raises(DamagedData) as error:
            call("small1", folder=tmp_path)
        said = str(error.value)
        assert "Its content was checked" in said
        assert f"should be {content(release())} and is {content(members)}" in said
        assert "python -m labkit data omniglot small1" in said
        assert ("its sha256 should be f38eb80f" in said) == (place is write)


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
    monkeypatch.setitem(omniglot.CONTENT, "small1", content(release()))
    for _ in range(2):
        path = omniglot.download("small1", tmp_path / "data")
        assert path == tmp_path / "data" / "images_background_small1.zip"
    assert omniglot.is_official("small1", path)
    assert len(omniglot.load("small1", folder=tmp_path / "data")) == 3
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    assert omniglot.data_sha256("small1") == {path.name: published.checksums["sha256"]}


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
