"""What code cells produced, as stored in the notebook."""

from __future__ import annotations

import base64
import json
import re

from markupsafe import Markup

from theme import pictures
from theme.errors import BookError
from theme.foreign import is_drawn_by_script, published, rendered
from theme.html import clamped, element
from theme.katex import typeset
from theme.nodes import Page, handles
from theme.tree import Node

PICTURES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")
RICH = ("text/html", *PICTURES, "text/latex", "text/markdown", "application/json")
"""Of these, the first that an output offers is shown. Text alone is shown only where no
other type is offered: beside it, text is but the name of a Python object."""
LONG_TEXT, LONG_TABLE, LONG_LINE = 20, 12, 88
# A plot of no more pixels has legible letters when it is as narrow as a phone.
FITS_A_PHONE = 640
# Colours and movements of the cursor; titles and links of terminals.
ESCAPES = r"\x1b\[[0-9;?]*[A-Za-z]", r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
ESCAPE_SEQUENCE = re.compile("|".join(ESCAPES))


@handles("output")
def output(page: Page, node: Node) -> Markup:
    """One output. Its `alt` is the text for who cannot see its picture."""
    data = node["jupyter_data"]
    kind = data["output_type"]
    if kind == "stream":
        return stream(_text(page, data, "text"), data["name"])
    if kind == "error":
        return stream(_text(page, data, "traceback", "\n"), "error")
    bundle = data.get("data") or {}
    mime = chosen(page, bundle)
    if not mime:
        return Markup("")
    if mime in PICTURES:
        return picture(page, bundle[mime], mime, node)
    text = _text(page, bundle[mime], "content")
    if mime == "text/html":
        content = element("div", published(text, page.site.pages), class_="wide html")
        return clamped(content, text.count("<tr"), LONG_TABLE, "rows")
    if mime == "text/markdown":
        return element("div", rendered(text, page.site.pages), class_="markdown")
    if mime == "text/latex":
        shown = element("div", typeset(text), class_="scroll")
        return element("div", shown, class_="equation wide")
    if mime == "application/json":
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return stream(text, "result")


def chosen(page: Page, bundle: Node) -> str | None:
    """Which type of an output is shown; None of an empty one.

    Raises:
        BookError: a page can show none of them.
    """
    offered = [mime for mime in RICH if mime in bundle]
    if len(offered) > 1 and offered[0] == "text/html":
        # Plotly and others give a picture too, if they are asked.
        html = _text(page, bundle["text/html"], "content")
        if is_drawn_by_script(html) and offered[1] in PICTURES:
            offered.pop(0)
    if offered:
        return offered[0]
    unknown = [mime for mime in bundle if mime != "text/plain"]
    if unknown:
        raise BookError(
            f"An output of this cell is of type {' and '.join(unknown)}, which a page "
            "cannot show. Let the cell display a picture, a table, HTML or text."
        )
    return "text/plain" if bundle else None


def stream(text: str, name: str) -> Markup:
    plain = ESCAPE_SEQUENCE.sub("", text).rstrip("\r\n")
    # A carriage return begins the line anew, as the bars of progress do.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    wrapped = " wrapped" if max(map(len, lines)) > LONG_LINE else ""
    content = element("pre", "\n".join(lines), class_=f"output {name}{wrapped}")
    return clamped(content, len(lines), LONG_TEXT)


def picture(page: Page, value: Node, mime: str, node: Node) -> Markup:
    if not node.get("alt"):
        raise BookError(
            "A picture in the outputs has no alternative text. Write what it shows as "
            "`#| alt: …` on one of the first lines of its code cell."
        )
    if "path" in value:
        content = page.site.fetch(value["path"])
        source = page.site.href(value["path"])
    else:
        content = value["content"].encode()
        source = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    width, height = pictures.size(content, f"An output of type {mime}")
    metadata = node["jupyter_data"].get("metadata", {}).get(mime, {})
    if "width" in metadata:  # a picture of twice the resolution, for sharp screens
        height = round(height * metadata["width"] / width)
        width = metadata["width"]
    class_ = "plot" if width <= FITS_A_PHONE else "plot large"
    shown = pictures.picture(
        source, node["alt"], (width, height), class_=class_, loading="lazy"
    )
    return element("div", shown, class_="scroll picture")


def _text(page: Page, value: Node, field: str, separator: str = "") -> str:
    """mystmd keeps a short output in the tree. Of a long one there is a file, and a
    beginning in the tree."""
    if "path" in value:
        return page.site.fetch(value["path"]).decode()
    text = value.get(field) or ""
    return text if isinstance(text, str) else separator.join(text)
