"""From MyST's syntax tree to HTML: one function for each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from theme import outputs
from theme.code import highlighted
from theme.content import Node, Site
from theme.errors import BookError
from theme.html import element, joined

Handler = Callable[["Page", Node], Markup]
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


@dataclass
class Page:
    """A page while it is written: renders nodes and gathers what belongs elsewhere."""

    site: Site
    content: Node
    outline: list[tuple[int, str, Markup]] = field(default_factory=list)
    """Depth, anchor and text of the headings met so far."""
    footnotes: list[Markup] = field(default_factory=list)

    def render(self, node: Node) -> Markup:
        handler = HANDLERS.get(node["type"])
        if handler is None:
            raise self.error(
                f'The theme cannot show a node of type "{node["type"]}". Write it in '
                "another way, or add a function for it to theme/nodes.py.",
                node,
            )
        try:
            return handler(self, node)
        except BookError as error:
            if str(error).startswith(self.location):
                raise
            raise self.error(str(error), node) from error

    def children(self, node: Node) -> Markup:
        return joined(self.render(child) for child in node.get("children", ()))

    @property
    def location(self) -> str:
        return self.content["location"].lstrip("/")

    def error(self, message: str, node: Node) -> BookError:
        line = node.get("position", {}).get("start", {}).get("line")
        where = self.location + (f", line {line}" if line else "")
        if self.outline:
            where += f', under "{self.outline[-1][2].striptags()}"'
        return BookError(f"{where}: {message}")


# Text


@handles("text")
def text(page: Page, node: Node) -> Markup:
    return escape(node["value"])


def plain(kind: str, tag: str, class_: str | None = None) -> None:
    """A node that is one element around its children."""

    @handles(kind)
    def render(page: Page, node: Node) -> Markup:
        return element(tag, page.children(node), id=node.get("html_id"), class_=class_)


plain("paragraph", "p")
plain("emphasis", "em")
plain("strong", "strong")
plain("delete", "del")
plain("underline", "u")
plain("smallcaps", "span", "smallcaps")
plain("subscript", "sub")
plain("superscript", "sup")
plain("keyboard", "kbd")
plain("span", "span")
plain("div", "div")
plain("blockquote", "blockquote")
plain("aside", "aside", "margin")
plain("definitionList", "dl")
plain("definitionTerm", "dt")
plain("definitionDescription", "dd")
plain("glossary", "div", "glossary")
plain("legend", "div", "legend")
plain("caption", "figcaption")
plain("tableRow", "tr")
plain("grid", "div", "grid")
plain("cardTitle", "p", "title")
plain("header", "div", "header")
plain("footer", "div", "footer")
plain("summary", "summary")


@handles("comment", "mystTarget")
def nothing(page: Page, node: Node) -> Markup:
    return Markup("")


@handles("break", "thematicBreak")
def line(page: Page, node: Node) -> Markup:
    return element("br" if node["type"] == "break" else "hr")


@handles("inlineCode")
def inline_code(page: Page, node: Node) -> Markup:
    return element("code", node["value"])


@handles("abbreviation")
def abbreviation(page: Page, node: Node) -> Markup:
    return element("abbr", page.children(node), title=node["title"])


@handles("heading")
def heading(page: Page, node: Node) -> Markup:
    depth, anchor, content = node["depth"], node.get("html_id"), page.children(node)
    if not anchor:
        return element(f"h{depth}", content)
    page.outline.append((depth, anchor, content))
    link = element(
        "a",
        "#",
        class_="anchor",
        href=f"#{anchor}",
        aria_label=f"Link to “{content.striptags()}”",
    )
    return element(f"h{depth}", content + " " + link, id=anchor)


@handles("list")
def list_(page: Page, node: Node) -> Markup:
    start = node.get("start", 1)
    return element(
        "ol" if node.get("ordered") else "ul",
        page.children(node),
        start=start if start != 1 else None,
    )


@handles("listItem")
def list_item(page: Page, node: Node) -> Markup:
    children = node.get("children", [])
    if len(children) == 1 and children[0]["type"] == "paragraph":
        content = page.children(children[0])
    else:
        content = page.children(node)
    if node.get("checked") is None:
        return element("li", content)
    box = "☑" if node["checked"] else "☐"
    label = "done" if node["checked"] else "to do"
    mark = element("span", box, role="img", aria_label=label)
    return element("li", mark + " " + content, class_="task")


# Mathematics: mystmd has run KaTeX; its style sheet and fonts are among our assets.


@handles("inlineMath")
def inline_math(page: Page, node: Node) -> Markup:
    return Markup(node["html"])


@handles("math")
def math(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    label = element("span", f"({number})", class_="number") if number else ""
    formula = element("div", Markup(node["html"]), class_="scroll")
    return element(
        "div", formula + label, id=node.get("html_id"), class_="equation wide"
    )


@handles("mathGroup")
def math_group(page: Page, node: Node) -> Markup:
    return element("div", page.children(node), id=node.get("html_id"))


# Links


@handles("link")
def link(page: Page, node: Node) -> Markup:
    return element("a", page.children(node), href=page.site.href(node["url"]))


@handles("crossReference")
def cross_reference(page: Page, node: Node) -> Markup:
    target = page.site.href(node["url"]) if node.get("url") else ""
    return element(
        "a",
        page.children(node),
        href=f"{target}#{node['html_id']}",
        class_="reference",
    )


@handles("cite")
def cite(page: Page, node: Node) -> Markup:
    href = f"#cite-{node['identifier']}"
    return element("a", page.children(node), class_="citation", href=href)


@handles("citeGroup")
def cite_group(page: Page, node: Node) -> Markup:
    cites = joined((page.render(child) for child in node["children"]), "; ")
    return cites if node.get("kind") == "narrative" else Markup("({})").format(cites)


@handles("bibliography")
def bibliography(page: Page, node: Node) -> Markup:
    """Each page ends with its references, wherever a chapter asks for them."""
    return Markup("")


@handles("footnoteReference")
def footnote_reference(page: Page, node: Node) -> Markup:
    number = node["enumerator"]
    link = element(
        "a",
        number,
        href=f"#footnote-{number}",
        id=f"footnote-mark-{number}",
        aria_label=f"Footnote {number}",
    )
    return element("sup", link, class_="footnote-mark")


@handles("footnoteDefinition")
def footnote_definition(page: Page, node: Node) -> Markup:
    number = node["enumerator"]
    back = element(
        "a", "↩", href=f"#footnote-mark-{number}", aria_label="Back to the text"
    )
    page.footnotes.append(
        element("li", page.children(node) + " " + back, id=f"footnote-{number}")
    )
    return Markup("")


# Figures and tables


@handles("image")
def image(page: Page, node: Node) -> Markup:
    if not node.get("alt"):
        raise page.error(
            f"The picture {node.get('urlSource') or node['url']} has no alternative "
            "text. Write what it shows between the brackets of ![…](…), or as the "
            "figure's `:alt:` option.",
            node,
        )
    width = node.get("width")
    return element(
        "img",
        src=page.site.href(node["url"]),
        alt=node["alt"],
        style=f"width: {width}" if width else None,
        class_="plot",
    )


@handles("container")
def container(page: Page, node: Node) -> Markup:
    """Whatever has a caption: a figure, a table, a listing, a quotation."""
    kind = node["kind"]
    cells = [child for child in node["children"] if child["type"] == "code"]
    # The code of a cell stands above the figure that it draws.
    above = cells if kind != "code" else []
    body = [child for child in node["children"] if child not in above]
    if kind in ("table", "code"):  # what it is, before what it holds
        body.sort(key=lambda child: child["type"] != "caption")
    figure = element(
        "figure",
        joined(map(page.render, body)),
        id=node.get("html_id"),
        class_=f"{kind} wide",
    )
    return joined(map(page.render, above)) + figure


@handles("captionNumber")
def caption_number(page: Page, node: Node) -> Markup:
    """ "Figure 3:"; its anchor is the figure's, which has it already."""
    return element("span", page.children(node), class_="number") + " "


@handles("table")
def table(page: Page, node: Node) -> Markup:
    rows = node["children"]
    count = 0
    while count < len(rows) and all(cell.get("header") for cell in cells_of(rows[count])):
        count += 1
    head = element("thead", joined(map(page.render, rows[:count]))) if count else ""
    body = element("tbody", joined(map(page.render, rows[count:])))
    content = element("table", joined([head, body]), id=node.get("html_id"))
    return element("div", content, class_="scroll wide")


def cells_of(row: Node) -> list[Node]:
    return row.get("children", [])


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


def box(
    page: Page, node: Node, kind: str, label: str = "", *, folded: bool = False
) -> Markup:
    """A titled box: the label ("Theorem 2"), the author's title, and the content."""
    children = node.get("children", [])
    titles = [child for child in children if child["type"] == "admonitionTitle"]
    body = joined(page.render(child) for child in children if child not in titles)
    heading = element("span", label, class_="label") if label else Markup("")
    if titles:
        heading += (" " if label else "") + page.children(titles[0])
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
    kind = node["kind"]
    numbered = kind != "proof" and node.get("enumerator")
    label = kind.capitalize() + (f" {node['enumerator']}" if numbered else "")
    return box(page, node, f"statement {kind}", label, folded="dropdown" in classes(node))


@handles("exercise")
def exercise(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    return box(page, node, "exercise", f"Exercise {number}" if number else "Exercise")


@handles("solution")
def solution(page: Page, node: Node) -> Markup:
    """Always folded: a reader opens it after having tried."""
    if node.get("gate"):
        raise page.error(
            "solution-start and solution-end do not join cells. Put the solution's "
            "code into a cell of its own with a label and the tag remove-cell, and "
            "embed it: `:::{embed} #label`.",
            node,
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
    title = element("p", node["title"], class_="title")
    return element("section", title + page.children(node), class_="box")


@handles("card")
def card(page: Page, node: Node) -> Markup:
    content = page.children(node)
    if node.get("url"):
        href = page.site.href(node["url"])
        return element("a", content, class_="card", href=href)
    return element("div", content, class_="card")


# Code and what it produced


def folded(label: str, content: Markup) -> Markup:
    return element("details", element("summary", label) + content, class_="folded wide")


def visible(node: Node, content: Callable[[], Markup], label: str) -> Markup:
    """Honour the tags hide-…  (folded) and remove-… (not on the page at all)."""
    visibility = node.get("visibility", "show")
    if visibility == "remove":
        return Markup("")
    return content() if visibility == "show" else folded(label, content())


@handles("root")
def root(page: Page, node: Node) -> Markup:
    return page.children(node)


@handles("block")
def block(page: Page, node: Node) -> Markup:
    def content() -> Markup:
        if node.get("kind") != "notebook-code":
            return page.children(node)
        anchor = node.get("html_id") if "label" in node else None
        return element("div", page.children(node), id=anchor, class_="cell")

    return visible(node, content, "Code and output")


@handles("embed")
def embed(page: Page, node: Node) -> Markup:
    """A cell shown where the text wants it. There it is seen, whatever its tags."""
    return element("div", page.children(node), class_="cell")


@handles("include")
def include(page: Page, node: Node) -> Markup:
    return page.children(node)


@handles("code")
def code(page: Page, node: Node) -> Markup:
    if not node["value"] and not node.get("executable"):
        raise page.error(
            "A code block is empty. Most likely a directive ends too early: one that "
            "holds another needs more colons (or backticks) than the one inside.",
            node,
        )
    if not node["value"]:
        return Markup("")
    numbered = node.get("showLineNumbers")
    source = highlighted(
        node["value"],
        node.get("lang") or "text",
        number_from=node.get("startingLineNumber", 1) if numbered else None,
        emphasised=frozenset(node.get("emphasizeLines", ())),
    )
    name = node.get("filename")
    header = element("p", name, class_="filename") if name else ""
    return visible(
        node,
        lambda: element("div", header + source, class_="source wide"),
        "Code of this cell" if node.get("executable") else "Code",
    )


@handles("outputs")
def outputs_(page: Page, node: Node) -> Markup:
    alternative = page.site.alternatives.get(node["id"])

    def content() -> Markup:
        shown = joined(
            outputs.output(page, child, alternative)
            for child in node.get("children", ())
        )
        return element("div", shown, class_="outputs") if shown else shown

    return visible(node, content, "Output of this cell")
