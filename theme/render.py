"""The whole book, and all that its pages load, as files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from theme import katex
from theme.errors import BookError
from theme.pages import HERE, Pages
from theme.search import previews, search_index


def render(pages: Pages) -> dict[str, bytes]:
    """The content of every file of the book by its path in it.

    Raises:
        BookError: all that keeps its pages from being published.
    """
    site = pages.site
    html = {site.href(f"/{slug}"): pages.html(slug) for slug in pages.slugs}
    data = {f"static/{name}": make(pages) for name, make in DATA.items()}
    if pages.faults:
        raise BookError(*pages.faults)
    return {
        **{place: text.encode() for place, text in (html | data).items()},
        **{place: site.fetch(source) for source, place in site.files.items()},
        **{place: file.read_bytes() for place, file in site.taken.items()},
        **{f"static/{name}": content for name, content in assets(html.values())},
    }


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
