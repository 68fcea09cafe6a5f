"""The file of answers: a line of JSON for each, written as soon as it is there.

A line holds the prompt, the right answer and the answer given, for a reader to look at.
Lines are appended, and none is ever changed, so a crash costs one line at most. That is
why the file is not replaced whole: of a thousand answers, each would be written five
hundred times.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from labkit.language_models.errors import LanguageModelError
from labkit.language_models.prompts import Answer

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]

START = b'{"id": '
"""How a line of answers begins."""


@dataclass(frozen=True)
class Line:
    """An answer with all that a reader needs to judge it.

    Attributes:
        id: the same for the same prompt to the same model with the same settings.
        limit: in tokens, on the answer's length.
    """

    id: str
    model: dict[str, Any]
    prompt: str | list[dict[str, str]]
    query: str
    right: str
    answer: str
    cut_off: str
    limit: int


def identity(settings: dict[str, Any], prompt: str | list[dict[str, str]]) -> str:
    """What an answer is found by. How long, or how often, to wait is no part of it."""
    text = json.dumps([settings, prompt], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Answers:
    """The answers in a file, by their identity.

    Raises:
        LanguageModelError: no such folder, or a file that is not one of answers.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()
        self._lines: dict[str, Line] = {}
        if not self.path.parent.is_dir():
            raise LanguageModelError(
                f"There is no folder {self.path.parent} to keep answers in."
            )
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise LanguageModelError(
                f"{self.path} cannot be read ({error.strerror}). Name another file."
            ) from None
        self._torn = content != b"" and not content.endswith(b"\n")
        for number, line in enumerate(content.split(b"\n"), 1):
            try:
                kept = _read(line)
            except (ValueError, TypeError, RecursionError):
                raise LanguageModelError(
                    f"Line {number} of {self.path.name} is not an answer that `ask` "
                    "wrote. Name another file; this one was left as it is."
                ) from None
            if kept is not None:
                self._keep(kept)

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, id: str, limit: int, *, count_cut_off: bool) -> Answer | None:
        """The answer to that prompt; None where it is to be asked for.

        One that was cut off for its length is asked for again when more tokens are
        allowed than then, and one that ended for another reason if it is not to count.
        """
        line = self._lines.get(id)
        if line is None or (line.cut_off == "length" and limit > line.limit):
            return None
        if line.cut_off not in ("", "length") and not count_cut_off:
            return None
        return Answer(line.answer, line.cut_off)

    @contextmanager
    def writing(self) -> Iterator[Callable[[Line], None]]:
        """What adds a line. That the file can be written, and that no other process
        writes it, is found out here, before anything is paid for.

        Raises:
            LanguageModelError: it cannot, or another does; and, from the call, the
                disk is full.
        """
        try:
            file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise LanguageModelError(
                f"Answers cannot be kept in {self.path} ({error.strerror}), so nothing "
                "was asked. Name a file in a folder of yours."
            ) from None
        with file:
            try:
                if flock is not None:
                    flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise LanguageModelError(
                    f"Another process is adding answers to {self.path.name}, perhaps "
                    "the same ones. Wait until it is done, or name another file."
                ) from None
            yield partial(self._add, file)

    def _add(self, file: FileIO, line: Line) -> None:
        """Write the line, now and for good."""
        text = json.dumps(asdict(line), ensure_ascii=False) + "\n"
        data = b"\n" * self._torn + text.encode("utf-8", "backslashreplace")
        before = file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            raise LanguageModelError(
                f"The answer to {line.query!r} came, and could not be written to "
                f"{self.path.name} ({error.strerror}): {line.answer!r}. Make room on "
                "that disk."
            ) from None
        self._torn = False
        self._keep(line)

    def _keep(self, line: Line) -> None:
        earlier = self._lines.get(line.id)
        if earlier is None or earlier.cut_off:
            self._lines[line.id] = line


def _read(line: bytes) -> Line | None:
    """The answer in a line; None if it is empty, or a crash left its beginning only.

    Raises:
        ValueError, TypeError: it is neither.
    """
    line = line.rstrip()
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except ValueError:
        if START[: len(line)] == line[: len(START)]:
            return None
        raise
    found = Line(**fields)
    texts = (found.id, found.query, found.right, found.answer, found.cut_off)
    if not all(isinstance(text, str) for text in texts) or type(found.limit) is not int:
        raise ValueError
    return found
