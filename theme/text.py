"""Words, lists, mathematics, links."""

from __future__ import annotations

import re
from typing import NoReturn

from markupsafe import Markup, escape

from theme.code import inline
from theme.errors import BookError
from theme.html import element, joined, self_link
from theme.katex import formula
from theme.nodes import Page, handles, plain
from theme.tree import Node, without_links, words


@handles("text")
def text(page: Page, node: Node) -> Markup:
    """As written, but for minus signs, and lines that would end beside a × or before
    the number of an equation."""
    written = re.sub(r"(?<![\w-])-(?=\d)", "−", node["value"])
    written = re.sub(r"(?<=[\d%])\s([×±])\s(?=\d)", "\u00a0\\1\u00a0", written)
    return escape(re.sub(r"\b(Equations?|Section)\s\Z", "\\1\u00a0", written))


plain("emphasis", "em")
plain("strong", "strong")
plain("delete", "del")
plain("underline", "u")
plain("smallcaps", "span", "smallcaps")
plain("subscript", "sub")
plain("superscript", "sup")
plain("keyboard", "kbd")
plain("div", "div")
# mystmd takes simple mathematics apart: $10^{-6}$ is a span with a superscript.
plain("span", "span")
plain("blockquote", "blockquote")
plain("definitionList", "dl")
plain("definitionTerm", "dt")
plain("definitionDescription", "dd")
plain("glossary", "div", "glossary")


@handles("paragraph")
def paragraph(page: Page, node: Node) -> Markup:
    content = element("p", page.children(node), id=node.get("html_id"))
    if page.opened is not None:  # the first of its section previews it
        page.anchors[page.opened] = page.anchors.get(page.opened, Markup("")) + content
        page.opened = None
    return content


@handles("comment")
def nothing(page: Page, node: Node) -> Markup:
    return Markup("")


@handles("raw")
def raw(page: Page, node: Node) -> Markup:
    """What is meant for another format, such as LaTeX, is on no page."""
    if node.get("lang") == "html":
        raise BookError(
            "A block holds raw HTML, which no page takes. Write it in MyST, or save it "
            "as a picture."
        )
    return Markup("")


@handles("si", "chemicalFormula")
def quantity(page: Page, node: Node) -> Markup:
    """ "10 m", "H₂O": the digits after a letter of a formula are its counts."""
    value = escape(node["value"])
    if node["type"] == "si":
        return value
    return Markup(re.sub(r"(?<=[A-Za-z)\]])(\d+)", r"<sub>\1</sub>", str(value)))


@handles("inlineExpression")
def inline_expression(page: Page, node: Node) -> Markup:
    if not node.get("children"):
        raise BookError(
            f"The notebook holds no value of the expression {{eval}}`{node['value']}`. "
            "Print it in a cell, or write the value itself."
        )
    return page.children(node)


@handles("break", "thematicBreak")
def line(page: Page, node: Node) -> Markup:
    return element("br" if node["type"] == "break" else "hr")


@handles("inlineCode")
def inline_code(page: Page, node: Node) -> Markup:
    value = node["value"]
    return inline(value, None if node.get("linkless") else page.site.explanation(value))


@handles("abbreviation")
def abbreviation(page: Page, node: Node) -> Markup:
    return element("abbr", page.children(node), title=node.get("title"))


@handles("heading")
def heading(page: Page, node: Node) -> Markup:
    depth = max(node["depth"], 2)  # the title of the page stands above them all
    anchor, content = node.get("html_id"), page.children(node)
    page.section, page.opened = words(node), anchor
    if not anchor:
        return element(f"h{depth}", content)
    page.outline.append((depth, anchor, page.children(without_links(node))))
    link = element(
        "a",
        "#",
        class_="anchor",
        href=f"#{anchor}",
        aria_label=f"Link to “{page.section}”",
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


def typeset(node: Node) -> Markup:
    if "html" not in node:
        raise BookError(f"KaTeX cannot read a formula: {node.get('message', '')}")
    return formula(node["html"])


@handles("inlineMath")
def inline_math(page: Page, node: Node) -> Markup:
    return typeset(node)


@handles("math")
def math(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    anchor = node.get("html_id")
    shown = element("div", typeset(node), class_="scroll")
    label = self_link(f"({number})", anchor, "number") if number else ""
    return element("div", shown + label, id=anchor, class_="equation wide")


# Links


@handles("link")
def link(page: Page, node: Node) -> Markup:
    if node["url"].startswith("#"):  # which mystmd makes a crossReference, or gives up
        raise BookError(f"A link leads to {node['url']}: nothing has such a label.")
    href = page.site.target(node)
    if node.get("internal"):
        page.links.add(href)
    kind = "reference" if node.get("internal") else None
    return element("a", page.children(node), href=href, class_=kind)


@handles("crossReference")
def cross_reference(page: Page, node: Node) -> Markup:
    target = page.site.href(node["url"]) if node.get("url") else ""
    if not target and "html_id" not in node:
        raise BookError(f'Nothing in the book has the label "{node.get("label")}".')
    href = target + (f"#{node['html_id']}" if "html_id" in node else "")
    if target:
        page.links.add(href)
    return element("a", page.children(node), href=href, class_="reference")


@handles("cite")
def cite(page: Page, node: Node) -> Markup:
    key = node["identifier"]
    if node.get("error"):
        raise BookError(f'No bibliography of the project has an entry "{key}".')
    return element("a", page.children(node), class_="citation", href=f"#cite-{key}")


@handles("citeGroup")
def cite_group(page: Page, node: Node) -> Markup:
    cites = joined((page.render(child) for child in node["children"]), "; ")
    return cites if node.get("kind") == "narrative" else Markup("({})").format(cites)


@handles("mystRole", "mystDirective")
def role(page: Page, node: Node) -> Markup:
    """In the caption of a cell, mystmd leaves a role around what it made of it."""
    if not node.get("children"):
        kind = "role" if node["type"] == "mystRole" else "directive"
        raise BookError(f'There is no {kind} "{node["name"]}" that mystmd knows.')
    return page.children(node)


@handles("mystDirectiveError")
def misused(page: Page, node: Node) -> NoReturn:
    raise BookError(f"mystmd cannot read this: {node.get('message')}.")


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
