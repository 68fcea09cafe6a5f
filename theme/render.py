"""`python -m theme render`: what `myst build --html` calls to write the book."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from theme.content import Fetch, Site, walk
from theme.errors import BookError
from theme.pages import HERE, Book
from theme.search import previews, search_index

KATEX = HERE / "node_modules" / "katex"


def render(fetch: Fetch, folder: Path) -> None:
    """Write every page of the site to `folder`, with all that the pages load."""
    site = Site(fetch, project_root())
    refuse_failed_cells(site)
    book = Book(site)
    for slug in book.slugs:
        (folder / site.href(f"/{slug}")).write_text(book.html(slug), "utf-8")
    for source, place in site.files.items():
        destination = folder / place
        destination.parent.mkdir(exist_ok=True)
        destination.write_bytes(fetch(source))
    for place, file in site.taken.items():
        destination = folder / place
        destination.parent.mkdir(exist_ok=True)
        destination.write_bytes(file.read_bytes())
    shared = [*assets(), *((name, make(book).encode()) for name, make in DATA.items())]
    for place, content in shared:
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


def assets() -> Iterator[tuple[str, bytes]]:
    """Name and content of the style sheets, scripts and fonts all pages share."""
    for file in sorted((HERE / "static").iterdir()):
        yield file.name, file.read_bytes()
    style = (KATEX / "dist" / "katex.min.css").read_text("utf-8")
    # Every browser that reads the rest of our style sheet reads woff2.
    style = re.sub(r',url\([^)]*\) format\("(?:woff|truetype)"\)', "", style)
    yield "katex/katex.css", style.encode()
    for font in sorted((KATEX / "dist" / "fonts").glob("*.woff2")):
        yield f"katex/fonts/{font.name}", font.read_bytes()
    yield "katex/LICENSE", (KATEX / "LICENSE").read_bytes()
