"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people.

Lake, Salakhutdinov and Tenenbaum (2015), Human-level concept learning through
probabilistic program induction, Science 350, 1332–1338. The drawings are bilevel, 105
pixels a side. Here ink is 255, and each drawing is averaged down to `size` by area.
(Deviation: the code published with Finn et al. 2017 and with Snell et al. 2017 lets
Pillow resize the bilevel image, which takes the nearest pixel whatever filter is asked
for; strokes get gaps.)

Which characters are trained on is half of a published figure:

- *Lake's split* is by alphabet: "background" (30 alphabets) to learn from, "evaluation"
  (20) to be tested on. "small1" and "small2" are two scanter backgrounds of 5 alphabets
  each, which both hold Greek and Latin.
- *Vinyals' split* (2016, section 4.1.1; also Snell et al. 2017) takes 1,200 characters
  to train and 423 to test: `vinyals_split`.
- Finn et al. (2017) take as many, by a shuffle of a directory listing, whose order
  depends on the machine it ran on: nobody can repeat it. Where a figure of theirs is
  the reference, use `vinyals_split` and say so.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from labkit.tasks import downloads
from labkit.tasks.characters import CharacterSet, area_resize
from labkit.tasks.downloads import DamagedData, DataFile

DRAWINGS = 20
SIDE = 105


def _file(path: str, **checksums: str) -> DataFile:
    return DataFile(
        dataset="omniglot",
        name=path.rpartition("/")[2],
        url=f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/{path}",
        checksums=checksums,
    )


FILES: dict[str, DataFile] = {
    "background": _file(
        "images_background.zip",
        md5="68d2efa1b9178cc56df9314c21c6e718",
        git_blob="71fd167eb6fdd312049395fbd247147a4b234231",
    ),
    "evaluation": _file(
        "images_evaluation.zip",
        md5="6b91aef0f799c5bb55b94e3f2daec811",
        git_blob="8ccde0ed1565641f1fa8c57cdc6ff634e15fc5c1",
    ),
    "small1": _file(
        "images_background_small1.zip",
        sha256="f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    ),
    "small2": _file(
        "images_background_small2.zip",
        sha256="3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
    ),
    "all_runs": _file(
        "one-shot-classification/all_runs.zip",
        sha256="437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
        git_blob="3c49ffe2485e59b4852feb28ca9a12315d6a4ca4",
    ),
}
"""The files of the release, in the data set's own repository. "all_runs" holds Lake's
one-shot trials, which `labkit.tasks.lake` reads; the others hold characters."""

VINYALS_VALIDATION = (
    "Armenian",
    "Bengali",
    "Early_Aramaic",
    "Hebrew",
    "Mkhedruli_(Georgian)",
)
VINYALS_TEST = (
    "Kannada",
    "Keble",
    "Malayalam",
    "Manipuri",
    "Mongolian",
    "Old_Church_Slavonic_(Cyrillic)",
    "Oriya",
    "Sylheti",
    "Syriac_(Serto)",
    "Tengwar",
    "Tibetan",
    "ULOG",
)
VINYALS_TEST_GURMUKHI = tuple(f"Gurmukhi/character{n}" for n in range(42, 46))


def available(part: str, folder: Path | None = None) -> bool:
    """Whether the file of this part lies in `folder`, or else where labkit looks."""
    return _known(part).path(folder).is_file()


def download(part: str, folder: Path | None = None) -> Path:
    """Fetch a part into `folder`, or else to where labkit looks, unless it is there.

    Raises:
        MissingData: it could not be downloaded.
        DamagedData: what came is not the published file. It is not kept.
    """
    return downloads.fetch(_known(part), folder)


def load(part: str, size: int = 28, folder: Path | None = None) -> CharacterSet:
    """The characters of one part, `size` × `size` pixels, by alphabet and number.

    Raises:
        MissingData: the file is not there. The message says how to get it.
        DamagedData: the file is not the published one.
    """
    if part == "all_runs":
        raise ValueError(
            "all_runs holds Lake's one-shot trials and no set of characters: "
            "labkit.tasks.lake.load reads it."
        )
    return read(downloads.locate(_known(part), folder), size)


def read(path: Path, size: int) -> CharacterSet:
    """The characters of a zip of TOP/ALPHABET/characterNN/NNNN_NN.png.

    Raises:
        DamagedData: the archive or an image cannot be read, or drawings are missing.
    """
    with open_archive(path) as archive:
        pattern = re.compile(r"[^/]+/([^/]+/character\d+)/\d+_\d+\.png")
        files: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if match := pattern.fullmatch(name):
                files.setdefault(match[1], []).append(name)
        if not files:
            raise DamagedData(
                f"{path} holds no ALPHABET/characterNN/NNNN_NN.png inside one folder, "
                "as the archives of the Omniglot release do."
            )
        for character, drawings in files.items():
            if len(drawings) != DRAWINGS:
                raise DamagedData(
                    f"{path} holds {len(drawings)} drawings of {character} where "
                    f"{DRAWINGS} people drew it."
                )
        images = [
            area_resize(read_drawings(archive, drawings), size)
            for drawings in files.values()
        ]
    alphabet_of = [name.partition("/")[0] for name in files]
    alphabets = tuple(dict.fromkeys(alphabet_of))
    index = {name: i for i, name in enumerate(alphabets)}
    return CharacterSet(
        images=torch.stack(images),
        alphabet=torch.tensor([index[name] for name in alphabet_of]),
        names=tuple(files),
        alphabets=alphabets,
    )


def open_archive(path: Path) -> zipfile.ZipFile:
    """A zip to read from.

    Raises:
        DamagedData: it is not a whole zip.
    """
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DamagedData(
            f"{path} is not a whole zip archive ({error}). Fetch it again."
        ) from error


def read_drawings(
    archive: zipfile.ZipFile, names: list[str]
) -> UInt8[Tensor, "drawings 105 105"]:
    """Drawings at their own size, ink 255.

    Raises:
        DamagedData: one is not there, or is no image of that size.
    """
    images = []
    for name in names:
        try:
            image = Image.open(io.BytesIO(archive.read(name))).convert("L")
        except (KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise DamagedData(
                f"{name} of {archive.filename} cannot be read ({error})."
            ) from error
        if image.size != (SIDE, SIDE):
            raise DamagedData(
                f"{name} of {archive.filename} has {image.width}×{image.height} pixels "
                f"where a drawing has {SIDE}×{SIDE}."
            )
        images.append(255 - np.asarray(image))
    return torch.from_numpy(np.stack(images))


def vinyals_split(
    characters: CharacterSet,
) -> tuple[CharacterSet, CharacterSet, CharacterSet]:
    """1,028 characters to train, 172 to validate and 423 to test, before rotation.

    With rotations 4,112, 688 and 1,692 classes, the numbers of Snell et al. (2017).
    The validation alphabets are those of the class lists published with their code. The
    test set is the last 423 characters in the order of the release: Gurmukhi's last
    four and all that follow. After tuning, the reported models are trained on the first
    two sets together.

    Args:
        characters: the release, `concatenate(load("background"), load("evaluation"))`.

    Raises:
        ValueError: it is not the whole release.
    """
    if len(characters) != 1623:
        raise ValueError(
            "Vinyals' split is of the 1,623 characters of the release, and these are "
            f"{len(characters)}. Concatenate background and evaluation, and rotate "
            "after the split."
        )
    validation = set(characters.select(VINYALS_VALIDATION).names)
    test = {*characters.select(VINYALS_TEST).names, *VINYALS_TEST_GURMUKHI}
    train = set(characters.names) - validation - test
    return (
        characters.of_origins(train),
        characters.of_origins(validation),
        characters.of_origins(test),
    )


def _known(part: str) -> DataFile:
    if part not in FILES:
        raise ValueError(
            f"Omniglot has no part {part!r}. Its parts are {', '.join(FILES)}."
        )
    return FILES[part]
