"""What scripts of the pages load when first needed: the words of the book, to be
searched, and the places that links lead to, to be previewed.

Both are scripts and not JSON, since pages opened from a folder may load nothing else.
"""

from __future__ import annotations

import json
from html.parser import HTMLParser

from theme.pages import Pages

INLINE = frozenset({"a", "abbr", "code", "em", "span", "strong", "sub", "sup"})
# Not text, or, as the source in the reference of the code, found by its heading.
SKIPPED = frozenset({"anchor", "katex-html", "numbers", "source-fold", "unseen"})


class Sections(HTMLParser):
    """The text of a page by sections, of which each begins with a linked heading."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.sections = [["", title, ""]]  # anchor, heading, text
        self.skipped: list[str] = []
        self.in_heading = self.in_math = False

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        known = dict(attributes)
        names = (known.get("class") or "").split()
        if self.skipped or not SKIPPED.isdisjoint(names):
            if not self.skipped or tag == self.skipped[0]:
                self.skipped.append(tag)
        elif tag in ("h2", "h3") and known.get("id"):
            self.sections.append([known["id"] or "", "", ""])
            self.in_heading = True
        elif tag in ("math", "annotation"):
            # Of a formula, its source counts.
            self.in_math = tag == "math"
        elif tag not in INLINE:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if self.skipped:
            if tag == self.skipped[0]:
                self.skipped.pop()
        elif tag in ("h2", "h3"):
            self.in_heading = False
        elif tag in ("math", "annotation"):
            self.in_math = tag == "annotation"

    def handle_data(self, data: str) -> None:
        if not self.skipped and not self.in_math:
            self.sections[-1][1 if self.in_heading else 2] += data


def search_index(pages: Pages) -> str:
    """A script that sets `bookIndex`: href, page, section and text of each section."""
    rows = []
    for slug in pages.slugs:
        sheet = pages.sheet(slug)
        parser = Sections(sheet.title)
        parser.feed(str(sheet.body))
        for anchor, heading, text in parser.sections:
            href = pages.site.href(f"/{slug}" + (f"#{anchor}" if anchor else ""))
            rows.append([href, sheet.title, _line(heading), _line(text)])
    return _script("bookIndex", rows)


def previews(pages: Pages) -> str:
    """A script that sets `bookPreviews`: HTML by href of all that other pages link to.

    What a page links to on itself needs no copy.
    """
    places = {
        pages.site.href(f"/{slug}" + (f"#{anchor}" if anchor else "")): html
        for slug, page in pages.book.pages.items()
        if page.body
        for anchor, html in page.anchors.items()
    }
    wanted = {href for page in pages.book.pages.values() for href in page.links}
    return _script(
        "bookPreviews", {href: places[href] for href in sorted(wanted & set(places))}
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _script(name: str, value: object) -> str:
    return f"window.{name} = {json.dumps(value, ensure_ascii=False)};\n"
