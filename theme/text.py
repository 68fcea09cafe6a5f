"""Words, lists, mathematics, links."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from theme.content import Node, Site, words
from theme.errors import BookError
from theme.html import element, joined
from theme.katex import formula
from theme.nodes import UNBROKEN, Page, handles, plain


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


@handles("break", "thematicBreak")
def line(page: Page, node: Node) -> Markup:
    return element("br" if node["type"] == "break" else "hr")


@handles("inlineCode")
def inline_code(page: Page, node: Node) -> Markup:
    return code_with_link(
        page.site, node["value"], linkless=node.get("linkless", False)
    )


def code_with_link(site: Site, value: str, *, linkless: bool = False) -> Markup:
    """Code in a text; a name that the reference explains leads there."""
    href = None if linkless else site.explanation(value)
    code = element("code", joined(map(_word, value.split(" ")), " "))
    return element("a", code, href=href, class_="explained") if href else code


def _word(word: str) -> Markup:
    """Of code: whole on its line, if it is short and a browser might break it."""
    breaks = "-" in word and len(word) <= UNBROKEN
    return element("span", word, class_="unbroken") if breaks else escape(word)


@handles("abbreviation")
def abbreviation(page: Page, node: Node) -> Markup:
    return element("abbr", page.children(node), title=node["title"])


@handles("heading")
def heading(page: Page, node: Node) -> Markup:
    depth, anchor, content = node["depth"], node.get("html_id"), page.children(node)
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


def without_links(node: Node) -> Node:
    """The node for where a link may not be: inside a link, or on a fold's handle."""
    children: list[Node] = []
    for child in node.get("children", ()):
        copy = without_links(child)
        if child["type"] in ("link", "crossReference"):
            children += copy["children"]
        elif child["type"] == "cite":  # one part of its group, however many words
            children.append({"type": "span", "children": copy["children"]})
        elif child["type"] == "inlineCode":  # which may become one
            children.append({**child, "linkless": True})
        else:
            children.append(copy)
    return {**node, "children": children} if "children" in node else node


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
    return formula(node["html"])


@handles("math")
def math(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    anchor = node.get("html_id")
    shown = element("div", formula(node["html"]), class_="scroll")
    label = self_link(f"({number})", anchor, "number") if number else ""
    return element("div", shown + label, id=anchor, class_="equation wide")


def self_link(text: str, anchor: str | None, class_: str) -> Markup:
    """A number that links to what it numbers, for readers who want to point at it."""
    if not anchor:
        return element("span", text, class_=class_)
    return element("a", text, class_=class_, href=f"#{anchor}")


# Links


@handles("link")
def link(page: Page, node: Node) -> Markup:
    href = page.site.href(node["url"])
    if node.get("internal"):
        page.links.add(href)
    kind = "reference" if node.get("internal") else None
    return element("a", page.children(node), href=href, class_=kind)


@handles("crossReference")
def cross_reference(page: Page, node: Node) -> Markup:
    target = page.site.href(node["url"]) if node.get("url") else ""
    href = f"{target}#{node['html_id']}"
    if target:
        page.links.add(href)
    return element("a", page.children(node), href=href, class_="reference")


@handles("cite")
def cite(page: Page, node: Node) -> Markup:
    href = f"#cite-{node['identifier']}"
    return element("a", page.children(node), class_="citation", href=href)


@handles("citeGroup")
def cite_group(page: Page, node: Node) -> Markup:
    cites = joined((page.render(child) for child in node["children"]), "; ")
    return cites if node.get("kind") == "narrative" else Markup("({})").format(cites)


@handles("mystRole")
def role(page: Page, node: Node) -> Markup:
    """In the caption of a cell, mystmd leaves a role around what it made of it."""
    if not node.get("children"):
        raise BookError(f'There is no role "{node["name"]}" that mystmd knows.')
    return page.children(node)


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
