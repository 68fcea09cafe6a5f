"""The theme: what mystmd hands over, and what a reader gets."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from theme_project import CIRCLE, one, project

from theme.build import build
from theme.check import faults
from theme.code import highlighted
from theme.content import Site, walk
from theme.errors import BookError
from theme.nodes import HANDLERS, Page
from theme.outputs import picture_size
from theme.render import refuse_failed_cells
from theme.text import without_links


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("book") / "project")).parent


@pytest.fixture(scope="module")
def prose(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "index.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def cells(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "cells.html").read_text("utf-8"), "html.parser")


def test_every_handler_meets_a_tree_of_mystmd(book: Path) -> None:
    trees = [
        json.loads(file.read_text("utf-8"))["mdast"]
        for file in (book.parent / "site" / "content").glob("*.json")
    ]
    met = {node["type"] for tree in trees for node in walk(tree)}
    assert set(HANDLERS) <= met


def test_words(prose: BeautifulSoup) -> None:
    for tag in ("em", "strong", "del", "u", "sub", "kbd", "br", "hr", "blockquote"):
        assert prose.select(f"article {tag}"), tag
    assert one(prose, "abbr")["title"] == "mean squared error"
    assert one(prose, "article p > code").text == "a < b"


def test_simple_mathematics_that_mystmd_takes_apart(prose: BeautifulSoup) -> None:
    assert any(span.text == "10−6" for span in prose.select("article span:has(> sup)"))


def test_no_line_ends_between_a_short_formula_and_its_comma(
    prose: BeautifulSoup,
) -> None:
    kept = next(s for s in prose.select(".unbroken") if s.find("annotation"))
    assert kept.find("annotation").text == r"\theta' \in \mathbb{R}"
    assert kept.text.endswith(",")
    assert not str(kept.next_sibling).startswith(",")


def test_lines_end_within_long_formulas_and_not_beside_times_signs() -> None:
    page = Page(Site(fetch=lambda path: b""), "", {"location": ""})
    base = '<span class="base">{}</span>'
    html = '<span class="katex-html" aria-hidden="true">{}</span>'
    long, short = (
        {"type": "inlineMath", "html": html.format(base.format("x" * n) * 2)}
        for n in (20, 2)
    )
    text = {"type": "text", "value": "of 28 × 28 (the"}
    rendered = page.children({"children": [text, long, {**text, "value": ") end"}]})
    assert "unbroken" not in rendered
    assert "28\u00a0×\u00a028" in rendered
    rendered = page.children({"children": [text, short, {**text, "value": ") end"}]})
    assert rendered.startswith("of 28\u00a0×\u00a028 <span")
    assert ">(the<span" in rendered
    assert rendered.endswith(")</span> end")


def test_code_is_marked_where_it_has_a_colour_and_nowhere_else() -> None:
    marked = str(highlighted("for x in y:\n    return 'a\\n'  # b\n", "python"))
    assert marked == (
        '<pre class="code"><code><span class="k">for</span> x <span class="k">in</span>'
        ' y:\n    <span class="k">return</span> <span class="s">&#39;a\\n&#39;</span>'
        '  <span class="c"># b</span></code></pre>'
    )


def test_a_mark_ends_with_its_line() -> None:
    marked = str(highlighted('"""a\nb"""', "python"))
    assert 'a</span>\n<span class="s">b' in marked


def test_text_is_escaped(prose: BeautifulSoup) -> None:
    assert not prose.select("article b")
    assert "1 < 2 & <b> is no markup" in one(prose, "article").text


def test_mathematics_keeps_its_source_and_its_number(prose: BeautifulSoup) -> None:
    equation = one(prose, "#eq-square")
    assert one(equation, "annotation").text == r"a^2 \geq 0"
    assert one(equation, ".number").text == "(1)"
    assert one(prose, 'a.reference[href="#eq-square"]').text == "(1)"


def test_a_formula_loses_marks_and_no_letter(prose: BeautifulSoup) -> None:
    shown = one(prose, "#eq-square .katex-html")
    assert not shown.select(".mord, .mrel, .mtight")
    assert shown.text == "a2≥0"
    assert one(shown, ".mathnormal").text == "a"


# Class of KaTeX to the family that it selects, by the rules of its style sheet.
FAMILIES = {"mathnormal": "Math", "mathbb": "AMS", "mathcal": "Caligraphic"}


def test_every_letter_of_a_formula_is_in_its_font(
    book: Path, prose: BeautifulSoup
) -> None:
    style = (book / "static" / "katex" / "katex.css").read_text("utf-8")
    fonts = {
        family: TTFont(io.BytesIO(b64decode(data))).getBestCmap()
        for family, data in re.findall(
            r"font-family:KaTeX_(\w+);[^}]*base64,([^\"]*)", style
        )
    }
    assert set(fonts) == {"Main", "Math", "AMS"}
    for text in one(prose, "article").find_all(string=True):
        classes = [c for part in text.parents for c in part.get("class", ())]
        if "katex-html" in classes:
            family = next((FAMILIES[c] for c in classes if c in FAMILIES), "Main")
            drawn = text.replace("\u200b", "")  # which has no width in any font
            assert set(map(ord, drawn)) <= set(fonts[family]), (family, text)
    assert set(fonts["AMS"]) == {ord("R")}


def test_a_common_style_of_formulas_is_a_class(
    book: Path, prose: BeautifulSoup
) -> None:
    style = (book / "static" / "katex" / "katex.css").read_text("utf-8")
    (name,) = re.findall(r"\.katex \.(\w+){height:2\.7em}", style)
    assert prose.select(f"#eq-square .pstrut.{name}")
    assert "height:2.7em" not in str(prose)


def test_a_style_sheet_has_the_rules_that_the_formulas_need(book: Path) -> None:
    style = (book / "static" / "katex" / "katex.css").read_text("utf-8")
    assert ".katex .vlist>span>span{" in style
    assert ".sizing.reset-size6.size3{" in style
    assert "mathfrak" not in style


def test_links_stay_inside_the_folder(prose: BeautifulSoup) -> None:
    hrefs = {link.text: link["href"] for link in prose.select("article p a[href]")}
    assert hrefs["Cells"] == "cells.html"
    assert hrefs["Theorem\xa01"] == "#thm-one"
    assert hrefs["a site"] == "https://example.org/?a=1&b=2"
    assert {"cells.html#fig-cell", "#sec-list"} <= set(hrefs.values())


def test_citations_lead_to_the_references(prose: BeautifulSoup) -> None:
    links = prose.select("a.citation")
    assert {link["href"] for link in links} == {"#cite-thrun1998learning"}
    assert "Kluwer" in one(prose, "#cite-thrun1998learning").text


def test_footnotes_lead_there_and_back(prose: BeautifulSoup) -> None:
    note = one(prose, str(one(prose, ".footnote-mark a")["href"]))
    assert "The note." in note.text
    assert one(prose, str(one(note, "a")["href"])).text == "1"


def test_lists(prose: BeautifulSoup) -> None:
    assert [box["aria-label"] for box in prose.select("[role=img]")] == [
        "done",
        "to do",
    ]
    assert one(prose, "ol:not(nav ol, .footnotes ol) > li:nth-of-type(1)").p is None
    assert one(prose, ".glossary dt")["id"] == "term-shot"


def test_a_figure_has_alternative_text_and_a_numbered_caption(
    prose: BeautifulSoup,
) -> None:
    figure = one(prose, "figure#fig-square")
    assert one(figure, "img")["alt"] == "A black rectangle"
    assert "50%" in one(figure, "img")["style"]
    assert one(figure, "figcaption").text.startswith("Figure\xa01: The caption.")


def test_tables_have_a_head_and_alignment(prose: BeautifulSoup) -> None:
    first = prose.select("table")[0]
    assert [cell.text for cell in first.select("thead th")] == ["left", "right"]
    assert "right" in first.select("tbody td")[1]["class"]
    assert one(prose, "figure.table figcaption .number").text.strip() == "Table\xa01:"


def test_an_included_listing(prose: BeautifulSoup) -> None:
    listing = one(prose, "figure.code")
    assert one(listing, ".filename").text == "listing.py"
    assert one(listing, "code").text == "def second():\n    return 2"
    assert one(listing, ".emphasised").text == "    return 2"
    assert one(listing, ".numbers").text == "1\n2"


def test_boxes(prose: BeautifulSoup) -> None:
    assert one(prose, "section.note .title").text == "Note"
    assert one(prose, "details.warning summary").text == "Mind"
    assert one(prose, "#thm-one .title").text == "Theorem 1 One"
    assert one(prose, ".proof .title").text == "Proof"
    assert one(prose, "#ex-one .title").text == "Exercise 1 Try"


def test_a_solution_is_folded_and_holds_its_executed_cell(prose: BeautifulSoup) -> None:
    solution = one(prose, "details.solution")
    assert not solution.has_attr("open")
    assert one(solution, "summary").text == "Solution to Exercise\xa01"
    assert one(solution, "pre.code").text == "solved = 1"
    assert one(solution, "pre.stdout").text == "solved it"


def test_outputs(cells: BeautifulSoup) -> None:
    assert cells.select("pre.stdout")[1].text == "red <ink>"
    assert one(cells, ".html table").text == "1"
    circle = one(cells, 'img[alt="A circle"]')
    assert (circle["width"], circle["height"]) == ("8", "4")
    assert str(circle["src"]).startswith("data:image/svg+xml")


def test_a_cell_that_draws_a_figure(cells: BeautifulSoup, book: Path) -> None:
    figure = one(cells, "figure#fig-cell")
    picture = one(figure, "img")
    assert picture["alt"] == "One pixel: black"
    assert (book / str(picture["src"])).is_file()
    assert "Figure\xa01" in one(figure, "figcaption").text
    assert one(figure, "a.citation")["href"] == "#cite-thrun1998learning"
    assert not figure.select("pre")


def test_hidden_parts_are_folded(cells: BeautifulSoup) -> None:
    for text in ("folded_input", "folded output", "folded_cell", "folded too"):
        assert any(text in fold.text for fold in cells.select("details.folded")), text


def test_parameters_are_folded_and_long_output_shows_its_beginning(
    cells: BeautifulSoup,
) -> None:
    folds = {fold.summary.text: fold for fold in cells.select(".folded")}
    assert "seed = 7" in folds["Parameters of this chapter"].text
    assert one(cells, ".long")["data-all"] == "30 lines"


def test_removed_parts_are_on_no_page(book: Path) -> None:
    for file in book.rglob("*"):
        if file.suffix in (".html", ".js"):
            assert b"secret" not in file.read_bytes(), file
    assert "kept result" in (book / "cells.html").read_text("utf-8")


def test_the_page_around_the_text(prose: BeautifulSoup, cells: BeautifulSoup) -> None:
    assert one(prose, ".contents [aria-current=page]").text == "Prose"
    assert one(prose, "[rel=next]")["href"] == "cells.html"
    assert not prose.select("[rel=prev]")
    assert one(cells, "[rel=prev]")["href"] == "index.html"
    assert [link["href"] for link in prose.select(".outline a")] == ["#sec-list"]


def test_a_citation_stays_whole_where_a_link_may_not_be() -> None:
    def text(value: str) -> dict:
        return {"type": "text", "value": value}

    others = {"type": "emphasis", "children": [text("et al.")]}
    cite = {"type": "cite", "children": [text("Finn "), others, text(" (2017)")]}
    group = {"type": "citeGroup", "kind": "narrative", "children": [cite]}
    shown = page_of().children(without_links({"type": "caption", "children": [group]}))
    assert shown == "<span>Finn <em>et al.</em> (2017)</span>"


# What stops a build


def page_of(*children: dict, pages: dict | None = None) -> Page:
    content = {
        "location": "/chapters/01_x.ipynb",
        "mdast": {"type": "root", "children": list(children)},
    }
    config = {"projects": [{"index": "x", "pages": []}]}
    files = {"/config.json": config, "/content/x.json": content}
    return Page(Site(lambda path: json.dumps(files[path]).encode()), "x", content)


def fails(*children: dict) -> str:
    page = page_of(*children)
    with pytest.raises(BookError) as caught:
        page.render(page.content["mdast"])
    return str(caught.value)


def test_an_unknown_node_is_named_with_page_line_and_section() -> None:
    heading = {
        "type": "heading",
        "depth": 2,
        "html_id": "h",
        "children": [{"type": "text", "value": "Here"}],
    }
    unknown = {"type": "mermaid", "position": {"start": {"line": 7}}}
    message = fails(heading, {"type": "paragraph", "children": [unknown]})
    assert 'chapters/01_x.ipynb, line 7, under "Here"' in message
    assert '"mermaid"' in message


def test_where_an_unknown_node_has_no_line_the_last_known_one_is_named(
    tmp_path: Path,
) -> None:
    text = "# A\n\nFirst.\n\n```{mermaid}\ngraph LR\n```\n"
    with pytest.raises(BookError, match=r'prose\.md, line 3 or below: .*"mermaid"'):
        build(project(tmp_path / "project", prose=text))


def test_a_picture_without_alternative_text() -> None:
    assert "a.png has no alternative text" in fails({"type": "image", "url": "a.png"})


@pytest.mark.parametrize("mime", ["text/markdown", "text/latex", "application/x"])
def test_an_output_that_a_page_cannot_show(mime: str) -> None:
    data = {"output_type": "display_data", "data": {mime: {"content": "x"}}}
    output = {"type": "output", "jupyter_data": data}
    assert mime in fails({"type": "outputs", "id": "1", "children": [output]})


def test_a_figure_whose_cell_has_not_been_run() -> None:
    outputs = {"type": "outputs", "id": "1"}
    figure = {"type": "container", "kind": "figure", "label": "fig-x"}
    assert "fig-x shows nothing" in fails({**figure, "children": [outputs]})


def test_a_directive_that_ends_too_early() -> None:
    assert "needs more colons" in fails({"type": "code", "lang": "", "value": ""})


def test_a_language_that_nobody_speaks() -> None:
    assert '"klingon"' in fails({"type": "code", "lang": "klingon", "value": "x"})


def test_a_solution_gated_across_cells() -> None:
    assert "remove-cell" in fails({"type": "solution", "gate": "start"})


def test_a_link_to_a_page_that_is_not_there() -> None:
    assert "/nowhere" in fails({"type": "link", "url": "/nowhere", "children": []})


def test_a_failed_cell_even_where_it_is_removed() -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
    output = {"type": "output", "jupyter_data": error}
    page = page_of({"type": "block", "visibility": "remove", "children": [output]})
    with pytest.raises(BookError, match=r"01_x\.ipynb.*ValueError: no"):
        refuse_failed_cells(page.site)


def test_a_complaint_of_mystmd(tmp_path: Path) -> None:
    text = "# A\n\n{cite:p}`missing`\n"
    with pytest.raises(BookError, match="missing"):
        build(project(tmp_path / "project", prose=text))


def test_faults_of_built_pages(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<h2 id="here">')
    (tmp_path / "a.html").write_text(
        '<i id="x"><i id="x"><a href="b.html#here"><a href="#x">'
        '<a href="https://example.org"><a href="c.html"><a href="b.html#there">'
        '<img src="gone.png"><a href="/b.html">'
    )
    assert faults(tmp_path) == [
        'a.html has the anchor "x" twice.',
        "a.html needs c.html, which is not there.",
        "a.html links to b.html#there: no such anchor there.",
        "a.html needs gone.png, which is not there.",
        "a.html links to /b.html, which is not relative.",
    ]


def test_picture_sizes_are_in_css_pixels() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt"/>'
    assert picture_size(svg, "image/svg+xml") == (96, 48)
    assert picture_size(CIRCLE.encode(), "image/svg+xml") == (8, 4)
