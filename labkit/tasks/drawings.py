"""Drawings of Omniglot: black ink on white paper, 105 pixels a side, nothing between.

A drawing resized, inverted, smoothed or compressed elsewhere is another drawing, and
figures measured on it are not those of the field. So it is refused and not repaired.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from labkit.tasks.archives import SmallFiles
from labkit.tasks.downloads import DamagedData

SIDE = 105
MOST_INK = 0.5
"""Of a drawing, as a share of its pixels. In Omniglot none has more than 0.23."""


DRAWERS = [f"{drawer:02}" for drawer in range(1, 21)]
"""The people who drew every character, as the names of their drawings end."""

_DRAWING = re.compile(
    r"(?P<top>(?:.+/)?)(?P<character>[^/]+/character\d+)/\d+_(?P<drawer>\d+)\.\w+"
)


def by_character(files: SmallFiles) -> dict[str, list[str]]:
    """From each "ALPHABET/characterNN" to the names of its 20 drawings, in order.

    In a folder the alphabets are at the top, in a zip they are inside one folder.

    Raises:
        DamagedData: the files are not laid out like that, or drawings are missing.
    """
    depth, inside = (0, "") if files.path.is_dir() else (1, " inside one folder")
    drawings = [match for name in files.members if (match := _DRAWING.fullmatch(name))]
    astray = [match for match in drawings if match["top"].count("/") != depth]
    if not drawings or astray:
        first = astray[0][0] if astray else next(iter(files.members), "")
        why = (
            f"It holds {first}"
            if first
            else "It holds no file at all, apart from __MACOSX and hidden ones"
        )
        if astray:
            off = astray[0]["top"].count("/") - depth
            way = "too deep" if off > 0 else "not deep enough"
            why += f", {abs(off)} folder{'s' * (abs(off) > 1)} {way}"
        raise DamagedData(
            f"{files.path} holds no ALPHABET/characterNN/NNNN_NN.png{inside}, as the "
            f"Omniglot release does. {why}."
        )
    tops = sorted({match["top"] for match in drawings})
    if len(tops) > 1:
        raise DamagedData(
            f"{files.path} holds several parts, {' '.join(tops)}: a part is a zip of "
            "its own."
        )
    found: dict[str, list[str]] = {}
    drawers: dict[str, list[str]] = {}
    for match in drawings:
        found.setdefault(match["character"], []).append(match[0])
        drawers.setdefault(match["character"], []).append(match["drawer"])
    for character, numbers in drawers.items():
        if numbers != DRAWERS:
            missing = ", ".join(d for d in DRAWERS if d not in numbers) or "none"
            raise DamagedData(
                f"{files.path} holds {len(numbers)} drawings of {character} where "
                f"{len(DRAWERS)} people drew it, once each (missing: {missing})."
            )
    return found


def read_drawings(
    files: SmallFiles, names: Sequence[str]
) -> UInt8[Tensor, "drawings 105 105"]:
    """Drawings at their own size, ink 255 and paper 0.

    Raises:
        DamagedData: one is not there, or is no drawing as the release has them.
    """
    masks = np.stack([_mask(files, name) for name in names])
    share = masks.mean((1, 2))
    for name, ink in zip(names, share.tolist(), strict=True):
        if ink == 0:
            raise DamagedData(f"{name} of {files.path} is blank: it shows no ink.")
        if ink > MOST_INK:
            raise DamagedData(
                f"{name} of {files.path} is {ink:.0%} ink, and a drawing is at most "
                f"{MOST_INK:.0%}: it seems inverted, white on black. The release is "
                "black on white; take its own drawings."
            )
    return torch.from_numpy(masks.astype(np.uint8) * np.uint8(255))


def _mask(files: SmallFiles, name: str) -> Bool[np.ndarray, "105 105"]:
    """Where the ink of one PNG is."""
    content, what = files.read(name), f"{name} of {files.path}"
    if content.startswith(b"\xff\xd8"):
        raise DamagedData(
            f"{what} is a JPEG, which changes the pixels of a drawing. The release "
            "holds PNGs; take its own drawings."
        )
    if not content.startswith(b"\x89PNG"):
        raise DamagedData(f"{what} cannot be read: it is no PNG.")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if (width, height) != (SIDE, SIDE):  # and nothing larger is ever unpacked
        raise DamagedData(
            f"{what} has {width}×{height} pixels where a drawing has {SIDE}×{SIDE}. "
            "Take the drawings of the release as they are: `size` resizes them."
        )
    try:
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except Exception as error:  # garbled bytes lead Pillow to errors of ten kinds
        raise DamagedData(f"{what} cannot be read ({error}).") from error
    if (
        image.has_transparency_data
        and np.asarray(image.convert("RGBA"))[..., 3].min() < 255
    ):
        raise DamagedData(
            f"{what} has transparent pixels, of which nobody can say whether they are "
            "ink. The release is black on white; take its own drawings."
        )
    if image.mode == "1":
        return ~np.asarray(image)
    grey = np.asarray(image.convert("L"))
    if ((grey > 0) & (grey < 255)).any():
        raise DamagedData(
            f"{what} has shades of grey, where a drawing is black on white and nothing "
            "between: it was resized or smoothed. Take the release's own drawings."
        )
    return grey == 0
