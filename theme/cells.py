"""Code cells, listings, and what hide-… and remove-… tags do to them."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

from markupsafe import Markup

from theme import outputs
from theme.code import highlighted
from theme.content import Node
from theme.errors import BookError
from theme.html import clamped, element, joined
from theme.nodes import Page, handles

# A listing of one method fits; what is longer shows its beginning.
LONG_CODE = 40


def folded(label: str, content: Markup) -> Markup:
    return element("details", element("summary", label) + content, class_="folded wide")


def visible(node: Node, content: Callable[[], Markup], label: str) -> Markup:
    """Honour the tags hide-…  (folded) and remove-… (not on the page at all)."""
    visibility = node.get("visibility", "show")
    if visibility == "remove":
        return Markup("")
    return content() if visibility == "show" else folded(label, content())


@handles("root")
def root(page: Page, node: Node) -> Markup:
    return page.children(node)


@handles("block")
def block(page: Page, node: Node) -> Markup:
    def content() -> Markup:
        if node.get("kind") != "notebook-code":
            return page.children(node)
        anchor = node.get("html_id") if "label" in node else None
        return element("div", page.children(node), id=anchor, class_="cell")

    if "parameters" in (node.get("data") or {}).get("tags", ()):
        return folded("Parameters of this chapter", content())
    return visible(node, content, "Code and output")


@handles("embed")
def embed(page: Page, node: Node) -> Markup:
    """A cell shown where the text wants it. There it is seen, whatever its tags."""
    return element("div", page.children(node), class_="cell")


@handles("include")
def include(page: Page, node: Node) -> Markup:
    return page.children(node)


@handles("code")
def code(page: Page, node: Node) -> Markup:
    if not node["value"] and not node.get("executable"):
        raise BookError(
            "A code block is empty. Most likely a directive ends too early: one that "
            "holds another needs more colons (or backticks) than the one inside."
        )
    if not node["value"]:
        return Markup("")
    numbered = node.get("showLineNumbers")
    source = highlighted(
        dedent(node["value"]),  # a method in a listing stands in no class
        node.get("lang") or "text",
        number_from=node.get("startingLineNumber", 1) if numbered else None,
        emphasised=frozenset(node.get("emphasizeLines", ())),
    )
    name = node.get("filename")
    header = element("p", name, class_="filename") if name else ""
    return visible(
        node,
        lambda: clamped(
            element("div", header + source, class_="source wide"),
            node["value"].count("\n") + 1,
            LONG_CODE,
        ),
        "Code of this cell" if node.get("executable") else "Code",
    )


@handles("outputs")
def outputs_(page: Page, node: Node) -> Markup:
    alternative = page.site.alternatives.get(node["id"])

    def content() -> Markup:
        shown = joined(
            outputs.output(page, child, alternative)
            for child in node.get("children", ())
        )
        return element("div", shown, class_="outputs") if shown else shown

    return visible(node, content, "Output of this cell")
