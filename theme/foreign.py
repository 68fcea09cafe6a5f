"""HTML and Markdown that code produced: published without scripts and without loads."""

from __future__ import annotations

import re
from collections.abc import Collection

from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

from theme.errors import BookError
from theme.katex import typeset
from theme.urls import linkable, scheme

FRAMES = ("iframe", "frame", "object", "embed", "applet")
RUNNING = ("script", "base", "meta", *FRAMES)
"""Elements that run or load something, or change what others load."""
LOADING = ("src", "srcset", "poster", "background", "data", "href", "xlink:href")
"""Attributes by which an element loads; the `href` of <a> and <area> does not."""
LINKING = ("href", "xlink:href", "action", "formaction")
STYLED = re.compile(r"""(?:url\(|@import)\s*(?:url\()?\s*["']?([^"')\s;]+)""", re.I)
DRAWING = ("img", "svg", "video", "audio", "table")


def published(html: str, slugs: Collection[str]) -> Markup:
    """The HTML of an output, without scripts.

    Raises:
        BookError: it loads something, which no page of the book does; a link leads
            where none may; without its scripts, nothing is left to see.
    """
    soup = BeautifulSoup(html, "html.parser")
    loads = [load for tag in soup.find_all(True) for load in _loads(tag)]
    if loads:
        listed = ", ".join(dict.fromkeys(load[:80] for load in loads))
        raise BookError(
            f"The HTML of an output loads {listed}, and a page loads nothing but what "
            "lies in the book. Let the cell display a picture, as PNG or SVG, or print "
            "a link."
        )
    if is_drawn_by_script(html):
        raise BookError(
            "The HTML of an output shows nothing without its script, and pages carry "
            "no scripts of outputs. Let the cell display a picture, as PNG or SVG."
        )
    for tag in soup.find_all(RUNNING):
        tag.decompose()
    for tag in soup.find_all(True):
        for name in [name for name in tag.attrs if name.startswith("on")]:
            del tag[name]
        for name, value in tag.attrs.items():
            if name in LINKING or scheme(str(value)) == "javascript":
                _refuse_link(str(value), slugs)
    return Markup(str(soup))


def is_drawn_by_script(html: str) -> bool:
    """Whether there is a script in it, and nothing to see without it."""
    soup = BeautifulSoup(html, "html.parser")
    if not soup.find(RUNNING):
        return False
    for tag in soup.find_all([*RUNNING, "style", "noscript"]):
        tag.decompose()
    return not soup.get_text(strip=True) and not soup.find(DRAWING)


def _loads(tag: Tag) -> list[str]:
    """What an element would ask for, but for what is written in it (`data:`, `#`)."""
    names = [n for n in LOADING if n in tag.attrs]
    if tag.name in ("a", "area"):
        names = [name for name in names if name not in ("href", "xlink:href")]
    found = [str(tag[name]) for name in names if name != "data" or tag.name == "object"]
    if tag.name in FRAMES and not found:
        found.append(f"a frame of its own (<{tag.name}>)")
    styles = [str(tag.get("style", "")), tag.get_text() if tag.name == "style" else ""]
    found += [url for style in styles for url in STYLED.findall(style)]
    return [url for url in found if scheme(url) != "data" and not url.startswith("#")]


def _refuse_link(url: str, slugs: Collection[str]) -> None:
    path = linkable(url).partition("#")[0]
    known = not path or scheme(path) or path.removesuffix(".html") in (*slugs, "index")
    if not known:
        raise BookError(
            f"The HTML of an output links to {url}, which is not in the book. Link to "
            "a page of it, or to an address on the web."
        )


def _formula(latex: str, options: dict[str, bool]) -> Markup:
    return typeset(latex, displayed=options["display_mode"])


def rendered(markdown: str, slugs: Collection[str]) -> Markup:
    """Markdown of an output as HTML; HTML within it is text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(dollarmath_plugin, renderer=_formula)
    return published(parser.render(markdown), slugs)
