"""The theme itself, and what stops a build."""

from __future__ import annotations

import ast
import io
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

import theme
from tests.theme_project import page_of, project
from theme.build import build
from theme.check import faults
from theme.content import content_server
from theme.errors import BookError
from theme.pictures import size

# The theme itself

THEME = Path(__file__).parents[1] / "theme"


def imported(file: Path) -> set[str]:
    """The modules of the theme that a file imports, for whatever reason."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "theme":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            folder, _, name = node.module.partition(".")
            found |= {name} if folder == "theme" else set()
    return found


def test_each_module_imports_only_those_above_it_in_the_order_of_reading() -> None:
    assert theme.__doc__
    order = re.findall(r"(\w+)\.py", theme.__doc__)
    assert sorted([*order, "__init__", "__main__"]) == sorted(
        file.stem for file in THEME.glob("*.py")
    )
    for place, name in enumerate(order):
        assert imported(THEME / f"{name}.py") <= set(order[:place]), name


def test_what_makes_html_of_nodes_hands_none_to_another_module() -> None:
    """A node goes from its page to one function, and what that calls knows no page."""
    makers = {"text", "boxes", "cells", "outputs"}
    for name in makers:
        needs = imported(THEME / f"{name}.py")
        assert not needs & makers
        for helper in needs - {"nodes"}:
            assert "nodes" not in imported(THEME / f"{helper}.py"), helper


# What stops a build


def fails(*children: dict[str, Any]) -> str:
    """The one fault of a page."""
    page = page_of(*children)
    assert page.body
    (fault,) = page.faults
    return fault


def test_an_unknown_node_is_named_with_page_line_and_section() -> None:
    heading = {
        "type": "heading",
        "depth": 2,
        "html_id": "h",
        "children": [{"type": "text", "value": "Here"}],
    }
    unknown = {"type": "anywidget", "position": {"start": {"line": 7}}}
    message = fails(heading, {"type": "paragraph", "children": [unknown]})
    assert 'chapters/01_x.ipynb, line 7, under "Here"' in message
    assert '"anywidget"' in message


def test_a_picture_without_alternative_text() -> None:
    assert "a.png has no alternative text" in fails({"type": "image", "url": "a.png"})


@pytest.mark.parametrize("mime", ["application/javascript", "application/x"])
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


def failed(*tags: str) -> dict[str, Any]:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
    data = {**error, "traceback": ["first", "last"]}
    output = {"type": "output", "jupyter_data": data}
    cell = {"type": "block", "kind": "notebook-code", "data": {"tags": list(tags)}}
    return {**cell, "children": [{"type": "outputs", "id": "1", "children": [output]}]}


def test_a_failed_cell_even_where_it_is_removed() -> None:
    assert "ValueError: no" in fails({**failed(), "visibility": "remove"})


def test_a_cell_that_is_to_fail_shows_how() -> None:
    page = page_of(failed("raises-exception"))
    assert '<pre class="output error">first\nlast</pre>' in page.body
    assert page.faults == []


def test_all_that_mystmd_says_when_it_ends(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    notebook = json.loads((folder / "cells.ipynb").read_text("utf-8"))
    notebook["cells"][2]["outputs"][0]["text"] = ""
    (folder / "cells.ipynb").write_text(json.dumps(notebook), "utf-8")
    with pytest.raises(BookError, match=r"cells\.ipynb, cell 3: .* no letter"):
        build(folder)


def test_a_book_that_can_be_written_nowhere(tmp_path: Path) -> None:
    (tmp_path / "_build").write_text("a file where the folder would be", "utf-8")
    with pytest.raises(BookError, match=r"nothing can be written .* in a copy"):
        build(tmp_path)


def test_the_content_of_a_live_preview_comes_through_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        fetch = content_server(f"http://127.0.0.1:{server.server_port}")
        assert fetch("/content/学.json") == b"/content/%E5%AD%A6.json"
        server.shutdown()


def test_faults_of_built_pages(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<h2 id="here">')
    (tmp_path / "a.html").write_text(
        '<i id="x"><i id="x"><a href="b.html#here"><a href="#x">'
        '<a href="https://example.org"><a href="c.html"><a href="b.html#there">'
        '<img src="gone.png"><a href="/b.html"><a href="Java&#10;script:x()">'
        '<link href="https://x.org/a.css"><script src="//x.org/b.js"></script>'
    )
    assert faults(tmp_path) == [
        'a.html has the anchor "x" twice.',
        "a.html loads https://x.org/a.css from the web.",
        "a.html loads //x.org/b.js from the web.",
        "a.html needs c.html, which is not there.",
        "a.html links to b.html#there: no such anchor there.",
        "a.html needs gone.png, which is not there.",
        "a.html links to /b.html, which is not relative.",
        "a.html links to Java\nscript:x(), which is no address.",
    ]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('width="72pt" height="36pt"', (96, 48)),
        ('width="1in" height="2.54cm"', (96, 96)),
        ('width="100%" height="100%" viewBox="0 0 8 4"', (8, 4)),
        ('viewBox="0,0,8,4"', (8, 4)),
        ('width="16" viewBox="0 0 8 4"', (16, 8)),
        ('height="2em" viewBox="0 0 8 4"', (64, 32)),
        ("", (300, 150)),
    ],
)
def test_picture_sizes_are_in_css_pixels(
    attributes: str, expected: tuple[int, int]
) -> None:
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}/>'
    assert size(drawing.encode(), "a.svg") == expected


def test_what_is_no_picture_is_named() -> None:
    with pytest.raises(BookError, match=r"a\.png is no picture"):
        size(b"GIT LFS pointer", "a.png")
    tiff = io.BytesIO()
    Image.new("L", (1, 1)).save(tiff, "TIFF")
    with pytest.raises(BookError, match=r"a\.tiff is no picture that browsers show"):
        size(tiff.getvalue(), "a.tiff")
