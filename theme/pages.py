"""A whole page: the text and everything around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from theme import boxes, cells, text  # noqa: F401  (they register their functions)
from theme.content import Site
from theme.nodes import Page

HERE = Path(__file__).parent
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Entry:
    """A page in the contents."""

    title: str
    href: str
    here: bool


def rendered(site: Site, slug: str, *, reload_from: str | None = None) -> str:
    """The HTML of a page. `reload_from` is the socket of a live preview."""
    content = site.pages[slug]
    page = Page(site, content)
    body = page.render(content["mdast"])
    contents = [
        Entry(other["frontmatter"]["title"], site.href(f"/{key}"), key == slug)
        for key, other in site.pages.items()
    ]
    place = site.slugs.index(slug)
    citations = content.get("references", {}).get("cite", {"order": [], "data": {}})
    project = site.config["projects"][0]
    return TEMPLATES.get_template("page.html").render(
        book=site.config.get("title") or project["title"],
        title=content["frontmatter"]["title"],
        description=content["frontmatter"].get("description")
        or project.get("description", ""),
        body=body,
        contents=contents,
        previous=contents[place - 1] if place else None,
        next=contents[place + 1] if place + 1 < len(contents) else None,
        outline=[entry for entry in page.outline if entry[0] in (2, 3)],
        footnotes=page.footnotes,
        references=[
            (key, Markup(citations["data"][key]["html"])) for key in citations["order"]
        ],
        licenses={
            {"content": "Text"}.get(what, what): license
            for what, license in content["frontmatter"].get("license", {}).items()
        },
        reload_from=reload_from,
    )
