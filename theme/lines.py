"""No line ends within a short formula, nor between it and what it touches."""

from __future__ import annotations

import re

from markupsafe import Markup

from theme.html import element
from theme.tree import Node

UNBROKEN = 32
"""Letters that fit any line together: a formula, and the words that it touches."""


def unbroken(nodes: list[Node], parts: list[Markup]) -> list[Markup]:
    """The parts, HTML of these neighbouring nodes, with formulas kept together.

    Browsers may break a line on either side of a formula, before a full stop too.
    """
    parts = list(parts)
    for i, node in enumerate(nodes):
        if node["type"] == "inlineMath" and "html" in node:
            _keep_together(nodes, parts, i)
    return parts


def _keep_together(nodes: list[Node], parts: list[Markup], i: int) -> None:
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
