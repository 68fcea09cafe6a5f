"""Notebooks of other books: what is ordinary there is shown here, or refused with its
page, its line and what to do, all faults of a build at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from tests.strangers import HANDOUT, LONG, REFUSED, REFUSED_CELLS, plotting, strange
from tests.theme_project import cell, one
from theme.build import build
from theme.content import content_folder
from theme.errors import BookError
from theme.nodes import HANDLERS
from theme.serve import respond
from theme.tree import walk

# What is shown


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "project"
    pages = {"handout.md": HANDOUT, "untitled.md": "No heading at all."}
    return build(strange(folder, pages, {"plots.ipynb": plotting()})).parent


@pytest.fixture(scope="module")
def handout(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "handout.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def plots(book: Path) -> BeautifulSoup:
    return BeautifulSoup((book / "plots.html").read_text("utf-8"), "html.parser")


def test_a_page_has_one_title_wherever_its_first_heading_is(
    book: Path, handout: BeautifulSoup
) -> None:
    assert one(handout, "h1").text == "Week one"
    untitled = (book / "untitled.html").read_text("utf-8")
    assert one(BeautifulSoup(untitled, "html.parser"), "h1").text == "Untitled"


def test_what_is_counted_has_its_number_without_label_and_caption(
    book: Path, handout: BeautifulSoup
) -> None:
    captions = [c.text for c in handout.select("article figcaption")]
    assert captions == [
        "Figure 1 ",
        "Figure 2: A caption without a label.",
        "Table 1 ",
        "Table 2: Listed",
    ]
    listed = (book / "figures.html").read_text("utf-8")
    assert '<a href="handout.html">Figure 2</a>' in listed


def test_pictures_and_films(handout: BeautifulSoup) -> None:
    assert [image["style"] for image in handout.select("figure img")][1] == (
        "width: 3cm"
    )
    film = one(handout, "video")
    assert film["aria-label"] == "A film"
    assert film["src"].endswith(".mp4")


def test_tabs_folds_and_boxes_lose_nothing(handout: BeautifulSoup) -> None:
    text = one(handout, "article").text
    for part in ("pip install", "conda install", "Hidden link", "Folded", "Aside"):
        assert part in text, part
    card = one(handout, "a.card")
    assert card.get_text(" ", strip=True) == "A linked card Body."
    assert not card.select("a")


def test_units_and_chemistry(handout: BeautifulSoup) -> None:
    (paragraph,) = (p for p in handout.select("article p") if "Speed" in p.text)
    assert paragraph.text.startswith("Speed 10 m, H2O, H2O")
    assert len(paragraph.select("sub")) == 2


def test_printed_output_is_whole(plots: BeautifulSoup) -> None:
    assert plots.select("pre.stdout")[0].text == LONG.rstrip()


def test_a_bar_of_progress_shows_its_end(plots: BeautifulSoup) -> None:
    assert plots.select("pre.stdout")[1].text == "100%\ndone"


def test_every_type_that_a_page_can_show(plots: BeautifulSoup) -> None:
    assert one(plots, 'img[alt="Moves"]')["src"].endswith(".gif")
    assert one(plots, ".outputs .equation annotation").text == r"\displaystyle x^{2}"
    assert one(plots, ".markdown strong").text == "bold"
    assert "<i>no</i>" in one(plots, ".markdown").text
    assert one(plots, ".markdown annotation").text == "y"
    assert any('"a": [' in text.text for text in plots.select(".outputs pre"))
    assert one(plots, ".long[data-all='2000 rows']").select("td")


def test_a_picture_stands_for_what_only_a_script_would_draw(
    plots: BeautifulSoup,
) -> None:
    assert one(plots, 'img[alt="A plot"]')


def test_scripts_of_outputs_are_not_published(plots: BeautifulSoup) -> None:
    (model,) = (p for p in plots.select(".html p") if p.text == "Model")
    assert "onclick" not in model.attrs
    assert not plots.select("article script")
    assert plots.select(".html svg circle")


def test_parameters_are_shown_as_they_are_written(plots: BeautifulSoup) -> None:
    assert "1 + 1" in one(plots, ".origin").text


# What is refused


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every fault."""
    texts = {
        "refused.md": "# Refused\n\n## Here\n\n" + "\n\n".join(REFUSED),
        "05_figures.md": "# My figures",
        "学习.md": "# Learning\n\n![](square.svg)",
        "included.md": "# Including\n\n```{include} _part.txt\n```",
    }
    cells = [cell(source, output) for source, output, _ in REFUSED_CELLS]
    head = nbformat.v4.new_markdown_cell("# Cells that are refused")
    foot = nbformat.v4.new_markdown_cell("Text\n\n![](square.svg)")
    notebook = nbformat.v4.new_notebook(cells=[head, *cells, foot])
    folder = tmp_path_factory.mktemp("refused") / "project"
    strange(folder, texts, {"refused-cells.ipynb": notebook})
    (folder / "broken.png").write_text("version https://git-lfs", "utf-8")
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").write_text("older", "utf-8")
    (folder / "_part.txt").write_text("Part\n\n![](square.svg)", "utf-8")
    return folder


@pytest.fixture(scope="module")
def faults(refused: Path) -> list[str]:
    with pytest.raises(BookError) as caught:
        build(refused)
    return list(caught.value.faults)


def test_what_cannot_be_shown_is_named_with_its_line(
    refused: Path, faults: list[str]
) -> None:
    lines = (refused / "refused.md").read_text("utf-8").splitlines()
    for written, said in REFUSED.items():
        begin = lines.index(written.partition("\n")[0]) + 1
        places = [f.partition(": ")[0] for f in faults if re.search(said, f)]
        lines_of_it = range(begin, begin + written.count("\n") + 1)
        exact = {f'refused.md, line {n}, under "Here"' for n in lines_of_it}
        if exact.isdisjoint(places):
            # mystmd has forgotten the line: the last that is known.
            last = re.findall(r"refused\.md, line (\d+) or below", " ".join(places))
            assert any(int(line) <= begin for line in last), (written, places)


def test_what_a_cell_cannot_show_is_named_with_the_number_of_the_cell(
    faults: list[str],
) -> None:
    for number, (source, _, said) in enumerate(REFUSED_CELLS, start=2):
        place = f"refused-cells.ipynb, cell {number}: "
        told = [f for f in faults if f.startswith(place) and re.search(said, f)]
        assert told, (source, [f for f in faults if f.startswith(place)])
    last = f"refused-cells.ipynb, cell {len(REFUSED_CELLS) + 2}, line 3: "
    assert any(fault.startswith(last) for fault in faults)


def test_a_page_that_has_no_address_or_that_of_another_is_named(
    faults: list[str],
) -> None:
    assert any(f.startswith("学习.md has no address") for f in faults)
    assert any(f.startswith("学习.md, line 3: The picture") for f in faults)
    assert any(
        f.startswith('05_figures.md would be figures.html, which is the page "Figures')
        for f in faults
    )


def test_a_fault_of_an_included_file_is_named_there(faults: list[str]) -> None:
    assert any(f.startswith("_part.txt, line 3: The picture") for f in faults)


def test_an_older_book_stays_until_there_is_another(
    refused: Path, faults: list[str]
) -> None:
    assert faults
    assert (refused / "_build" / "html" / "index.html").read_text("utf-8") == "older"


def test_no_fault_is_listed_twice_and_none_is_a_traceback(faults: list[str]) -> None:
    assert len(faults) == len(set(faults))
    for fault in faults:
        assert "Traceback" not in fault
        assert "theme is at fault" not in fault, fault
    of_mystmd = [fault for fault in faults if fault.endswith("(mystmd)")]
    assert ["widget.mjs" in fault for fault in of_mystmd] == [True], of_mystmd


def test_the_live_preview_lists_them_above_the_page_and_those_of_the_book(
    refused: Path, faults: list[str]
) -> None:
    fetch = content_folder(refused / "_build" / "site")
    status, _, body = respond(fetch, refused, "/refused.html", "ws://reload")
    page = BeautifulSoup(body, "html.parser")
    listed = [item.text for item in page.select("[role=alert] li")]
    assert status == 200
    assert len(listed) > len(REFUSED)
    assert any(line.startswith('refused.md, line 5, under "Here": ') for line in listed)
    _, _, body = respond(fetch, refused, "/faults.txt", "ws://reload")
    told = body.decode().split("\n\n")
    assert set(told) == {fault for fault in faults if "(mystmd)" not in fault}


def test_every_handler_meets_a_tree_of_mystmd(
    book: Path, refused: Path, faults: list[str]
) -> None:
    folders = (book.parent / "site", refused / "_build" / "site")
    trees = [
        json.loads(file.read_text("utf-8"))["mdast"]
        for folder in folders
        for file in (folder / "content").glob("*.json")
    ]
    met = {node["type"] for tree in trees for node in walk(tree)}
    assert set(HANDLERS) <= met
