"""The site as mystmd serves it: configuration, syntax trees, pictures."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from theme.errors import BookError

Node = dict[str, Any]
"""A node of MyST's syntax tree: `type`, mostly `children` or `value`, and options."""

Fetch = Callable[[str], bytes]
"""From a path on mystmd's content server to what lies there."""


def content_server(address: str) -> Fetch:
    def fetch(path: str) -> bytes:
        with urlopen(address + path, timeout=30) as response:
            return response.read()

    return fetch


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text."""
    yield node
    for child in node.get("children", ()):
        yield from walk(child)


def words(node: Node) -> str:
    """The text of a node without its marks; of mathematics, the source."""
    return "".join(part.get("value", "") for part in walk(node))


@dataclass
class Site:
    """The pages of the book in reading order, and the files they use.

    Addresses in the trees begin at the root of the site: `/objective#eq-one` is an
    anchor on a page, `/loss-1f2e.png` a file. Pages lie side by side in one folder and
    files below it, so that every link is relative and the book opens from anywhere.
    """

    fetch: Fetch
    root: Path = Path()
    """The folder of the project: where locations of pages begin."""
    made: dict[str, str] = field(default_factory=dict)
    """Title by slug of the pages that no author wrote, such as the bibliography."""
    names: dict[str, str] = field(default_factory=dict)
    """Where the reference of the code explains a name."""
    files: dict[str, str] = field(default_factory=dict)
    """Where each file that a page uses goes: content server path to book path."""
    taken: dict[str, Path] = field(default_factory=dict)
    """Files of the project that go along with the book, by their path in it."""

    @cached_property
    def config(self) -> Node:
        return json.loads(self.fetch("/config.json"))

    @cached_property
    def slugs(self) -> list[str]:
        project = self.config["projects"][0]
        pages = [page["slug"] for page in project["pages"] if "slug" in page]
        return [project["index"], *pages]

    @cached_property
    def pages(self) -> dict[str, Node]:
        """Slug to page, in reading order."""
        return {
            slug: json.loads(self.fetch(f"/content/{slug}.json")) for slug in self.slugs
        }

    @cached_property
    def alternatives(self) -> dict[str, str]:
        """The text for who cannot see a cell's pictures, by the id of its outputs.

        It is written in the cell, as `#| alt: …`, and a figure may show the outputs
        somewhere else, even on another page.
        """
        return {
            outputs["id"]: block["data"]["alt"]
            for page in self.pages.values()
            for block in walk(page["mdast"])
            if "alt" in (block.get("data") or {})
            for outputs in walk(block)
            if outputs["type"] == "outputs"
        }

    def href(self, url: str) -> str:
        """The link to write for an address found in a tree."""
        parts = urlsplit(url)
        if parts.scheme or parts.netloc or not parts.path.startswith("/"):
            return url
        path, anchor = parts.path, f"#{parts.fragment}" if parts.fragment else ""
        slug = path.strip("/")
        if path == "/" or slug == self.slugs[0]:
            return "index.html" + anchor
        if slug in self.slugs or slug in self.made:
            return f"{slug}.html{anchor}"
        if not posixpath.splitext(path)[1]:
            raise BookError(f"A link leads to {url}, and the book has no such page.")
        return self.file(path) + anchor

    def explanation(self, code: str) -> str | None:
        """Where the reference explains a piece of code in a text: its href, if any.

        A name on its own must look like one, a call or with a capital, an underscore or
        a dot in it, lest every `loss` become a link.
        """
        name = re.match(r"[A-Za-z_][\w.]*", code)
        if not name or not re.search(r"[A-Z_.(]", code):
            return None
        parts = name[0].split(".")  # of Episode.support_x, Episode is explained
        known = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((self.names[path] for path in known if path in self.names), None)

    def take(self, file: Path) -> str:
        """Take a file of the project along; where it will lie in the book."""
        place = file.relative_to(self.root).as_posix()
        self.taken[place] = file
        return place

    def file(self, path: str) -> str:
        """Take a file of the content server into the book; where it will lie there."""
        return self.files.setdefault(path, "files/" + posixpath.basename(path))
