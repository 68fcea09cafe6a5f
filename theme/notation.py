"""The page of notation, wired both ways.

Its tables have a row for each symbol: the symbol, its meaning, its name in the code,
and a link to where the book first uses it. From there the page of that first use lists
the symbols it introduces, and the reference of the code the symbols of each name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from theme import katex
from theme.content import Site
from theme.errors import BookError
from theme.html import element
from theme.tree import Node, walk, words

SLUG = "notation"


@dataclass(frozen=True)
class Symbol:
    tex: str
    html: Markup
    href: str
    """Its row on the page of notation."""
    code: frozenset[str]
    """Where the reference explains its names."""
    first_use: str
    """Slug of the page that introduces it."""


def symbols(site: Site) -> list[Symbol]:
    """The rows of the page of notation; each gets an anchor that its TeX decides."""
    if SLUG not in site.pages:
        return []
    rows = [
        node
        for node in walk(site.pages[SLUG]["mdast"])
        if node["type"] == "tableRow" and not node["children"][0].get("header")
    ]
    return [_symbol(site, row) for row in rows]


def _symbol(site: Site, row: Node) -> Symbol:
    first, _, code, use = row["children"]
    formula = next((node for node in walk(first) if node["type"] == "inlineMath"), None)
    if formula is None:
        raise BookError(
            f'A row on the page of notation begins with "{words(first)}", not with a '
            "formula. (What mystmd can write without mathematics, it does.)"
        )
    row["html_id"] = anchor(formula["value"])
    names = [node["value"] for node in walk(code) if node["type"] == "inlineCode"]
    links = [node for node in walk(use) if node.get("url")]
    return Symbol(
        tex=formula["value"],
        html=katex.formula(formula["html"]),
        href=site.href(f"/{SLUG}#{row['html_id']}"),
        code=frozenset(filter(None, map(site.explanation, names))),
        first_use=links[0]["url"].strip("/") if links else "",
    )


def symbol_link(symbol: Symbol) -> Markup:
    """The symbol as a link to its row; programs that read aloud get its source."""
    source = element("span", f"Notation of {symbol.tex}", class_="unseen")
    return element("a", source + symbol.html, href=symbol.href)


def anchor(tex: str) -> str:
    r"""A readable identifier: `\theta'` becomes symbol-theta-prime."""
    spoken = tex.replace("'", " prime ")
    return "symbol-" + re.sub(r"[^A-Za-z0-9]+", "-", spoken).strip("-")
