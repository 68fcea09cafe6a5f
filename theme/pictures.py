"""Pictures, each with the room it takes, so that no page jumps as it loads."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from theme.errors import BookError
from theme.html import element

SHOWN = ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP")
UNITS = {
    "": 1,
    "px": 1,
    "pt": 96 / 72,
    "pc": 16,
    "in": 96,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "em": 16,
    "rem": 16,
    "ex": 8,
}
"""CSS pixels in a unit of length; of em and ex, with the letters of a page."""
UNSIZED = (300, 150)
"""What browsers give to a drawing that says nothing of its size."""


def size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height in CSS pixels.

    Raises:
        BookError: it is no picture; the message has its `name`.
    """
    refused = BookError(
        f"{name} is no picture that browsers show. Save it as PNG, JPEG, GIF, WebP or "
        "SVG."
    )
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        pass
    else:
        if image.format not in SHOWN:
            raise refused
        return image.size
    try:
        drawing = ElementTree.fromstring(content).attrib
    except ElementTree.ParseError as error:
        raise refused from error
    box = re.split(r"[\s,]+", drawing.get("viewBox", "").strip())
    across, down = map(float, box[2:]) if len(box) == 4 else UNSIZED
    width, height = _pixels(drawing.get("width")), _pixels(drawing.get("height"))
    width = width or (height * across / down if height else across)
    return round(width), round(height or width * down / across)


def _pixels(length: str | None) -> float | None:
    """None for a part of the page, such as 100%, or a length that is not known."""
    found = re.fullmatch(r"\s*([\d.]+(?:e[+-]?\d+)?)\s*([a-zA-Z]*)\s*", length or "")
    if not found or found[2].lower() not in UNITS:
        return None
    return float(found[1]) * UNITS[found[2].lower()]


def picture(
    source: str,
    alternative: str,
    size: tuple[int, int],
    *,
    wanted: str | None = None,
    class_: str = "plot",
    loading: str | None = None,
) -> Markup:
    """An `<img>` of its natural width, or of what the author wanted ("50%")."""
    width, height = size
    return element(
        "img",
        src=source,
        alt=alternative,
        width=width,
        height=height,
        style=f"width: {wanted}" if wanted else f"--natural: {width}px",
        class_=class_,
        loading=loading,
    )
