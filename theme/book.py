"""What authors wrote, read: the pages of the book and what all of them share.

Whatever is made from several pages (their facts, lists, the reference of the code,
search) is given the book, and the book knows none of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from markupsafe import Markup

# These modules register what nodes become.
from theme import boxes, cells, outputs, text  # noqa: F401
from theme.content import Site
from theme.nodes import Page
from theme.notation import Symbol, symbols


class Book:
    """The texts of a site. Each is rendered when its HTML is first asked for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pages = {
            slug: Page(site, slug, content) for slug, content in site.pages.items()
        }
        """By slug, in reading order."""

    @cached_property
    def symbols(self) -> list[Symbol]:
        """The rows of the page of notation."""
        return symbols(self.site)

    @property
    def front(self) -> dict[str, Any]:
        """What the front matter of the first page says, which is the project's too."""
        return self.site.pages[self.site.slugs[0]]["frontmatter"]

    @property
    def repository(self) -> str | None:
        """The public address of the project, once `project.github` gives it."""
        return self.front.get("github")


def references(page: Page) -> list[tuple[str, Markup]]:
    """The works a page cites, as key and entry, in the order of its citations."""
    cited = page.content.get("references", {}).get("cite", {"order": [], "data": {}})
    return [(key, Markup(cited["data"][key]["html"])) for key in cited["order"]]
