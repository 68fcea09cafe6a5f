"""Highlighted source. The palette is in book.css, by the one-letter classes below."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

from theme.errors import BookError
from theme.html import element, joined
from theme.lines import UNBROKEN

SAME_AS = {
    "ipython3": "python",
    "ipython": "python",
    "": "text",
    "default": "text",
    "none": "text",
}
# Only what has a colour is marked: with all of Pygments' tokens, code would be half the
# weight of a page.
CLASSES = {
    Keyword: "k",
    Operator.Word: "k",
    String: "s",
    Number: "m",
    Name.Function: "f",
    Name.Class: "f",
    Name.Decorator: "f",
    Comment: "c",
}


def highlighted(
    source: str,
    language: str = "text",
    *,
    number_from: int | None = None,
    emphasised: frozenset[int] = frozenset(),
) -> Markup:
    """Source as `<pre>`, with line numbers if `number_from` says where they begin.

    `emphasised` counts lines from 1 whatever the first number is.

    Raises:
        BookError: Pygments knows no such language; there is no such line to emphasise.
    """
    try:
        lexer = get_lexer_by_name(SAME_AS.get(language, language), stripnl=False)
    except ClassNotFound as error:
        raise BookError(
            f'A code block is marked as "{language}", which Pygments cannot highlight. '
            'Name a language from its list, or "text".'
        ) from error
    marked = Markup("").join(_marks(lexer.get_tokens(source.strip("\n"))))
    lines = marked.rstrip("\n").split("\n")
    for number in emphasised:
        if number > len(lines):
            raise BookError(
                f"A code block emphasises line {number}, and has {len(lines)}. Count "
                "the lines that are shown, from 1."
            )
        lines[number - 1] = Markup('<span class="emphasised">{}</span>').format(
            lines[number - 1]
        )
    code = Markup("<code>{}</code>").format(Markup("\n").join(lines))
    if number_from is None:
        return Markup('<pre class="code">{}</pre>').format(code)
    # Beside the code and not in it, so that lines need no marks and copies no cleaning.
    numbers = "\n".join(str(number_from + i) for i in range(len(lines)))
    return Markup(
        '<pre class="code numbered"><span class="numbers" aria-hidden="true">{}</span>'
        "{}</pre>"
    ).format(numbers, code)


def inline(value: str, href: str | None) -> Markup:
    """Code in a text, and a link to where it is explained, if that is known."""
    code = element("code", joined(map(_word, value.split(" ")), " "))
    return element("a", code, href=href, class_="explained") if href else code


def _word(word: str) -> Markup:
    """Of code: whole on its line, if it is short and a browser might break it."""
    breaks = "-" in word and len(word) <= UNBROKEN
    return element("span", word, class_="unbroken") if breaks else escape(word)


def _marks(tokens: Iterable[tuple[_TokenType, str]]) -> Iterable[Markup]:
    """Tokens as HTML, one mark for neighbours of one class, none across a line end."""
    mark, text = "", ""
    for token, value in tokens:
        kind = next((name for part, name in CLASSES.items() if token in part), "")
        for piece in value.splitlines(keepends=True):
            if kind != mark or text.endswith("\n"):
                yield _marked(mark, text)
                mark, text = kind, ""
            text += piece
    yield _marked(mark, text)


def _marked(mark: str, text: str) -> Markup:
    if not mark:
        return escape(text)
    line = text.removesuffix("\n")
    return Markup('<span class="{}">{}</span>{}').format(mark, line, text[len(line) :])
