"""MyST's syntax trees, as mystmd writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
"""A node: `type`, mostly `children` or `value`, and options, any of which may be
missing."""


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text."""
    yield node
    for child in node.get("children", ()):
        yield from walk(child)


def words(node: Node) -> str:
    """The text of a node without its marks; of mathematics, the source."""
    return "".join(part.get("value", "") for part in walk(node))


def without_links(node: Node) -> Node:
    """The node for where a link may not be: inside a link, or on a fold's handle."""
    children: list[Node] = []
    for child in node.get("children", ()):
        copy = without_links(child)
        if child["type"] in ("link", "crossReference"):
            children += copy.get("children", [])
        elif child["type"] == "cite":  # one part of its group, however many words
            children.append({"type": "span", "children": copy.get("children", [])})
        elif child["type"] == "inlineCode":  # which may become one
            children.append({**child, "linkless": True})
        else:
            children.append(copy)
    return {**node, "children": children} if "children" in node else node
