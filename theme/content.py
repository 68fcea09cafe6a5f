"""The site as mystmd hands it over: configuration, syntax trees, pictures."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import ProxyHandler, build_opener

from theme.errors import BookError
from theme.tree import Node, walk
from theme.urls import linkable

Fetch = Callable[[str], bytes]
"""From a path on mystmd's content server to what lies there."""


def content_server(address: str) -> Fetch:
    """What `myst start` serves. It is on this machine: no proxy is asked for it."""
    opener = build_opener(ProxyHandler({}))

    def fetch(path: str) -> bytes:
        with opener.open(address + quote(unquote(path)), timeout=30) as response:
            return response.read()

    return fetch


def content_folder(site: Path) -> Fetch:
    """The same from the folder that `myst build --site` writes."""

    def fetch(path: str) -> bytes:
        inside = path == "/config.json" or path.startswith("/content/")
        place = site if inside else site / "public"
        return (place / unquote(path).lstrip("/")).read_bytes()

    return fetch


def is_address(slug: str) -> bool:
    return slug != "" and not slug.startswith("-")


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
    def project(self) -> Node:
        return self.config["projects"][0]

    @cached_property
    def listed(self) -> dict[str, str]:
        """Title by slug of the pages in the table of contents."""
        project = self.project
        first = {"slug": project["index"], "title": project.get("title", "Book")}
        pages = [first, *(page for page in project["pages"] if "slug" in page)]
        return {page["slug"]: page["title"] for page in pages}

    @cached_property
    def pages(self) -> dict[str, Node]:
        """Slug to page, in reading order, of those that can be read and linked to.

        mystmd makes an address of the Latin letters in the name of a file, and where
        there are none, of nothing.
        """
        read = {slug: self.read(slug) for slug in self.listed if is_address(slug)}
        return {slug: page for slug, page in read.items() if page is not None}

    def read(self, slug: str) -> Node | None:
        """A page; None where mystmd could not read it."""
        try:
            return json.loads(self.fetch(f"/content/{slug}.json"))
        except (FileNotFoundError, HTTPError):
            return None

    @cached_property
    def slugs(self) -> list[str]:
        if not self.pages:
            raise BookError("mystmd could read no page of the book.")
        return list(self.pages)

    @cached_property
    def titles(self) -> dict[str, str]:
        """Title by slug of what authors wrote; a page without one has its file's."""
        return {
            slug: page["frontmatter"].get("title") or self.listed[slug]
            for slug, page in self.pages.items()
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
        """The link to write for an address found in a tree.

        Raises:
            BookError: the book has no such page; or a link may not lead there.
        """
        parts = urlsplit(linkable(url))
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

    def target(self, node: Node) -> str:
        """The link to write for a node of a text that leads to its `url`.

        Raises:
            BookError: there is no such page, nor a file that mystmd has found.
        """
        url = node["url"]
        parts = urlsplit(url)
        is_page = url.startswith("/") and not posixpath.splitext(parts.path)[1]
        if not (is_page or parts.scheme or parts.netloc or node.get("static")):
            raise BookError(
                f"A link leads to {url}, where there is no page of the book and no "
                "file. Correct its name, which begins at the folder of this text."
            )
        return self.href(url)

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
        """Take a file of the project along; the link to it in the book."""
        place = file.relative_to(self.root).as_posix()
        self.taken[place] = file
        return quote(place)

    def file(self, path: str) -> str:
        """Take a file of the content server along; the link to it in the book."""
        place = "files/" + posixpath.basename(unquote(path))
        return quote(self.files.setdefault(path, place))
