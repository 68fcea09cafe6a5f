"""From MyST's syntax tree to HTML: one function for each kind of node.

The functions are in text.py, boxes.py and cells.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from markupsafe import Markup

from theme.content import Node, Site
from theme.errors import BookError, PageError
from theme.html import element, joined

Handler = Callable[["Page", Node], Markup]
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


@dataclass
class Page:
    """A page while it is written: renders nodes and gathers what belongs elsewhere."""

    site: Site
    content: Node
    section: str = ""
    """The heading met last."""
    outline: list[tuple[int, str, Markup]] = field(default_factory=list)
    """Depth, anchor and text of the headings met so far."""
    footnotes: list[Markup] = field(default_factory=list)

    def render(self, node: Node) -> Markup:
        handler = HANDLERS.get(node["type"], unknown)
        try:
            return handler(self, node)
        except PageError:
            raise
        except BookError as error:
            raise PageError(f"{self.place(node)}: {error}") from error

    def children(self, node: Node) -> Markup:
        return joined(self.render(child) for child in node.get("children", ()))

    def place(self, node: Node) -> str:
        """Where the author finds the node."""
        line = node.get("position", {}).get("start", {}).get("line")
        place = self.content["location"].lstrip("/") + (
            f", line {line}" if line else ""
        )
        return place + (f', under "{self.section}"' if self.section else "")


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
