"""What code cells produced, as stored in the notebook."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

from markupsafe import Markup
from PIL import Image

from theme.content import Node
from theme.errors import BookError
from theme.html import clamped, element
from theme.nodes import Page

# The first that an output offers is shown.
SHOWN = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
# A reader would see only the name of the Python object in their place.
NOT_SHOWN = ("text/markdown", "text/latex", "application/vnd.jupyter.widget-view+json")
LONG_TEXT, LONG_TABLE, LONG_LINE = 20, 12, 88
# A plot of no more pixels has legible letters when it is as narrow as a phone.
FITS_A_PHONE = 640
ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def output(page: Page, node: Node, alternative: str | None) -> Markup:
    """One output. `alternative` is the text for who cannot see its picture."""
    data = node["jupyter_data"]
    kind = data["output_type"]
    if kind == "stream":
        return stream(_text(page, data), data["name"])
    if kind == "error":
        return stream("\n".join(data["traceback"]), "error")
    bundle = data["data"]
    unseen = [
        mime for mime in NOT_SHOWN if mime in bundle and "text/html" not in bundle
    ]
    offered = [mime for mime in SHOWN if mime in bundle]
    if unseen or not offered:
        raise BookError(
            f"An output is of type {' and '.join(unseen or bundle)}, which a page "
            "cannot show. Let the cell display HTML, a picture or text."
        )
    mime = offered[0]
    if mime == "text/plain":
        return stream(_text(page, bundle[mime]), "result")
    if mime == "text/html":
        html = _text(page, bundle[mime])
        content = element("div", Markup(html), class_="wide html")
        return clamped(content, html.count("<tr"), LONG_TABLE, "rows")
    return picture(page, bundle[mime], mime, alternative, node)


def stream(text: str, name: str) -> Markup:
    plain = ESCAPE_SEQUENCE.sub("", text).rstrip("\n")
    longest = max(map(len, plain.split("\n")))
    wrapped = " wrapped" if longest > LONG_LINE else ""
    content = element("pre", plain, class_=f"output {name}{wrapped}")
    return clamped(content, plain.count("\n") + 1, LONG_TEXT)


def picture(
    page: Page, value: Node, mime: str, alternative: str | None, node: Node
) -> Markup:
    if not alternative:
        raise BookError(
            "A picture in the outputs has no alternative text. Write what it shows as "
            "`#| alt: …` on one of the first lines of its code cell."
        )
    content = _bytes(page, value)
    if "path" in value:
        source = page.site.href(value["path"])
    else:
        source = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    metadata = node["jupyter_data"].get("metadata", {}).get(mime, {})
    width, height = picture_size(content, mime)
    if "width" in metadata:  # a picture of twice the resolution, for sharp screens
        height = round(height * metadata["width"] / width)
        width = metadata["width"]
    shown = element(
        "img",
        src=source,
        alt=alternative,
        width=width,
        height=height,
        style=f"--natural: {width}px",
        class_="plot" if width <= FITS_A_PHONE else "plot large",
        loading="lazy",
    )
    return element("div", shown, class_="scroll picture")


def picture_size(content: bytes, mime: str) -> tuple[int, int]:
    """Width and height in CSS pixels, so that the page does not jump as it loads."""
    if mime != "image/svg+xml":
        return Image.open(io.BytesIO(content)).size
    attributes = ElementTree.fromstring(content).attrib
    if "width" in attributes and not attributes["width"].endswith("%"):
        return _pixels(attributes["width"]), _pixels(attributes["height"])
    _, _, width, height = attributes["viewBox"].split()
    return round(float(width)), round(float(height))


def _pixels(length: str) -> int:
    """Matplotlib writes points, of which an inch has 72 where it has 96 pixels."""
    if length.endswith("pt"):
        return round(float(length[:-2]) * 96 / 72)
    return round(float(length.removesuffix("px")))


def _bytes(page: Page, value: Node) -> bytes:
    """mystmd keeps a small output in the tree and a large one in a file."""
    if "path" in value:
        return page.site.fetch(value["path"])
    return value["content"].encode()


def _text(page: Page, value: Node) -> str:
    if "text" in value:
        text = value["text"]
    elif "path" in value:
        text = _bytes(page, value).decode()
    else:
        text = value["content"]
    return text if isinstance(text, str) else "".join(text)
