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

import hashlib
from pathlib import Path

import numpy as np
import torch

from labkit.tasks import downloads
from labkit.tasks.archives import opened
from labkit.tasks.characters import CharacterSet, area_resize
from labkit.tasks.downloads import DamagedData, DataFile, MissingData
from labkit.tasks.drawings import by_character, read_drawings


def _file(path: str, **checksums: str) -> DataFile:
    return DataFile(
        dataset="omniglot",
        name=path.rpartition("/")[2],
        url=f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/{path}",
        checksums=checksums,
        subfolders=("omniglot-py",),  # where torchvision puts its download
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

CONTENT = {
    "background": "a124c5a5a976a2325d0833f6ed0f099009f18539b78de62d281d2188a44c0646",
    "evaluation": "aea28c3ae3e13f70f5ca1e76e5dc886e9f9958b67730065a5efab5629664ea76",
    "small1": "d16fffc947efdcffb0987d361bc27341343a3712a7aa1b30a77e3d9c661e0ad0",
    "small2": "d474ba4a496487ea82304f2a4022e471f309b99fe48edb8b5c5265beae38ca50",
}
"""The sha256 of what a part holds, however it is packed: over its drawings in order of
name, each as "ALPHABET/characterNN/NNNN_NN.png" in UTF-8, a zero byte, and
`numpy.packbits` of the mask of its ink, 105 × 105, row by row."""

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
    """Whether this part lies in `folder`, or else where labkit looks, in any form."""
    try:
        find(part, folder)
    except MissingData:
        return False
    return True


def find(part: str, folder: Path | None = None) -> Path:
    """The archive of a part, or the folder it was unpacked to. It is not checked.

    Raises:
        MissingData: neither is there. The message says how to get it.
        ValueError: there is no such part.
    """
    return downloads.find(_known(part), folder)


def download(part: str, folder: Path | None = None) -> Path:
    """Fetch a part into `folder`, or else to where labkit looks, unless it is there.

    Raises:
        MissingData: it could not be downloaded.
        DamagedData: what came, or what is there in any form, is not the release. What
            came is not kept.
    """
    file = _known(part)
    if part == "all_runs" or not available(part, folder):
        return downloads.fetch(file, folder)
    path = find(part, folder)
    if not is_official(part, path):
        load(part, folder=folder)
    return path


def is_official(part: str, path: Path) -> bool:
    """Whether a copy of this part is an archive, byte for byte the official one."""
    return path.is_file() and not downloads.wrong_bytes(path, _known(part))


def data_sha256(*parts: str) -> dict[str, str]:
    """What a record says of the parts that were loaded.

    The sha256 of an official archive by its name, and where a part is packed otherwise
    that of its content, by "PART, names and pixels".
    """
    read = {}
    for part in parts:
        path = find(part)
        if is_official(part, path):
            read[path.name] = downloads.digest(path.read_bytes(), "sha256")
        else:
            read[f"{part}, names and pixels"] = CONTENT[part]
    return read


def load(part: str, size: int = 28, folder: Path | None = None) -> CharacterSet:
    """The characters of one part, `size` × `size` pixels, by alphabet and number.

    The part may be the official archive, another of the same content, or a folder that
    one was unpacked to. Every name and pixel is checked against `CONTENT`.

    Raises:
        MissingData: the part is not there. The message says how to get it.
        DamagedData: what is there is not the release.
        ValueError: there is no such part, or it is "all_runs", or the size is below 1.
    """
    if part == "all_runs":
        raise ValueError(
            "all_runs holds Lake's one-shot trials and no set of characters: "
            "labkit.tasks.lake.load reads it."
        )
    path = find(part, folder)
    characters, content = _read(path, size)
    if content != CONTENT[part]:
        packed = (
            f"As for its bytes: {downloads.wrong_bytes(path, _known(part))} "
            if path.is_file()
            else ""
        )
        raise DamagedData(
            f"{path} is not {part} of the release. Its content was checked: the sha256 "
            f"over all names and pixels should be {CONTENT[part]} and is {content} "
            f"({len(characters)} characters). {packed}Move it away and get the part "
            f"with `python -m labkit data omniglot {part}`."
        )
    return characters


def read(path: Path, size: int) -> CharacterSet:
    """The characters of any zip of TOP/ALPHABET/characterNN/NNNN_NN.png, or folder TOP.

    Raises:
        DamagedData: the archive or a drawing cannot be read, or is not as the release
            has them, or one is missing.
        ValueError: the size is below 1.
    """
    return _read(path, size)[0]


def _read(path: Path, size: int) -> tuple[CharacterSet, str]:
    """The characters, and the digest of what was read, as `CONTENT` has it."""
    images, content = [], hashlib.sha256()
    with opened(path) as files:
        drawings_of = by_character(files)
        for character, names in drawings_of.items():
            drawings = read_drawings(files, names)
            images.append(area_resize(drawings, size))
            masks = np.packbits(drawings.flatten(1).numpy() > 0, axis=1)
            for name, mask in zip(names, masks, strict=True):
                last = name.rpartition("/")[2]
                content.update(f"{character}/{last}\0".encode() + mask.tobytes())
    alphabet_of = [name.partition("/")[0] for name in drawings_of]
    alphabets = tuple(dict.fromkeys(alphabet_of))
    index = {name: i for i, name in enumerate(alphabets)}
    characters = CharacterSet(
        images=torch.stack(images),
        alphabet=torch.tensor([index[name] for name in alphabet_of]),
        names=tuple(drawings_of),
        alphabets=alphabets,
    )
    return characters, content.hexdigest()


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
