"""Words, lists, mathematics, links."""

from __future__ import annotations

from markupsafe import Markup, escape

from theme.content import Node, words
from theme.html import element, joined
from theme.nodes import Page, handles, plain


@handles("text")
def text(page: Page, node: Node) -> Markup:
    return escape(node["value"])


plain("paragraph", "p")
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


@handles("comment")
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
    page.section = words(node)
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
        linked = child["type"] in ("link", "crossReference", "cite")
        children += copy["children"] if linked else [copy]
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
    return Markup(node["html"])


@handles("math")
def math(page: Page, node: Node) -> Markup:
    number = node.get("enumerator")
    label = element("span", f"({number})", class_="number") if number else ""
    formula = element("div", Markup(node["html"]), class_="scroll")
    return element(
        "div", formula + label, id=node.get("html_id"), class_="equation wide"
    )


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
