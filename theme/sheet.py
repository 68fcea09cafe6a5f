"""What the pages of the book differ in."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from theme.facts import Facts
from theme.notation import Symbol


@dataclass(frozen=True)
class Sheet:
    """What one page adds to the template that all share."""

    title: str
    body: Markup
    description: str = ""
    outline: list[tuple[int, str, Markup]] = field(default_factory=list)
    footnotes: list[Markup] = field(default_factory=list)
    references: list[tuple[str, Markup]] = field(default_factory=list)
    facts: Facts | None = None
    symbols: list[Symbol] = field(default_factory=list)
    """Those that the page is the first to use."""
