"""Highlighted source. The palette is in book.css, by Pygments' short class names."""

from __future__ import annotations

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from theme.errors import BookError

SAME_AS = {"ipython3": "python", "ipython": "python", "": "text", "default": "text"}


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
        BookError: Pygments knows no such language.
    """
    try:
        lexer = get_lexer_by_name(SAME_AS.get(language, language), stripnl=False)
    except ClassNotFound as error:
        raise BookError(
            f'A code block is marked as "{language}", which Pygments cannot highlight. '
            'Name a language from its list, or "text".'
        ) from error
    tokens = highlight(source.strip("\n"), lexer, HtmlFormatter(nowrap=True))
    lines = tokens.rstrip("\n").split("\n")
    if number_from is None and not emphasised:
        return Markup('<pre class="code"><code>{}</code></pre>').format(
            Markup("\n".join(lines))
        )
    # Pygments closes its tags at the end of each line, so lines can be wrapped.
    rows = Markup("").join(
        Markup('<span class="{}">{}\n</span>').format(
            "line emphasised" if number in emphasised else "line", Markup(line)
        )
        for number, line in enumerate(lines, start=1)
    )
    if number_from is None:
        return Markup('<pre class="code"><code>{}</code></pre>').format(rows)
    return Markup(
        '<pre class="code numbered" style="--first-line: {}"><code>{}</code></pre>'
    ).format(number_from, rows)
