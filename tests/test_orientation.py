"""What the theme makes of a whole project: facts, notation, lists, the reference."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import pytest
import yaml
from bs4 import BeautifulSoup

from labkit.experiments.records import Record
from tests.theme_project import one, project
from theme.build import build
from theme.errors import BookError
from theme.facts import launches, provenance, reading_seconds
from theme.notation import anchor
from theme.search import Sections
from theme.serve import respond

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("book") / "project")).parent


@cache
def soup(book: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((book / name).read_text("utf-8"), "html.parser")


# Contents


def test_the_contents_have_parts_and_end_with_what_is_made(book: Path) -> None:
    lines = [
        line.text.strip() for line in soup(book, "index.html").select(".contents li")
    ]
    assert lines == [
        *("Prose", "Cells", "Reference", "Notation"),
        *("Figures and tables", "Bibliography", "labkit", "labkit.parts"),
    ]


# Facts


def test_a_notebook_says_what_it_takes_and_what_it_builds_on(book: Path) -> None:
    facts = one(soup(book, "cells.html"), ".facts")
    assert "1 min to read, 3 s to run on one core" in facts.text
    assert one(facts, 'a[href="index.html"]').text == "Prose"
    assert not soup(book, "index.html").select(".facts")


def test_reading_takes_time_for_words_code_formulas_and_figures() -> None:
    page = {
        "type": "root",
        "children": [
            {"type": "text", "value": "ten words " * 5},
            {"type": "code", "value": "one\ntwo"},
            {"type": "math", "value": "x"},
            {"type": "container", "kind": "figure"},
        ],
    }
    assert reading_seconds(page) == pytest.approx(10 * 0.3 + 2 * 2 + 15 + 30)


def test_a_notebook_goes_along_with_the_book(book: Path) -> None:
    link = one(soup(book, "cells.html"), ".facts a[download]")
    copied = json.loads((book / str(link["href"])).read_text("utf-8"))
    original = book.parents[1] / "cells.ipynb"
    assert copied == json.loads(original.read_text("utf-8"))


def test_the_origin_says_what_is_known_and_nothing_else(book: Path) -> None:
    names = [dt.text for dt in soup(book, "cells.html").select(".origin dt")]
    assert names == ["Seed", "Device", "Computed in"]


def record(**fields: Any) -> Record:
    return Record(
        **{
            "experiment": "x",
            "command": "labkit train x",
            "configuration": {},
            "results": [],
            "seed": 0,
            "seed_scheme": "named streams",
            "seconds": 1.0,
            "device": "cpu",
            "threads": 1,
            "torch": "2",
            "commit": "abc",
            **fields,
        }
    )


def keep(folder: Path, kept: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(kept))
    (folder / f"{kept.experiment}.json").write_text(text, "utf-8")


def test_the_origin_names_the_records_that_a_chapter_reads(tmp_path: Path) -> None:
    stored = record(checkpoint_sha256="1" * 64, data_sha256={"a.zip": "2" * 64})
    keep(tmp_path / "data" / "results", stored)
    code = {"type": "code", "value": 'records.read("x")'}
    page = {"mdast": {"type": "root", "children": [code]}}
    found = dict(provenance(tmp_path, tmp_path / "chapter.ipynb", page, None))
    sums = f"weights {'1' * 12}, a.zip {'2' * 12}"
    assert found == {"Record x": f"made at abc in 1\u00a0s; sha256 of {sums}"}


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "results").mkdir(parents=True)
    (tmp_path / "data" / "results" / "x.json").write_text("{}", "utf-8")
    page = {"mdast": {"type": "code", "value": '"x"'}}
    with pytest.raises(BookError, match=r"x\.json is no record .* labkit train x"):
        provenance(tmp_path, tmp_path / "chapter.ipynb", page, None)


def test_the_origin_adds_up_the_records_of_a_sweep(tmp_path: Path) -> None:
    results = tmp_path / "data" / "results"
    for name, seconds in {"sweep-1": 3.4, "sweep-2": 4.8, "other": 9.0}.items():
        keep(results, record(experiment=name, seconds=seconds))
    command = {
        "type": "inlineCode",
        "value": "labkit train 'none-*' and labkit train\n'sweep-*'",
    }
    page = {"mdast": {"type": "root", "children": [command]}}
    found = dict(provenance(tmp_path, tmp_path / "chapter.ipynb", page, None))
    assert found == {"2 records sweep-*": "made at abc in 8\u00a0s"}


def test_launch_links_have_the_form_that_each_service_asks_for() -> None:
    found = launches("https://github.com/owner/name", "/chapters/01 a.ipynb")
    local, binder, colab = (urlsplit(link.href) for link in found)
    assert (local.netloc, local.path) == (
        "localhost:8888",
        "/lab/tree/chapters/01%20a.ipynb",
    )
    assert (binder.netloc, binder.path) == ("mybinder.org", "/v2/gh/owner/name/HEAD")
    # Binder decodes what is in the query once more.
    assert binder.query == "urlpath=lab/tree/chapters/01%2520a.ipynb"
    assert colab.netloc == "colab.research.google.com"
    assert colab.path == "/github/owner/name/blob/HEAD/chapters/01%20a.ipynb"


def test_without_a_public_address_only_the_local_link_is_there() -> None:
    assert [link.text for link in launches(None, "/a.ipynb")] == [
        "JupyterLab, after make lab"
    ]


# Notation


def test_notation_leads_to_the_code_and_back(book: Path) -> None:
    row = one(soup(book, "notation.html"), "#symbol-f-prime")
    explained = str(one(row, "a:has(code)")["href"])
    assert explained == "labkit-parts.html#labkit.parts.scale.Scale"
    page, _, name = explained.partition("#")
    entry = soup(book, page).find(id=name)
    assert entry is not None
    wiring = entry.find_next("p", class_="wiring")
    assert wiring is not None
    assert one(wiring, "a")["href"] == "notation.html#symbol-f-prime"


def test_notation_leads_to_the_first_use_and_back(book: Path) -> None:
    row = one(soup(book, "notation.html"), "#symbol-f-prime")
    assert one(row, 'a[href="cells.html"]').text == "Cells"
    facts = one(soup(book, "cells.html"), ".facts")
    assert one(facts, 'a[href="notation.html#symbol-f-prime"]')


def test_the_anchor_of_a_symbol_follows_from_its_tex() -> None:
    assert anchor(r"\theta'") == "symbol-theta-prime"
    assert anchor(r"f_{\theta'}(x)") == "symbol-f-theta-prime-x"


def test_every_symbol_of_the_book_leads_somewhere() -> None:
    rows = [
        line
        for line in (ROOT / "pages" / "notation.md").read_text("utf-8").splitlines()
        if line.startswith("| $")
    ]
    symbols = [row.split("|")[1].strip() for row in rows]
    assert len(symbols) == len(set(symbols)) > 20
    for row in rows:
        assert row.count("](#") == 1, row


# Lists


def test_the_list_of_figures_shows_each_with_its_caption(book: Path) -> None:
    page = soup(book, "figures.html")
    hrefs = [str(link["href"]) for link in page.select(".gallery a")]
    assert hrefs == [
        "index.html#fig-square",
        "cells.html#fig-cell",
        "index.html#tab-one",
    ]
    assert "The caption." in page.select(".gallery li")[0].text
    for entry in page.select(".gallery li"):
        assert entry.text.startswith(("Figure", "Table"))
    assert [image["alt"] for image in page.select(".gallery img")] == [
        "A black rectangle",
        "One pixel: black",
    ]


def test_the_bibliography_says_where_a_work_is_cited(book: Path) -> None:
    work = one(soup(book, "bibliography.html"), "#work-thrun1998learning")
    assert "Kluwer" in work.text
    assert one(work, 'a[href="index.html"]').text == "Prose"


# The reference of the code


def test_the_reference_has_what_is_public_and_its_source(book: Path) -> None:
    page = soup(book, "labkit-parts.html")
    assert [heading.text for heading in page.select("h3")] == ["Scale", "rescale"]
    assert "factor: float = 2.0" in page.select("pre")[1].text
    fold = page.select("details")[0]
    assert "labkit/parts/scale.py, lines 11–36" in fold.text
    assert "return self.factor * x" in fold.text


def test_docstrings_keep_their_sections_and_link_names(book: Path) -> None:
    page = soup(book, "labkit-parts.html")
    assert "s = f · x" in one(page, "pre.output").text
    titles = [title.text for title in page.select("p.title")]
    assert titles == ["Attributes", "Arguments", "Returns", "Raises", "Example", "Note"]
    items = [item.text for item in page.select("p.title + ul > li, p.title + p")]
    assert items == [
        "factor: By how much.",
        "x: What to stretch,\nas it is.",
        "The product: factor times x.",
        "ValueError: if x is negative.",
        "Nothing is stored.",
    ]
    link = one(page, "article p > a:has(code)")
    assert link["href"] == "labkit-parts.html#labkit.parts.scale.Scale"


def test_docstrings_keep_lists_examples_and_notes(book: Path) -> None:
    page = soup(book, "labkit-parts.html")
    assert one(page, "li > em").text == "fast"
    assert ">>> rescale(1)\n2.0" in [pre.text for pre in page.select("pre.code")]


# Search and the book as one file


def test_search_reads_formulas_by_their_source_and_skips_what_is_not_text() -> None:
    parser = Sections("Page")
    parser.feed(
        '<p>Word <span class="katex"><span class="katex-mathml"><math><semantics>'
        "<mrow><mi>θ</mi></mrow><annotation>\\theta</annotation></semantics></math>"
        '</span><span class="katex-html"><span>θ</span></span></span>.</p>'
        '<h2 id="a">Head <a class="anchor">#</a></h2><pre>x = 1</pre>'
    )
    assert [[part.strip() for part in row] for row in parser.sections] == [
        ["", "Page", r"Word \theta."],
        ["a", "Head", "x = 1"],
    ]


def test_the_index_leads_to_anchors_that_are_there(book: Path) -> None:
    script = (book / "static" / "search-index.js").read_text("utf-8")
    rows = json.loads(script.partition(" = ")[2].rstrip(";\n"))
    assert {"Prose", "Cells", "Notation", "Bibliography"} <= {row[1] for row in rows}
    for href, *_ in rows:
        page, _, name = href.partition("#")
        assert not name or soup(book, page).find(id=name), href


def test_previews_hold_what_other_pages_link_to(book: Path) -> None:
    script = (book / "static" / "previews-data.js").read_text("utf-8")
    previews = json.loads(script.partition(" = ")[2].rstrip(";\n"))
    assert "<img" in previews["cells.html#fig-cell"]


def test_the_archive_is_the_book(book: Path) -> None:
    with ZipFile(book / "learning-to-learn.zip") as archive:
        packed = {
            Path(name).relative_to("learning-to-learn") for name in archive.namelist()
        }
    here = {file.relative_to(book) for file in book.rglob("*") if file.is_file()}
    assert packed == here - {Path("learning-to-learn.zip")}


# Citing the book


def test_the_citation_file_has_what_its_format_asks_for() -> None:
    """CFF 1.2.0 requires these four keys, and allows names of entities and persons."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cff["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cff)
    assert cff["type"] in ("software", "dataset")
    assert all({"name"} <= set(a) or {"family-names"} <= set(a) for a in cff["authors"])


def test_all_ways_to_cite_the_book_agree() -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    bib = (ROOT / "citation.bib").read_text("utf-8").strip()
    assert f"{{{cff['title']}}}" in bib
    assert f"{{{{{cff['authors'][0]['name']}}}}}" in bib
    for place in ("README.md", "pages/about.md"):
        assert bib in (ROOT / place).read_text("utf-8"), place


# The live preview


def test_the_preview_answers_with_pages_files_and_scripts() -> None:
    page = {
        "location": "/x.md",
        "frontmatter": {"title": "X"},
        "mdast": {
            "type": "root",
            "children": [{"type": "text", "value": "Hello"}],
        },
    }
    answers = {
        "/config.json": {"projects": [{"index": "x", "title": "Book", "pages": []}]},
        "/content/x.json": page,
        "/picture.png": "bytes",
    }

    def ask(path: str) -> tuple[int, str, bytes]:
        def fetch(place: str) -> bytes:
            return json.dumps(answers[place]).encode()

        return respond(fetch, Path("nowhere"), path, "ws://reload")

    for path in ("/", "/index.html"):
        status, mime, body = ask(path)
        assert (status, mime) == (200, "text/html; charset=utf-8")
        assert b"Hello" in body
        assert b"ws://reload" in body
    assert ask("/files/picture.png") == (200, "image/png", b'"bytes"')
    assert b"Hello" in ask("/static/search-index.js")[2]
    assert ask("/static/book.css")[1] == "text/css"
    assert ask("/nowhere")[0] == 404


def test_the_preview_reads_no_page_for_a_style_sheet_or_a_picture() -> None:
    asked = []

    def fetch(place: str) -> bytes:
        asked.append(place)
        return b""

    for path in ("/static/book.css", "/static/book.js", "/files/picture.png"):
        assert respond(fetch, Path("nowhere"), path, "ws://reload")[0] == 200
    assert asked == ["/picture.png"]
