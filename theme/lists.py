"""Pages made from the others: the figures of the book, and what it cites."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from theme.content import Node, walk
from theme.html import element, joined
from theme.nodes import Page
from theme.sheet import Sheet
from theme.text import without_links

if TYPE_CHECKING:
    from theme.pages import Book


def figures(book: Book, title: str) -> Sheet:
    """Every numbered figure with a small picture, and every numbered table."""
    body, outline = Markup(""), []
    for kind, heading in (("figure", "Figures"), ("table", "Tables")):
        rows = [
            _figure(book, slug, node)
            for slug, page in book.pages.items()
            for node in walk(page.content["mdast"])
            if node["type"] == "container" and node["kind"] == kind
            if node.get("enumerator")
        ]
        if rows:
            outline.append((2, kind, escape(heading)))
            body += element("h2", heading, id=kind)
            body += element("ul", joined(rows), class_="gallery")
    return Sheet(title, body, "All figures and tables of the book.", outline)


def _figure(book: Book, slug: str, node: Node) -> Markup:
    page = book.pages[slug]
    caption = next(part for part in walk(node) if part["type"] == "caption")
    said = [
        part
        for paragraph in without_links(caption)["children"]
        for part in paragraph["children"]
        if part["type"] != "captionNumber"
    ]
    picture = page.body and re.search(r"<img([^>]*)>", page.anchors[node["html_id"]])
    link = element(
        "a",
        f"{node['kind'].capitalize()} {node['enumerator']}",
        href=book.site.href(f"/{slug}#{node['html_id']}"),
    )
    heading = element("p", link + " " + element("small", book.title(slug)))
    text = element("div", heading + element("p", page.children({"children": said})))
    if picture:
        image = picture[1].replace(' loading="lazy"', "")
        text = Markup('<img loading="lazy"{}>').format(Markup(image)) + text
    return element("li", text)


def bibliography(book: Book, title: str) -> Sheet:
    """Every work that a page cites, in the order of authors, and which pages do."""
    works: dict[str, Markup] = {}
    citing: dict[str, list[Markup]] = {}
    for slug, page in book.pages.items():
        for key, html in references(page):
            works[key] = html
            link = element("a", book.title(slug), href=book.site.href(f"/{slug}"))
            citing.setdefault(key, []).append(link)
    rows = [
        element(
            "li",
            html
            + " "
            + element("small", "Cited in " + joined(citing[key], ", ") + "."),
            id=f"work-{key}",
        )
        for key, html in sorted(works.items(), key=lambda work: work[1].lower())
    ]
    body = element("div", element("ul", joined(rows)), class_="references")
    return Sheet(title, body, "All works cited in the book.")


def references(page: Page) -> list[tuple[str, Markup]]:
    """The works a page cites, as key and entry, in the order of its citations."""
    cited = page.content.get("references", {}).get("cite", {"order": [], "data": {}})
    return [(key, Markup(cited["data"][key]["html"])) for key in cited["order"]]
