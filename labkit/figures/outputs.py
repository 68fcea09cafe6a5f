"""What a notebook stores of a figure: SVG for the page, and PNG where no SVG is shown.

JupyterLab shows no SVG in a notebook that came from another computer, since an SVG may
hold a program; Colab and GitHub show none either. All of them show PNG.
"""

from __future__ import annotations

import hashlib
import io
import re
from binascii import b2a_base64

from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

# What says where something is drawn. A scale is left alone: letters are drawn a hundred
# times larger than they are shown.
_PLACES = re.compile(
    r'\b(?:d|x|y|width|height|viewBox|points)="[^"]*"|\b(?:translate|rotate)\([^)]*\)'
)
_FRACTION = re.compile(r"-?\d+\.\d{3,}")
# An element with a name that ends in ten digits, and what a clip path holds.
_NAMED = re.compile(
    r'<\w+\b[^>]*?\bid="(\w*?)([0-9a-f]{10})"[^>]*?(?:/>|>\s*<[^>]*>)', re.ASCII
)


def use() -> None:
    """Let figures of this notebook be stored so."""
    set_matplotlib_formats()  # starts matplotlib's own formatters, and takes them out
    formatters = get_ipython().display_formatter.formatters  # type: ignore[union-attr]
    formatters["image/svg+xml"].for_type(Figure, as_svg)
    formatters["image/png"].for_type(Figure, as_png)


def as_svg(figure: Figure) -> str | None:
    """The figure to hundredths of a point; None if it is empty.

    The last digits of a computation differ between processors, and matplotlib derives
    names from all of them. Rounded, and named after what is left, a figure computed
    elsewhere differs where it looks different.
    """
    nameless = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    text = print_figure(figure, "svg", metadata=nameless)
    if text is None:
        return None
    text = _PLACES.sub(lambda place: _FRACTION.sub(_rounded, place[0]), text)
    for element in list(_NAMED.finditer(text)):
        prefix, old = element.groups()
        content = element[0].replace(old, "").encode()
        new = hashlib.sha256(content).hexdigest()[:10]
        text = text.replace(prefix + old, prefix + new)
    return text


def as_png(figure: Figure) -> str | None:
    """The figure in 64 colours at the size of the SVG, in base64; None if it is empty.

    A third of the size of one of all colours, and to the eye the same.
    """
    data = print_figure(figure, "png", dpi=96)
    if data is None:
        return None
    small = io.BytesIO()
    picture = Image.open(io.BytesIO(data))
    picture.quantize(64, Image.Quantize.FASTOCTREE).save(small, "png", optimize=True)
    return b2a_base64(small.getvalue(), newline=False).decode("ascii")


def _rounded(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
