"""The pages of the book: each is a text, by an author or made from the others, and
around it the contents, the outline, the facts, the previous and the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from theme import api, lists
from theme.book import Book, references
from theme.content import Fetch, Site, is_address
from theme.errors import BookError
from theme.facts import facts
from theme.nodes import Page
from theme.notation import SLUG as NOTATION
from theme.notation import Symbol, symbol_link
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
Found = TypeVar("Found")


@dataclass(frozen=True)
class Entry:
    """A line of the contents: a page, or the title of a part."""

    title: str
    href: str | None = None
    here: bool = False


class Pages:
    """All pages of a site. Each is made when it is first asked for."""

    def __init__(self, fetch: Fetch, root: Path) -> None:
        made = makers(root)
        self.site = Site(
            fetch,
            root,
            made={slug: title for slug, (title, _) in made.items()},
            names=api.names(root),
        )
        self.book = Book(self.site)
        self.makers = {slug: make for slug, (_, make) in made.items()}
        self.sheets: dict[str, Sheet] = {}
        self.found = [*nameless(self.site), *collisions(self.site)]
        """Faults of the book that are no fault of one of its nodes."""

    @property
    def slugs(self) -> list[str]:
        return [*self.book.pages, *self.site.made]

    @property
    def faults(self) -> list[str]:
        """What keeps the pages made so far from being published, each once."""
        of_pages = (fault for page in self.book.pages.values() for fault in page.faults)
        return list(dict.fromkeys([*self.found, *of_pages]))

    def sheet(self, slug: str) -> Sheet:
        if slug not in self.sheets:
            self.sheets[slug] = self._sheet(slug)
        return self.sheets[slug]

    def _sheet(self, slug: str) -> Sheet:
        if slug not in self.book.pages:
            title = self.site.made[slug]
            nothing = Sheet(title, Markup(""))
            return self._tried(
                slug, lambda: self.makers[slug](self.book, title), nothing
            )
        page = self.book.pages[slug]
        none: list[Symbol] = []
        symbols = self._tried(NOTATION, lambda: self.book.symbols, none)
        return Sheet(
            title=self.site.titles[slug],
            body=page.body,
            description=page.content["frontmatter"].get("description", ""),
            outline=[entry for entry in page.outline if entry[0] in (2, 3)],
            footnotes=page.footnotes,
            references=references(page),
            facts=self._tried(slug, lambda: facts(self.site, slug), None),
            symbols=[symbol for symbol in symbols if symbol.first_use == slug],
        )

    def _tried(self, slug: str, make: Callable[[], Found], otherwise: Found) -> Found:
        """What is made for a page; if it cannot be, that is noted as a fault."""
        page = self.site.pages.get(slug)
        place = page["location"].lstrip("/") if page else f"{slug}.html"
        try:
            return make()
        except BookError as error:
            self.found.append(f"{place}: {error}")
        except Exception as error:
            self.found.append(
                f"{place}: what the theme adds to this page cannot be made "
                f"({type(error).__name__}: {error}): theme/facts.py, notation.py, "
                "lists.py or api.py meets something that it does not know."
            )
        return otherwise

    def html(self, slug: str, *, reload_from: str | None = None) -> str:
        """A whole page. `reload_from` is the socket of a live preview, in which a page
        begins with what keeps it from being published."""
        sheet = self.sheet(slug)
        contents = self.contents(slug)
        turned = [entry for entry in contents if entry.href]
        place = next(i for i, entry in enumerate(turned) if entry.here)
        licenses = self.book.front.get("license", {})
        return TEMPLATES.get_template("page.html").render(
            book=self.site.config.get("title") or self.site.project["title"],
            sheet=sheet,
            symbol_link=symbol_link,
            description=sheet.description or self.site.project.get("description", ""),
            contents=contents,
            previous=turned[place - 1] if place else None,
            next=turned[place + 1] if place + 1 < len(turned) else None,
            licenses={
                {"content": "Text"}.get(what, what): license
                for what, license in licenses.items()
            },
            archive=ARCHIVE,
            reload_from=reload_from,
            faults=self.faults if reload_from else [],
        )

    def contents(self, here: str) -> list[Entry]:
        titles = self.site.titles | self.site.made
        project = self.site.project
        listed = [{"slug": project["index"]}, *project["pages"]]
        listed += [{"slug": slug} for slug in self.site.made]
        return [
            Entry(titles[slug], self.site.href(f"/{slug}"), slug == here)
            if (slug := entry.get("slug"))
            else Entry(entry["title"])
            for entry in listed
            if "slug" not in entry or entry["slug"] in titles
        ]


Maker = Callable[[Book, str], Sheet]


def makers(root: Path) -> dict[str, tuple[str, Maker]]:
    """Title and maker, by slug, of the pages that are made from the others."""
    code = {slug: (title, api.reference) for slug, title in api.titles(root).items()}
    return {
        "figures": ("Figures and tables", lists.figures),
        "bibliography": ("Bibliography", lists.bibliography),
        **code,
    }


def nameless(site: Site) -> list[str]:
    """Pages that mystmd could not read or finds no address for, and their faults."""
    found = []
    for slug, title in site.listed.items():
        content = site.read(slug) if slug not in site.pages else None
        place = content["location"].lstrip("/") if content else f'The page "{title}"'
        if not is_address(slug):
            found.append(
                f"{place} has no address, since mystmd makes one of the letters from a "
                "to z in the name of a file. Put a word of such letters in the name; "
                "the title may be in any script."
            )
        elif slug not in site.pages:
            found.append(
                f"{place} is listed, but mystmd could not read its file. Restore it "
                "(git checkout), or open it in JupyterLab and save it."
            )
        if content:
            page = Page(site, slug, content)
            found += page.faults if page.body else []
    return found


def collisions(site: Site) -> list[str]:
    """Pages of authors with the address of one that the theme makes."""
    return [
        f"{site.pages[slug]['location'].lstrip('/')} would be {slug}.html, which is "
        f'the page "{site.made[slug]}" that the theme makes. Give the file another '
        "name."
        for slug in site.slugs
        if slug in site.made
    ]
