"""A small project that has everything the theme can show, for the tests to build."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag

from theme.content import Site
from theme.nodes import Page

ROOT = Path(__file__).parents[1]
FIXTURE = Path(__file__).parent / "theme_fixture"
# One black pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAA"
    "AABJRU5ErkJggg=="
)


def cell(
    source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()
) -> dict[str, Any]:
    return nbformat.v4.new_code_cell(
        source, outputs=list(outputs), metadata={"tags": list(tags)}
    )


def shows(**bundle: Any) -> dict[str, Any]:
    data = {mime.replace("_", "/"): content for mime, content in bundle.items()}
    return nbformat.v4.new_output("display_data", data=data)


def prints(text: str) -> dict[str, Any]:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def notebook() -> dict[str, Any]:
    """Every tag and every type of output that a page can show."""
    return nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            nbformat.v4.new_markdown_cell("(cells)=\n# Cells"),
            cell("seed = 7", tags=("parameters",)),
            cell("long()", prints("line\n" * 30)),
            cell("plain = 1", prints("\x1b[31mred\x1b[0m <ink>\n")),
            cell(
                "#| label: fig-cell\n"
                "#| caption: A pixel, $x$ {cite:p}`thrun1998learning`.\n"
                '#| alt: "One pixel: black"\ndraw()',
                shows(image_png=PNG, text_plain="<Figure>"),
            ),
            cell("#| alt: A circle\ncircle()", shows(**{"image_svg+xml": CIRCLE})),
            cell("table()", shows(text_html="<table><tr><td>1</td></tr></table>")),
            cell("folded_input = 1", tags=("hide-input",)),
            cell("shown = 1", prints("folded output"), tags=("hide-output",)),
            cell("folded_cell = 1", prints("folded too"), tags=("hide-cell",)),
            cell("secret = 1", prints("secret result"), tags=("remove-cell",)),
            cell("secret_input = 1", prints("kept result"), tags=("remove-input",)),
            cell("kept = 1", prints("secret output"), tags=("remove-output",)),
            cell(
                "#| label: solution-cell\nsolved = 1",
                prints("solved it"),
                tags=("remove-cell",),
            ),
        ],
    )


CIRCLE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 4"><circle r="1"/></svg>'
)


def project(folder: Path, prose: str | None = None) -> Path:
    """The fixture in a folder of its own, with another text if one is given."""
    shutil.copytree(FIXTURE, folder)
    nbformat.write(notebook(), folder / "cells.ipynb")
    if prose is not None:
        (folder / "prose.md").write_text(prose, "utf-8")
    configuration = folder / "myst.yml"
    text = configuration.read_text("utf-8").replace("../../theme", f"{ROOT}/theme")
    configuration.write_text(text, "utf-8")
    return folder


def one(soup: BeautifulSoup | Tag, selector: str) -> Tag:
    found = soup.select(selector)
    assert len(found) == 1, f"{selector}: {len(found)} found"
    return found[0]


def page_of(*children: dict[str, Any]) -> Page:
    """A page of these nodes, in a book that has no other."""
    content = {
        "location": "/chapters/01_x.ipynb",
        "mdast": {"type": "root", "children": list(children)},
    }
    config = {"projects": [{"index": "x", "pages": []}]}
    files = {"/config.json": config, "/content/x.json": content}
    return Page(Site(lambda path: json.dumps(files[path]).encode()), "x", content)
