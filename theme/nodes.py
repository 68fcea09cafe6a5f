"""From MyST's syntax tree to HTML: one function for each kind of node.

The functions are in text.py, boxes.py and cells.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup

from theme.content import Node, Site
from theme.errors import BookError, PageError
from theme.html import element, joined

Handler = Callable[["Page", Node], Markup]
HANDLERS: dict[str, Handler] = {}
UNBROKEN = 32
"""Letters that fit any line together: a formula, and the words that it touches."""
POINTING = ("crossReference", "captionNumber")
"""Nodes that carry the anchor of another."""


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


@dataclass
class Page:
    """A page while it is written: renders nodes and gathers what belongs elsewhere."""

    site: Site
    slug: str
    content: Node
    section: str = ""
    """The heading met last."""
    line: int | None = None
    """The last line that a node was known to begin on; mystmd forgets some."""
    opened: str | None = ""
    """Its anchor, until a paragraph follows; the page itself has the anchor ""."""
    anchors: dict[str, Markup] = field(default_factory=dict)
    """What each anchor stands for, to be previewed where a link leads there."""
    links: set[str] = field(default_factory=set)
    """The places in the book, as hrefs, that this page links to."""
    outline: list[tuple[int, str, Markup]] = field(default_factory=list)
    """Depth, anchor and text of the headings met so far."""
    footnotes: list[Markup] = field(default_factory=list)

    def render(self, node: Node) -> Markup:
        handler = HANDLERS.get(node["type"], unknown)
        self.line = _line(node) or self.line
        try:
            html = handler(self, node)
        except PageError:
            raise
        except BookError as error:
            raise PageError(f"{self.place(node)}: {error}") from error
        if node.get("html_id") and node["type"] not in POINTING:
            self.anchors[node["html_id"]] = html
        return html

    @cached_property
    def body(self) -> Markup:
        return self.render(self.content["mdast"])

    def children(self, node: Node) -> Markup:
        nodes = node.get("children", [])
        parts = [self.render(child) for child in nodes]
        for i, child in enumerate(nodes):
            if child["type"] == "inlineMath":
                keep_together(nodes, parts, i)
        return joined(parts)

    def place(self, node: Node) -> str:
        """Where the author finds the node."""
        place = self.content["location"].lstrip("/")
        if self.line:
            place += f", line {self.line}" + ("" if _line(node) else " or below")
        return place + (f', under "{self.section}"' if self.section else "")


def _line(node: Node) -> int | None:
    return node.get("position", {}).get("start", {}).get("line")


def keep_together(nodes: list[Node], parts: list[Markup], i: int) -> None:
    """Let no line end within a short formula, nor between it and what it touches.

    Browsers may break a line on either side of a formula, before a full stop too.
    """

    def touching(pattern: str, at: int) -> str:
        is_text = 0 <= at < len(nodes) and nodes[at]["type"] == "text"
        found = re.search(pattern, parts[at]) if is_text else None
        return found[0] if found else ""

    before, after = touching(r"[^\s>]+\Z", i - 1), touching(r"\A[^\s<]+", i + 1)
    drawn = nodes[i]["html"].partition('class="katex-html"')[2]
    length = len(re.sub("<[^>]*>|\u200b", "", drawn[drawn.find(">") + 1 :]))
    breakable = before or after or drawn.count('class="base"') > 1
    if not breakable or length + len(before) + len(after) > UNBROKEN:
        return
    whole = Markup(before) + parts[i] + Markup(after)
    parts[i] = element("span", whole, class_="unbroken")
    if before:
        parts[i - 1] = Markup(parts[i - 1].removesuffix(before))
    if after:
        parts[i + 1] = Markup(parts[i + 1].removeprefix(after))


def unknown(page: Page, node: Node) -> Markup:
    raise BookError(
        f'The theme cannot show a node of type "{node["type"]}". Write it in another '
        "way, or add a function for it beside those in theme/text.py."
    )


def plain(kind: str, tag: str, class_: str | None = None) -> None:
    """A node that is one element around its children."""

    @handles(kind)
    def render(page: Page, node: Node) -> Markup:
        return element(tag, page.children(node), id=node.get("html_id"), class_=class_)
