"""HTML elements. Text that is not marked as HTML is escaped wherever it enters."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

VOID = frozenset({"br", "hr", "img"})


def element(
    name: str, content: str = "", /, **attributes: str | int | bool | None
) -> Markup:
    """`<name attribute="…">content</name>`.

    An attribute that is None, False or empty is left out, except `alt`, where empty
    has a meaning; True writes the bare name. A trailing underscore is dropped
    (`class_`), others become hyphens (`aria_label`).
    """
    written = Markup("")
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            written += Markup(" {}").format(attribute)
        elif value or (attribute == "alt" and value is not None):
            written += Markup(' {}="{}"').format(attribute, value)
    if name in VOID:
        return Markup("<{}{}>").format(Markup(name), written)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, escape(content))


def clamped(content: Markup, lines: int, most: int, unit: str = "lines") -> Markup:
    """Content of so many lines; above `most`, a button of the page shows its rest."""
    if lines <= most:
        return content
    return element("div", content, class_="long wide", data_all=f"{lines} {unit}")


def folded(label: str, content: Markup) -> Markup:
    """Content that opens under a label."""
    return element("details", element("summary", label) + content, class_="folded wide")


def self_link(text: str, anchor: str | None, class_: str) -> Markup:
    """A number that links to what it numbers, for readers who want to point at it."""
    if not anchor:
        return element("span", text, class_=class_)
    return element("a", text, class_=class_, href=f"#{anchor}")


def joined(parts: Iterable[str], separator: str = "") -> Markup:
    return escape(separator).join(parts)
