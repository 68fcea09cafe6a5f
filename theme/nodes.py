"""From MyST's syntax tree to HTML: one function for each kind of node.

The functions are in text.py, boxes.py, cells.py and outputs.py. Each gets the page and
its node, asks the page for the HTML of its children, and returns its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup

from theme.content import Site
from theme.errors import BookError
from theme.html import element, joined
from theme.lines import unbroken
from theme.sources import Source, sources
from theme.tree import Node

Handler = Callable[["Page", Node], Markup]
HANDLERS: dict[str, Handler] = {}
POINTING = ("crossReference", "captionNumber")
"""Nodes that carry the anchor of another."""


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def plain(kind: str, tag: str, class_: str | None = None) -> None:
    """A node that is one element around its children."""

    @handles(kind)
    def render(page: Page, node: Node) -> Markup:
        return element(tag, page.children(node), id=node.get("html_id"), class_=class_)


UNKNOWN = Source("")


@dataclass
class Page:
    """A page while it is written: renders nodes and gathers what belongs elsewhere."""

    site: Site
    slug: str
    content: Node
    faults: list[str] = field(default_factory=list)
    """What keeps the page from being published, one paragraph each."""
    section: str = ""
    """The heading met last."""
    file: str = ""
    """What the text was written in, if not in the page's own file."""
    source: Source = UNKNOWN
    """The text, or the cell of it, that is being rendered."""
    line: int = 0
    """The last line of it that a node was known to begin on."""
    opened: str | None = ""
    """Its anchor, until a paragraph follows; the page itself has the anchor ""."""
    anchors: dict[str, Markup] = field(default_factory=dict)
    """What each anchor stands for, to be previewed where a link leads there."""
    links: set[str] = field(default_factory=set)
    """The places in the book, as hrefs, that this page links to."""
    outline: list[tuple[int, str, Markup]] = field(default_factory=list)
    """Depth, anchor and text of the headings met so far."""
    footnotes: list[Markup] = field(default_factory=list)

    @cached_property
    def body(self) -> Markup:
        return self.render(self.content["mdast"])

    def children(self, node: Node) -> Markup:
        nodes = node.get("children", [])
        return joined(unbroken(nodes, [self.render(child) for child in nodes]))

    def render(self, node: Node) -> Markup:
        """A node's HTML. One that cannot be shown becomes a fault, with its place, and
        the rest of the page goes on: an author sees all faults at once."""
        if id(node) in self._sources:
            self.source, self.line = self._sources[id(node)], 0
        if "position" in node and not self.source.is_code:
            self.line = node["position"]["start"]["line"]
        try:
            html = HANDLERS.get(node["type"], unknown)(self, node)
        except BookError as error:
            html = self.refused(node, str(error))
        except Exception as error:
            html = self.refused(node, unforeseen(node, error))
        if node.get("html_id") and node["type"] not in POINTING:
            self.anchors[node["html_id"]] = html
        return html

    @contextmanager
    def within(self, file: str) -> Iterator[None]:
        """While what another file holds is rendered: faults are named as there."""
        outside = self.file, self.source, self.line
        self.file, self.source, self.line = file, UNKNOWN, 0
        yield
        self.file, self.source, self.line = outside

    @cached_property
    def _sources(self) -> dict[int, Source]:
        file = self.site.root / self.content["location"].lstrip("/")
        return sources(file, self.content["mdast"])

    def refused(self, node: Node, why: str) -> Markup:
        """Note a fault; what a live preview shows in the place of the node."""
        fault = f"{self._place(node)}: {why}"
        self.faults.append(fault)
        return element("strong", fault, id=node.get("html_id"), class_="fault")

    def _place(self, node: Node) -> str:
        """Where the author finds the node."""
        place = self.file or self.content["location"].lstrip("/")
        if self.source.cell:
            place += f", cell {self.source.cell}"
        line = self.source.line_of(node, self.line)
        if line or self.line:
            place += f", line {line or self.line}" + ("" if line else " or below")
        return place + (f', under "{self.section}"' if self.section else "")


def unknown(page: Page, node: Node) -> Markup:
    raise BookError(
        f'The theme cannot show a node of type "{node["type"]}". Write it in another '
        "way, or add a function for it beside those in theme/text.py."
    )


def unforeseen(node: Node, error: Exception) -> str:
    """Of a tree that has a shape no function expects, as other versions of mystmd, and
    ways to write MyST that nobody here has tried, may give."""
    return (
        f'The theme cannot show this node of type "{node["type"]}" '
        f"({type(error).__name__}: {error}). Write it in another way. If MyST allows "
        "what you wrote, the theme is at fault: its function is to be mended."
    )
