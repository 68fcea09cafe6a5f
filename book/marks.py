"""Marks inside the text of a chapter that nobody may overlook.

A merge conflict leaves lines of its own between those of the text. The lines `#| name:
value` at the head of a code cell are YAML, in which a colon or a bracket turns a
sentence into something else.
"""

from __future__ import annotations

import re

import yaml
from nbformat import NotebookNode

from book.errors import ChapterError

_CONFLICT = re.compile(r"(?:# )?(?:<{7}|\|{7}|>{7})(?: |$)")
_OPTION = re.compile(r"#\s?\| ")
_SENTENCES = ("label", "caption", "alt")


def refuse_conflict(text: str, where: str) -> None:
    """Raises ChapterError, with the line, if `text` holds marks of a merge conflict."""
    for number, line in enumerate(text.splitlines(), 1):
        if _CONFLICT.match(line):
            raise ChapterError(
                f"{where}, line {number}: {line[:24]!r} is a mark of a merge conflict. "
                "Keep one of the two versions there, delete the lines of marks, and "
                "try again."
            )


def check(notebook: NotebookNode, file: str) -> None:
    """Refuse cells that hold marks of a conflict, and `#|` lines that say no sentence.

    Raises:
        ChapterError: there are such; the message names file, cell and line.
    """
    for number, cell in enumerate(notebook.cells, 1):
        where = f"{file}, cell {number}"
        refuse_conflict(cell.source, where)
        if cell.cell_type == "code":
            _check_options(cell.source, where)


def _check_options(source: str, where: str) -> None:
    lines = []
    for line in source.splitlines():
        if _OPTION.match(line):
            lines.append(_OPTION.sub("", line))
        elif line.strip() and not line.startswith("%%"):
            break
    try:
        options = yaml.safe_load("\n".join(lines)) or {}
    except yaml.MarkedYAMLError as error:
        line = lines[error.problem_mark.line] if error.problem_mark else lines[0]
        raise ChapterError(_advice(where, line)) from error
    if not isinstance(options, dict):
        raise ChapterError(_advice(where, lines[0]))
    for name in _SENTENCES:
        if not isinstance(options.get(name, ""), str):
            line = next(line for line in lines if line.startswith(name))
            raise ChapterError(_advice(where, line))


def _advice(where: str, line: str) -> str:
    name, _, value = line.partition(":")
    quoted = value.strip().replace("'", "''")
    return (
        f"{where}: YAML does not read a text in `#| {line}`. Put it between quotation "
        f"marks: `#| {name}: '{quoted}'`."
    )
