"""Code cells, listings, and what hide-… and remove-… tags do to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

import yaml
from markupsafe import Markup

from theme.code import highlighted
from theme.errors import BookError
from theme.html import clamped, element, folded, joined
from theme.nodes import Page, handles
from theme.tree import Node, walk

# A listing of one method fits; what is longer shows its beginning.
LONG_CODE = 40


def is_removed(node: Node) -> bool:
    """By a tag remove-…: it is not on the page at all."""
    return node.get("visibility") == "remove"


def visible(node: Node, content: Markup, label: str) -> Markup:
    """Folded, where a tag hide-… says so."""
    return folded(label, content) if node.get("visibility") == "hide" else content


def options(node: Node) -> Node:
    """What a cell says about itself: tags, alternative text."""
    return node.get("data") or {}


@handles("root")
def root(page: Page, node: Node) -> Markup:
    return page.children(node)


@handles("block")
def block(page: Page, node: Node) -> Markup:
    is_cell = node.get("kind") == "notebook-code"
    refused = [page.refused(node, why) for why in complaints(node)] if is_cell else []
    is_parameters = "parameters" in options(node).get("tags", ())
    if is_removed(node) and not is_parameters:
        return joined(refused)
    content = joined([*refused, page.children(node)])
    if is_cell:
        anchor = node.get("html_id") if "label" in node else None
        content = element("div", content, id=anchor, class_="cell")
    if is_parameters:
        return folded("Parameters of this chapter", content)
    return visible(node, content, "Code and output")


def complaints(cell: Node) -> Iterator[str]:
    """What is wrong with a cell as a whole, even if it is removed from its page."""
    for part in walk(cell):
        output = part.get("jupyter_data") or {}
        is_meant = "raises-exception" in options(cell).get("tags", ())
        if output.get("output_type") == "error" and not is_meant:
            yield (
                "This cell failed when the notebook was last run "
                f"({output.get('ename')}: {output.get('evalue')}). Mend it and run the "
                "notebook again, or give it the tag raises-exception if it is to fail."
            )
    code = next((part for part in walk(cell) if part["type"] == "code"), {})
    # mystmd takes the options from the code, but for those that it cannot read.
    left = re.match(r"(?:#\s?\|.*\n?)+", code.get("value", ""))
    if left:
        why = unreadable([line.partition("|")[2] for line in left[0].splitlines()])
        yield (
            f"The lines that begin this cell with #| cannot be read ({why}). Put a "
            'value in quotation marks: `#| alt: "Accuracy: 98 %"`.'
        )
    for name in ("alt", "caption", "label"):
        value = options(cell).get(name, "")
        if not isinstance(value, str):
            yield (
                f"To YAML, the line `#| {name}: …` of this cell is no text but a "
                f'{type(value).__name__}. Put it in quotation marks: `#| {name}: "…"`.'
            )


def unreadable(lines: list[str]) -> str:
    """What keeps the options of a cell from being read."""
    try:
        if isinstance(yaml.safe_load("\n".join(lines)), dict):
            return "after #| comes a space"
        return "each has the form `#| name: value`"
    except yaml.YAMLError as error:
        return f"YAML says: {getattr(error, 'problem', error)}"


@handles("embed")
def embed(page: Page, node: Node) -> Markup:
    """A cell shown where the text wants it. There it is seen, whatever its tags."""
    if not node.get("children"):
        label = (node.get("source") or {}).get("label")
        raise BookError(f'There is nothing to embed: nothing has the label "{label}".')
    return element("div", page.children(node), class_="cell")


@handles("include")
def include(page: Page, node: Node) -> Markup:
    with page.within(node.get("file", "")):
        return page.children(node)


@handles("code")
def code(page: Page, node: Node) -> Markup:
    value, is_cell = node.get("value", ""), node.get("executable", False)
    if is_removed(node) or (is_cell and not value):
        return Markup("")
    if not value:
        raise BookError(
            "A code block is empty. Most likely a directive ends too early: one that "
            "holds another needs more colons (or backticks) than the one inside."
        )
    numbered = node.get("showLineNumbers")
    source = highlighted(
        dedent(value),  # a method in a listing stands in no class
        node.get("lang") or "text",
        number_from=node.get("startingLineNumber", 1) if numbered else None,
        emphasised=frozenset(node.get("emphasizeLines", ())),
    )
    name = node.get("filename")
    header = element("p", name, class_="filename") if name else ""
    shown = element("div", header + source, class_="source wide")
    shown = clamped(shown, value.count("\n") + 1, LONG_CODE)
    return visible(node, shown, "Code of this cell" if is_cell else "Code")


@handles("outputs")
def outputs(page: Page, node: Node) -> Markup:
    if is_removed(node):
        return Markup("")
    alternative = page.site.alternatives.get(node.get("id", ""))
    shown = page.children(
        {"children": [{**o, "alt": alternative} for o in node.get("children", ())]}
    )
    if not shown:
        return shown
    content = element("div", shown, class_="outputs")
    return visible(node, content, "Output of this cell")
