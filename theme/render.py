"""`python -m theme render`: what `myst build --html` calls to write the book."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from theme import katex
from theme.content import Fetch, Site, walk
from theme.errors import BookError
from theme.pages import HERE, Book
from theme.search import previews, search_index


def render(fetch: Fetch, folder: Path) -> None:
    """Write every page of the site to `folder`, with all that the pages load."""
    site = Site(fetch, project_root())
    refuse_failed_cells(site)
    book = Book(site)
    pages = {site.href(f"/{slug}"): book.html(slug) for slug in book.slugs}
    for place, html in pages.items():
        (folder / place).write_text(html, "utf-8")
    for source, place in site.files.items():
        destination = folder / place
        destination.parent.mkdir(exist_ok=True)
        destination.write_bytes(fetch(source))
    for place, file in site.taken.items():
        destination = folder / place
        destination.parent.mkdir(exist_ok=True)
        destination.write_bytes(file.read_bytes())
    data = [(name, make(book).encode()) for name, make in DATA.items()]
    for place, content in [*assets(pages.values()), *data]:
        destination = folder / "static" / place
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(content)


def refuse_failed_cells(site: Site) -> None:
    for page in site.pages.values():
        for node in walk(page["mdast"]):
            output = node.get("jupyter_data") or {}
            if output.get("output_type") == "error":
                raise BookError(
                    f"{page['location'].lstrip('/')}: a cell failed when the notebook "
                    f"was last run ({output['ename']}: {output['evalue']}). Mend it "
                    "and run the notebook again."
                )


def project_root() -> Path:
    """Where `myst` was started; the theme itself may lie elsewhere."""
    return Path(os.environ.get("BOOK_ROOT", Path.cwd()))


DATA = {"search-index.js": search_index, "previews-data.js": previews}
"""What scripts load when a reader first searches or rests on a link."""


def assets(pages: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Name and content of the style sheets, scripts and fonts all pages share."""
    for file in sorted((HERE / "static").iterdir()):
        content = file.read_text("utf-8")
        if file.suffix == ".css":  # whose remarks are for who changes it
            content = re.sub(r"/\*.*?\*/|(?<=\n)\s+", "", content, flags=re.S)
        yield file.name, content.encode()
    yield "katex/katex.css", katex.style_sheet(pages).encode()
    yield "katex/LICENSE", (katex.KATEX / "LICENSE").read_bytes()
