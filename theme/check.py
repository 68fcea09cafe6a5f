"""Links, anchors and pictures of built pages, read from the pages themselves."""

from __future__ import annotations

import posixpath
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from theme.urls import LINKED, is_remote, scheme


class Links(HTMLParser):
    """What a page links to or loads, and the anchors it offers."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        for name, value in attributes:
            if name in ("href", "src", "poster", "data") and value is not None:
                self.targets.append(value)
                if tag not in ("a", "area"):
                    self.loads.append(value)
            elif name == "id" and value is not None:
                self.anchors.append(value)


# Anchors that nobody writes down: parts of the template, references, names of code.
PASSING = ("cite-", "footnote-", "work-", "labkit.")
TEMPLATE = {
    "text",
    "contents",
    "outline",
    "references",
    "origin",
    "on-light",
    "on-dark",
}


# Every release gives this page a heading more, and its next one another name.
GROWING = "changelog.html"


def addresses(folder: Path) -> list[str]:
    """Every page of a book and every anchor that someone may have kept a link to."""
    found = []
    for file in sorted(folder.glob("*.html")):
        links = Links()
        links.feed(file.read_text("utf-8"))
        anchors = sorted(set(links.anchors) - TEMPLATE) if file.name != GROWING else []
        kept = [anchor for anchor in anchors if not anchor.startswith(PASSING)]
        found += [file.name, *(f"{file.name}#{anchor}" for anchor in kept)]
    return found


def faults(folder: Path) -> list[str]:
    """One sentence for each link, anchor, picture or asset in `folder` that fails.

    Addresses outside the book are not visited, and nothing is loaded from there.
    Absolute paths are faults: they break
    when the book is opened from a folder.
    """
    pages: dict[str, Links] = {}
    for file in sorted(folder.rglob("*.html")):
        links = Links()
        links.feed(file.read_text("utf-8"))
        pages[file.relative_to(folder).as_posix()] = links
    found = []
    for page, links in pages.items():
        repeated = {a for a in links.anchors if links.anchors.count(a) > 1}
        found += [f'{page} has the anchor "{a}" twice.' for a in sorted(repeated)]
        for load in dict.fromkeys(filter(is_remote, links.loads)):
            found.append(f"{page} loads {load} from the web.")
        for target in dict.fromkeys(links.targets):
            if scheme(target) not in (*LINKED, "data"):
                found.append(f"{page} links to {target[:80]}, which is no address.")
                continue
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            if parts.path.startswith("/"):
                found.append(f"{page} links to {target}, which is not relative.")
                continue
            path = posixpath.normpath(
                posixpath.join(posixpath.dirname(page), unquote(parts.path))
                if parts.path
                else page
            )
            if not (folder / path).is_file():
                found.append(f"{page} needs {target}, which is not there.")
            elif parts.fragment and unquote(parts.fragment) not in (
                pages[path].anchors if path in pages else []
            ):
                found.append(f"{page} links to {target}: no such anchor there.")
    return found
