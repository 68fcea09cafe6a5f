"""The theme: what mystmd hands over, and what a reader gets."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont

from tests.theme_project import one, page_of, project
from theme.build import build
from theme.code import highlighted
from theme.content import Site
from theme.nodes import Page
from theme.tree import without_links


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("book") / "project")).parent


@pytest.fixture(scope="module")
def prose(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "index.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def cells(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "cells.html").read_text("utf-8"), "html.parser")


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
    page = Page(Site(fetch=lambda path: b""), "", {"location": "", "mdast": {}})
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
        classes = [c for part in text.parents for c in part.get("class") or ()]
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
    def text(value: str) -> dict[str, Any]:
        return {"type": "text", "value": value}

    others = {"type": "emphasis", "children": [text("et al.")]}
    cite = {"type": "cite", "children": [text("Finn "), others, text(" (2017)")]}
    group = {"type": "citeGroup", "kind": "narrative", "children": [cite]}
    shown = page_of().children(without_links({"type": "caption", "children": [group]}))
    assert shown == "<span>Finn <em>et al.</em> (2017)</span>"
