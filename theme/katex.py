"""Mathematics. mystmd has run KaTeX, which is made for every formula there is; of its
HTML, its style sheet and its fonts, pages get what the formulas of the book use."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from markupsafe import Markup

# It finds the dates in KaTeX's fonts too early.
logging.getLogger("fontTools").setLevel(logging.ERROR)

KATEX = Path(__file__).parent / "node_modules" / "katex"
# By these KaTeX spaces the parts of a formula; no rule of its style sheet knows them.
ATOMS = frozenset(
    ["mord", "mop", "mbin", "mrel", "mopen", "mclose", "mpunct", "minner", "mtight"]
)


def formula(html: str) -> Markup:
    """A formula without the marks that change nothing, which are a tenth of a page."""

    def styled(match: re.Match[str]) -> str:
        names = " ".join(name for name in match[1].split() if name not in ATOMS)
        return f' class="{names}"' if names else ""

    html = html.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    html = re.sub(r' class="([^"]*)"', styled, html)
    html = re.sub(r'(style="[^"]*);"', r'\1"', html)
    return Markup(re.sub(r"<span>([^<]+)</span>", r"\1", html))


def assets(pages: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Name and content of style sheet, fonts and licence: whole, or for these pages."""
    style = (KATEX / "dist" / "katex.min.css").read_text("utf-8")
    # One format of fonts, which takes no compressor that Python has not.
    style = re.sub(r"src:[^}]*(url\(\S+woff\))[^}]*", r"src:\1", style)
    letters: dict[str, set[str]] | None = None
    if pages is not None:
        style, letters = _used(style, "".join(pages))
    yield "katex.css", style.encode()
    for name in re.findall(r"url\(fonts/(\w+-\w+)\.woff\)", style):
        wanted = letters[name.partition("-")[0]] if letters is not None else None
        yield f"fonts/{name}.woff", _font(name, wanted)
    yield "LICENSE", (KATEX / "LICENSE").read_bytes()


def _used(style: str, pages: str) -> tuple[str, dict[str, set[str]]]:
    """The rules that apply to something, and the letters that each family sets."""
    marked = set(re.findall(r'<span class="([^"]*)"[^>]*>([^<]*)', pages))
    spans = [(set(names.split()), set(unescape(text))) for names, text in marked]
    known = set().union(*(names for names, _ in spans))
    anything = set(unescape(re.sub(r"<[^>]*>", "", pages)))
    letters = {"KaTeX_Main": anything}  # the family of all that no rule gives another
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", style)
    kept = []
    for selectors, body in rules:
        selected = [s for s in selectors.split(",") if _classes(s) <= known]
        if not selected or selectors == "@font-face":
            continue
        kept.append(f"{selectors}{{{body}}}")
        for family in re.findall(r"font-family:(KaTeX_\w+)", body):
            for last in (re.split("[ >]", selector)[-1] for selector in selected):
                own = _classes(last)
                texts = [text for names, text in spans if own and own <= names]
                letters.setdefault(family, set()).update(*texts or [anything])
    faces = [
        f"@font-face{{{body}}}"
        for selectors, body in rules
        if selectors == "@font-face" and any(f"{f}-" in body for f in letters)
    ]
    return "".join(faces + kept), letters


def _classes(selector: str) -> set[str]:
    return set(re.findall(r"\.([a-z][\w-]*)", selector))


def _font(name: str, letters: set[str] | None) -> bytes:
    font = TTFont(KATEX / "dist" / "fonts" / f"{name}.ttf")
    if letters is not None:
        cut = Subsetter(Options(hinting=False, layout_features=["*"]))
        cut.populate(unicodes=map(ord, letters))
        cut.subset(font)
    font.flavor = "woff"
    written = io.BytesIO()
    font.save(written)
    return written.getvalue()
