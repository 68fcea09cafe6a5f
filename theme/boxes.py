"""What stands by itself on the page: figures, tables, boxes."""

from __future__ import annotations

from mimetypes import guess_type
from typing import NoReturn

from markupsafe import Markup

from theme import pictures
from theme.errors import BookError
from theme.html import element, joined, self_link
from theme.nodes import Page, handles, plain
from theme.tree import Node, without_links
from theme.urls import is_remote

# Figures and tables

plain("legend", "div", "legend")
plain("caption", "figcaption")
plain("tableRow", "tr")


@handles("image")
def image(page: Page, node: Node) -> Markup:
    url = node.get("url", "")
    written = node.get("urlSource") or url or "of an element without a `src`"
    if is_remote(written):
        raise BookError(
            f"The picture {written} lies on the web, and a page loads nothing from "
            "there. Save it beside the text, if its licence allows, and show that file."
        )
    if not node.get("alt"):
        raise BookError(
            f"The picture {written} has no alternative text. Write what it shows "
            "between the brackets of ![…](…), or as the figure's `:alt:` option."
        )
    if not url.startswith("/"):
        raise BookError(
            f"There is no picture {written} beside this text. Put it there, or correct "
            "its name."
        )
    href = page.site.href(url)
    if (guess_type(url)[0] or "").startswith("video/"):
        shown = element("video", src=href, controls=True, aria_label=node["alt"])
        return element("span", shown, class_="scroll picture")
    size, wanted = pictures.size(page.site.fetch(url), written), node.get("width")
    wanted = f"{wanted}px" if str(wanted).isdigit() else wanted
    shown = pictures.picture(href, node["alt"], size, wanted=wanted)
    # No div, since a picture may stand in a paragraph.
    return shown if wanted else element("span", shown, class_="scroll picture")


@handles("iframe")
def iframe(page: Page, node: Node) -> NoReturn:
    raise BookError(
        f"A frame shows {node.get('src')}, and a page of the book loads nothing from "
        "elsewhere. Link to it: [what is there](address)."
    )


@handles("mermaid")
def mermaid(page: Page, node: Node) -> NoReturn:
    raise BookError(
        "The theme draws no Mermaid diagrams. Export the diagram as SVG and show "
        "the file as a figure with alternative text."
    )


NUMBERED = {"figure": "Figure", "table": "Table"}


@handles("container")
def container(page: Page, node: Node) -> Markup:
    """Whatever has a caption: a figure, a table, a listing, a quotation."""
    kind, children = node.get("kind", "figure"), node.get("children", [])
    for child in children:
        if child["type"] == "outputs" and not child.get("children"):
            raise BookError(
                f"The cell of {node.get('label', 'a figure')} shows nothing: the "
                "notebook has not been run, or the cell ends without a picture."
            )
    cells = [child for child in children if child["type"] == "code"]
    # The code of a cell stands above the figure that it draws.
    above = cells if kind != "code" else []
    body = [child for child in children if child not in above]
    if kind in ("table", "code"):  # what it is, before what it holds
        body.sort(key=lambda child: child["type"] != "caption")
    figure = element(
        "figure",
        joined(map(page.render, _numbered(node, kind, body))),
        id=node.get("html_id"),
        class_=f"{kind} wide",
    )
    return joined(map(page.render, above)) + figure


def _numbered(node: Node, kind: str, body: list[Node]) -> list[Node]:
    """The parts of a figure or table with its number. mystmd counts all of them, and
    writes the number only where both a label and a caption are."""
    if "label" in node and any(child["type"] == "caption" for child in body):
        return body
    if kind not in NUMBERED or not node.get("enumerator") or node.get("subcontainer"):
        return body
    text = {"type": "text", "value": f"{NUMBERED[kind]} {node['enumerator']}"}
    number = {
        "type": "captionNumber",
        "html_id": node.get("html_id"),
        "children": [text],
    }
    for at, child in enumerate(body):
        if child["type"] == "caption":
            text["value"] += ":"
            first, *rest = child["children"]
            first = {**first, "children": [number, *first.get("children", [])]}
            caption = {**child, "children": [first, *rest]}
            return [*body[:at], caption, *body[at + 1 :]]
    caption = {"type": "caption", "children": [number]}
    return [caption, *body] if kind == "table" else [*body, caption]


@handles("captionNumber")
def caption_number(page: Page, node: Node) -> Markup:
    """ "Figure 3:"; its anchor is the figure's, which has it already."""
    return self_link(page.children(node), node.get("html_id"), "number") + " "


@handles("table")
def table(page: Page, node: Node) -> Markup:
    rows = node.get("children", [])

    def heads(row: Node) -> bool:
        return all(cell.get("header") for cell in row.get("children", ()))

    count = next((i for i, row in enumerate(rows) if not heads(row)), len(rows))
    head = element("thead", joined(map(page.render, rows[:count]))) if count else ""
    body = element("tbody", joined(map(page.render, rows[count:])))
    content = element("table", joined([head, body]), id=node.get("html_id"))
    return element("div", content, class_="scroll wide")


@handles("tableCell")
def table_cell(page: Page, node: Node) -> Markup:
    align = node.get("align")
    return element(
        "th" if node.get("header") else "td",
        page.children(node),
        class_=align if align != "left" else None,
        colspan=node.get("colspan"),
        rowspan=node.get("rowspan"),
    )


# Boxes

plain("aside", "div", "margin")
plain("admonitionTitle", "p", "title")
plain("grid", "div", "grid")
plain("grid-item", "div")
plain("cardTitle", "p", "title")
plain("header", "div", "header")
plain("footer", "div", "footer")
plain("summary", "summary")


def box(
    page: Page, node: Node, kind: str, label: str = "", *, folded: bool = False
) -> Markup:
    """A titled box: the label ("Theorem 2"), the author's title, and the content."""
    children = node.get("children", [])
    titles = [child for child in children if child["type"] == "admonitionTitle"]
    body = joined(page.render(child) for child in children if child not in titles)
    anchor = None if folded else node.get("html_id")
    heading = self_link(label, anchor, "label") if label else Markup("")
    for title in titles:
        words = page.children(without_links(title) if folded else title)
        heading += " " + element("span", words, class_="name") if label else words
    attributes = {"id": node.get("html_id"), "class_": f"box {kind}"}
    if folded:
        summary = element("summary", heading, class_="title")
        return element("details", summary + body, **attributes)
    return element(
        "section", element("p", heading, class_="title") + body, **attributes
    )


def classes(node: Node) -> list[str]:
    return (node.get("class") or "").split()


@handles("admonition")
def admonition(page: Page, node: Node) -> Markup:
    names = classes(node)
    kind = node.get("kind") or next((n for n in names if n != "dropdown"), "note")
    return box(page, node, kind, folded="dropdown" in names)


@handles("proof")
def proof(page: Page, node: Node) -> Markup:
    kind = node.get("kind", "proof")
    numbered = kind != "proof" and node.get("enumerator")
    label = kind.capitalize() + (f" {node['enumerator']}" if numbered else "")
    folded = "dropdown" in classes(node)
    return box(page, node, f"statement {kind}", label, folded=folded)


@handles("exercise")
def exercise(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    return box(page, node, "exercise", f"Exercise {number}" if number else "Exercise")


@handles("solution")
def solution(page: Page, node: Node) -> Markup:
    """Always folded: a reader opens it after having tried."""
    if node.get("gate"):
        raise BookError(
            "solution-start and solution-end do not join cells. Put the solution's "
            "code into a cell of its own with a label and the tag remove-cell, and "
            "embed it: `:::{embed} #label`."
        )
    return box(page, node, "solution", folded=True)


@handles("details")
def details(page: Page, node: Node) -> Markup:
    return element(
        "details", page.children(node), open=bool(node.get("open")), class_="box"
    )


@handles("tabSet")
def tab_set(page: Page, node: Node) -> Markup:
    """Alternatives one after the other, each under its title: none is hidden."""
    return element("div", page.children(node), class_="tabs")


@handles("tabItem")
def tab_item(page: Page, node: Node) -> Markup:
    title = element("p", node.get("title", ""), class_="title")
    return element("section", title + page.children(node), class_="box")


@handles("card")
def card(page: Page, node: Node) -> Markup:
    if not node.get("url"):
        return element("div", page.children(node), class_="card")
    content = page.children(without_links(node))
    return element("a", content, class_="card", href=page.site.target(node))
