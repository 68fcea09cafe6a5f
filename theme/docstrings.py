"""Docstrings as HTML: Google style, as griffe reads it, and plain prose.

A text has paragraphs, indented blocks that stay as they are, lists of `- …`, `code` of
which known names are links, and *emphasis*.
"""

from __future__ import annotations

import re
from textwrap import dedent

import griffe
from markupsafe import Markup, escape

from theme.code import highlighted, inline
from theme.content import Site
from theme.html import element, joined

ITEM = "- "
TITLES = {
    griffe.DocstringSectionKind.parameters: "Arguments",
    griffe.DocstringSectionKind.other_parameters: "Other arguments",
    griffe.DocstringSectionKind.attributes: "Attributes",
    griffe.DocstringSectionKind.returns: "Returns",
    griffe.DocstringSectionKind.yields: "Yields",
    griffe.DocstringSectionKind.receives: "Receives",
    griffe.DocstringSectionKind.raises: "Raises",
    griffe.DocstringSectionKind.warns: "Warns",
}


def summary(of: griffe.Object) -> str:
    return of.docstring.value.split("\n\n")[0] if of.docstring else ""


def explained(site: Site, of: griffe.Object) -> Markup:
    """The docstring of a module, class or function; nothing where there is none."""
    if of.docstring is None:
        return Markup("")
    sections = of.docstring.parse(
        "google",
        warnings=False,
        returns_named_value=False,
        returns_multiple_items=False,
        receives_multiple_items=False,
    )
    return joined(_section(site, section) for section in sections)


def _section(site: Site, section: griffe.DocstringSection) -> Markup:
    value = section.value
    if section.kind is griffe.DocstringSectionKind.text:
        return _text(site, value)
    if section.kind is griffe.DocstringSectionKind.examples:
        title = element("p", section.title or "Examples", class_="title")
        return title + joined(_text(site, part) for _, part in value)
    if section.kind is griffe.DocstringSectionKind.admonition:
        title = element("p", section.title or value.kind, class_="title")
        return title + _text(site, value.contents)
    title = element("p", TITLES[section.kind], class_="title")
    items = [_item(site, item) for item in value]
    if section.kind is griffe.DocstringSectionKind.returns and len(items) == 1:
        return title + element("p", items[0])
    return title + element("ul", joined(element("li", item) for item in items))


def _item(site: Site, item: griffe.DocstringElement) -> Markup:
    """ "name (type): what it is". A type of the signature is not said again."""
    name, annotation = getattr(item, "name", ""), item.annotation
    text = item.description
    if isinstance(item, griffe.DocstringRaise | griffe.DocstringWarn):
        name, annotation = str(annotation), None
    if not isinstance(annotation, str):
        annotation = None
    if not name:  # of a return, griffe takes what precedes a colon for its type
        return _inline(site, f"{annotation}: {text}" if annotation else text)
    head = element("code", name)
    if annotation:
        head += " (" + inline(annotation, site.explanation(annotation)) + ")"
    return head + ": " + _inline(site, text)


def _text(site: Site, text: str) -> Markup:
    content = Markup("")
    for block in re.split(r"\n\s*\n", text):
        if all(line.startswith("    ") for line in block.splitlines()):
            content += element("pre", dedent(block), class_="output")
        elif block.startswith(">>>"):
            content += highlighted(block, "pycon")
        elif block.startswith(ITEM):
            items = re.split(rf"\n(?={ITEM})", block)
            content += element(
                "ul",
                joined(
                    element("li", _inline(site, item.removeprefix(ITEM)))
                    for item in items
                ),
            )
        else:
            content += element("p", _inline(site, block))
    return content


def _inline(site: Site, text: str) -> Markup:
    parts = text.split("`")
    return joined(
        inline(part, site.explanation(part))
        if number % 2
        else Markup(re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", str(escape(part))))
        for number, part in enumerate(parts)
    )
