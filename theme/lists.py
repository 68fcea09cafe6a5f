"""Pages made from the others: the figures of the book, and what it cites."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from theme.book import Book, references
from theme.html import element, joined
from theme.sheet import Sheet
from theme.tree import Node, walk, without_links


def figures(book: Book, title: str) -> Sheet:
    """Every numbered figure with a small picture, and every numbered table."""
    body, outline = Markup(""), []
    for kind, heading in (("figure", "Figures"), ("table", "Tables")):
        rows = [
            _figure(book, slug, node)
            for slug, page in book.pages.items()
            for node in walk(page.content["mdast"])
            if node["type"] == "container" and node.get("kind") == kind
            if node.get("enumerator") and not node.get("subcontainer")
        ]
        if rows:
            outline.append((2, kind, escape(heading)))
            body += element("h2", heading, id=kind)
            body += element("ul", joined(rows), class_="gallery")
    return Sheet(title, body, "All figures and tables of the book.", outline)


def _figure(book: Book, slug: str, node: Node) -> Markup:
    """Figures without a label lead to their page, those without a caption say less."""
    page, anchor = book.pages[slug], node.get("html_id")
    captions = [part for part in node["children"] if part["type"] == "caption"]
    said = [
        part
        for caption in captions
        for paragraph in without_links(caption)["children"]
        for part in paragraph.get("children", [])
        if part["type"] != "captionNumber"
    ]
    shown = page.body and anchor and page.anchors[anchor]
    picture = re.search(r"<img([^>]*)>", shown or "")
    link = element(
        "a",
        f"{node['kind'].capitalize()} {node['enumerator']}",
        href=book.site.href(f"/{slug}" + (f"#{anchor}" if anchor else "")),
    )
    heading = element("p", link + " " + element("small", book.site.titles[slug]))
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
            link = element("a", book.site.titles[slug], href=book.site.href(f"/{slug}"))
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
