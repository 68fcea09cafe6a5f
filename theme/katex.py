"""Mathematics. mystmd has run KaTeX, which is made for every formula there is; of its
HTML, its style sheet and its fonts, pages get what the formulas of the book use."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from html import unescape
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from markupsafe import Markup

from theme.errors import BookError
from theme.programs import tool

# It finds the dates in KaTeX's fonts too early.
logging.getLogger("fontTools").setLevel(logging.ERROR)

KATEX = Path(__file__).parent / "node_modules" / "katex"
# By these KaTeX spaces the parts of a formula; no rule of its style sheet knows them.
ATOMS = frozenset(
    ["mord", "mop", "mbin", "mrel", "mopen", "mclose", "mpunct", "minner", "mtight"]
)
# What KaTeX writes into more marks than anything else; here each is a class, "i0" on.
COMMON_STYLES = (
    "height:2.7em",
    "margin-right:0.2778em",
    "margin-right:0.2222em",
    "height:3em",
    "margin-right:0.1667em",
    "height:0.15em",
    "height:1em;vertical-align:-0.25em",
    "top:-3.063em;margin-right:0.05em",
    "top:-2.55em;margin-right:0.05em",
    "margin-right:0.02778em",
    "margin-right:0.03588em",
    "height:0.4306em",
)
TYPESET = """
const { renderToString } = require(process.argv[1]);
const displayMode = JSON.parse(process.argv[2]);
const latex = require("fs").readFileSync(0, "utf8");
try {
  process.stdout.write(renderToString(latex, { displayMode }));
} catch (error) {
  process.stdout.write(error.message);
  process.exitCode = 1;
}
"""
Face = frozenset[str]
"""A family, and how it differs from regular: `{"KaTeX_Main", "font-weight:700"}`."""


@cache
def typeset(latex: str, *, displayed: bool = True) -> Markup:
    """A formula of an output, of which mystmd has only the source.

    Raises:
        BookError: KaTeX cannot read it.
    """
    for left, right in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if latex.strip().startswith(left) and latex.strip().endswith(right):
            latex = latex.strip()[len(left) : -len(right)]
            break
    run = subprocess.run(
        [tool("node"), "-e", TYPESET, str(KATEX), json.dumps(displayed)],
        input=latex,
        capture_output=True,
        encoding="utf-8",
    )
    if run.returncode:
        raise BookError(
            f"KaTeX cannot read the formula of an output: {run.stdout or run.stderr}. "
            "Let the cell display a picture, a table, HTML or text."
        )
    return formula(run.stdout)


def formula(html: str) -> Markup:
    """A formula without the marks that change nothing, a sixth of its page's weight."""

    def styled(match: re.Match[str]) -> str:
        names = " ".join(name for name in match[1].split() if name not in ATOMS)
        return f' class="{names}"' if names else ""

    html = re.sub(r' (?:xmlns|encoding)="[^"]*"|margin-left:0em;', "", html)
    html = re.sub(r' class="([^"]*)"', styled, html)
    html = re.sub(r'(style="[^"]*);"', r'\1"', html)
    for i, style in enumerate(COMMON_STYLES):
        written = re.escape(f' style="{style}"')
        html = re.sub(f'(class="[^"]*)"{written}', rf'\1 i{i}"', html)
        html = re.sub(written, f' class="i{i}"', html)
    return Markup(re.sub(r"<span>([^<]+)</span>", r"\1", html))


def style_sheet(pages: Iterable[str] | None = None) -> str:
    """KaTeX's, whole or for these pages. The fonts are in it: they come with the
    rules, and no formula moves its line by getting its font late."""
    rules = re.findall(
        r"([^{}]+)\{([^{}]*)\}", (KATEX / "dist" / "katex.min.css").read_text("utf-8")
    )
    letters: dict[Face, set[str]] | None = None
    if pages is not None:
        rules, letters = _used(rules, _spans("".join(pages)))
    rules += [(f".katex .i{i}", style) for i, style in enumerate(COMMON_STYLES)]
    return "".join(
        f"{selectors}{{{_embedded(body, letters)}}}" for selectors, body in rules
    )


def _spans(pages: str) -> list[tuple[set[str], set[str]]]:
    """Of what is drawn of formulas: the classes of a mark, the letters following it."""
    found = set()
    for formula in re.finditer('<span class="katex-html" aria-hidden="true">', pages):
        depth = 1
        marks = re.compile(r'<(/?)span(?: class="([^"]*)")?[^>]*>([^<]*)')
        for mark in marks.finditer(pages, formula.end()):
            depth += -1 if mark[1] else 1
            if not depth:
                break
            found.add((mark[2] or "", mark[3]))
    return [(set(names.split()), set(unescape(text))) for names, text in found]


def _used(
    rules: list[tuple[str, str]], spans: list[tuple[set[str], set[str]]]
) -> tuple[list[tuple[str, str]], dict[Face, set[str]]]:
    """The rules that apply to something, and the letters set in each face."""
    known = {"katex", "katex-display", "katex-html", "katex-mathml"}
    known = known.union(*(names for names, _ in spans))
    letters: dict[Face, set[str]] = {}
    kept = []
    for selectors, body in rules:
        selected = [s for s in selectors.split(",") if _classes(s) <= known]
        if not selected or selectors == "@font-face":
            continue
        kept.append((selectors, body))
        for last in (re.split("[ >]", selector)[-1] for selector in selected):
            own = _classes(last) - {"katex"}
            texts = [text for names, text in spans if own <= names]
            letters.setdefault(_face(body), set()).update(*texts)
    faces = [
        (selectors, body)
        for selectors, body in rules
        if selectors == "@font-face" and _face(body) in letters
    ]
    return faces + kept, letters


def _classes(selector: str) -> set[str]:
    """Those that something must have for a selector to apply to it."""
    return set(re.findall(r"(?<!:not\()\.([a-z][\w-]*)", selector))


def _face(body: str) -> Face:
    """What a rule selects, or a font is; KaTeX_Main where nothing else is said."""
    named = re.findall(r"font-family:\"?(KaTeX_\w+)", body) or ["KaTeX_Main"]
    return frozenset(named + re.findall("font-weight:700|font-style:italic", body))


def _embedded(body: str, letters: dict[Face, set[str]] | None) -> str:
    """The body of a rule, with the font that it names, if any, in the place of it."""
    name = re.search(r"url\(fonts/(\w+-\w+)\.woff2\)", body)
    if not name:
        return body
    # Without the date of today: the same formulas give the same bytes.
    file = KATEX / "dist" / "fonts" / f"{name[1]}.ttf"
    font = TTFont(file, recalcTimestamp=False)
    if letters is not None:
        # No hints, names and features: symbols stand alone, and are placed by rules.
        wanted = Options(hinting=False, layout_features=[], name_IDs=[])
        cut = Subsetter(wanted)
        cut.populate(unicodes=map(ord, letters[_face(body)]))
        cut.subset(font)
    font.flavor = "woff2"
    written = io.BytesIO()
    font.save(written)
    data = b64encode(written.getvalue()).decode()
    return re.sub("src:.*", f'src:url("data:font/woff2;base64,{data}")', body)
