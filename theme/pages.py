"""The book as pages: each is a text, by an author or made from the others, and around
it the contents, the outline, the facts, the previous and the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from theme import api, boxes, cells, lists, text  # noqa: F401  (some register functions)
from theme.content import Site
from theme.facts import facts
from theme.nodes import Page
from theme.notation import symbol_link, symbols
from theme.sheet import Sheet

HERE = Path(__file__).parent
ARCHIVE = "learning-to-learn.zip"
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Entry:
    """A line of the contents: a page, or the title of a part."""

    title: str
    href: str | None = None
    here: bool = False


class Book:
    """All pages of a site. Each is rendered when it is first asked for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.makers = makers(site.root)
        site.made = {slug: title for slug, (title, _) in self.makers.items()}
        site.names = api.names(site.root)
        self.symbols = symbols(site)

    @cached_property
    def slugs(self) -> list[str]:
        return [*self.site.slugs, *self.site.made]

    @cached_property
    def pages(self) -> dict[str, Page]:
        """What authors wrote, in reading order."""
        return {
            slug: Page(self.site, slug, content)
            for slug, content in self.site.pages.items()
        }

    def sheet(self, slug: str) -> Sheet:
        if slug in self.site.made:
            title, make = self.makers[slug]
            return make(self, title)
        page = self.pages[slug]
        body, front = page.body, page.content["frontmatter"]
        return Sheet(
            title=front["title"],
            body=body,
            description=front.get("description", ""),
            outline=[entry for entry in page.outline if entry[0] in (2, 3)],
            footnotes=page.footnotes,
            references=lists.references(page),
            facts=facts(self.site, slug),
            symbols=[symbol for symbol in self.symbols if symbol.first_use == slug],
        )

    def html(self, slug: str, *, reload_from: str | None = None) -> str:
        """A whole page. `reload_from` is the socket of a live preview."""
        sheet = self.sheet(slug)
        contents = self.contents(slug)
        turned = [entry for entry in contents if entry.href]
        place = next(i for i, entry in enumerate(turned) if entry.here)
        project = self.site.config["projects"][0]
        licenses = self.site.pages[self.site.slugs[0]]["frontmatter"].get("license", {})
        return TEMPLATES.get_template("page.html").render(
            book=self.site.config.get("title") or project["title"],
            sheet=sheet,
            symbol_link=symbol_link,
            description=sheet.description or project.get("description", ""),
            contents=contents,
            previous=turned[place - 1] if place else None,
            next=turned[place + 1] if place + 1 < len(turned) else None,
            licenses={
                {"content": "Text"}.get(what, what): license
                for what, license in licenses.items()
            },
            archive=ARCHIVE,
            reload_from=reload_from,
        )

    def contents(self, here: str) -> list[Entry]:
        project = self.site.config["projects"][0]
        first = {"slug": project["index"], "title": self.title(project["index"])}
        made = [{"slug": s, "title": t} for s, t in self.site.made.items()]
        return [
            Entry(entry["title"], self.site.href(f"/{slug}"), slug == here)
            if (slug := entry.get("slug"))
            else Entry(entry["title"])
            for entry in [first, *project["pages"], *made]
        ]

    @property
    def repository(self) -> str | None:
        """The public address of the project, once `project.github` gives it."""
        return self.site.pages[self.site.slugs[0]]["frontmatter"].get("github")

    def title(self, slug: str) -> str:
        return self.site.pages[slug]["frontmatter"]["title"]


Maker = Callable[[Book, str], Sheet]


def makers(root: Path) -> dict[str, tuple[str, Maker]]:
    """Title and maker, by slug, of the pages that are made from the others."""
    code = {slug: (title, api.reference) for slug, title in api.titles(root).items()}
    return {
        "figures": ("Figures and tables", lists.figures),
        "bibliography": ("Bibliography", lists.bibliography),
        **code,
    }
