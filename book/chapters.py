"""Chapters as files: bring their pairs together, execute them, try them out.

python -m book.chapters check   [CHAPTER ...]
python -m book.chapters sync    [CHAPTER ...] [--from py|ipynb]
python -m book.chapters execute [CHAPTER ...]
python -m book.chapters run     [CHAPTER ...] [--profile P] [--seed S] [--device D]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

from book.errors import ChapterError
from book.pairs import ROOT, refuse_behind, sync
from book.runs import CHAPTERS, RUNS, each, execute, run
from labkit import device
from labkit.experiments.profiles import PROFILES
from labkit.files import NotWrittenError

_SUFFIXES = {".py", ".ipynb"}
_SEEDS = range(2**32)


def find(names: list[str], folder: Path = CHAPTERS) -> list[Path]:
    """The notebooks of the chapters so named, in the order of the book; all for none.

    A chapter goes by its file name, its number or its title: 02_prototypical, 02 or
    prototypical. The notebook of a chapter that is only a script need not exist yet.

    Raises:
        ChapterError: no chapter has that name.
    """
    known = sorted(
        {path.stem for path in folder.glob("[0-9]*_*") if path.suffix in _SUFFIXES}
    )
    asked = {_composed(name) for name in names}
    for name in names:
        if not any(_composed(name) in _names(stem) for stem in known):
            raise ChapterError(
                f"There is no chapter {name!r}. The chapters are: {', '.join(known)}."
            )
    chosen = [stem for stem in known if not names or _names(stem) & asked]
    return [folder / f"{stem}.ipynb" for stem in chosen]


def _names(stem: str) -> set[str]:
    number, _, title = stem.partition("_")
    return {_composed(stem), number, _composed(title)}


def _composed(name: str) -> str:
    """é may be one character or two: macOS stores the other than keyboards type."""
    return normalize("NFC", name)


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command line; the exit status is 0 only if every chapter passed."""
    options = _parse(arguments)
    try:
        chapters = find(options.chapters)
        if options.command == "check":
            return _past_refusals(chapters, refuse_behind)
        if options.command == "sync":
            return _sync(chapters, options.source)
        if options.command == "execute":
            return _sync(chapters) or each(chapters, execute)
        parameters = _parameters(options)
        _prepare(RUNS)
        print(f"The executed notebooks go to {RUNS.relative_to(ROOT)}.")
        return each(chapters, lambda path: run(path, parameters))
    except ChapterError as error:
        print(error, file=sys.stderr)
        return 2


def _sync(chapters: list[Path], source: str | None = None) -> int:
    return _past_refusals(
        chapters, lambda path: print(f"{path.stem}: {sync(path, source)}")
    )


def _past_refusals(chapters: list[Path], action: Callable[[Path], None]) -> int:
    """Do it with every chapter, past those that are refused; the exit status."""
    status = 0
    for path in chapters:
        try:
            action(path)
        except (ChapterError, NotWrittenError) as error:
            print(error, file=sys.stderr)
            status = 2
    return status


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ChapterError(
            f"Executed notebooks go to {folder}, which cannot be written "
            f"({error.strerror}). Work in a copy of the project that you can write."
        ) from error


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m book.chapters")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("check", "name each .ipynb that does not hold the text of its .py"),
        ("sync", "bring each .py and .ipynb to the same text"),
        ("execute", "sync, then compute the committed outputs afresh"),
        ("run", "execute copies under other parameters, into _build/runs"),
    ):
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("chapters", nargs="*", metavar="CHAPTER")
        if name == "sync":
            command.add_argument("--from", dest="source", choices=["py", "ipynb"])
        if name == "run":
            command.add_argument("--profile", default="book")
            command.add_argument("--seed", default=0, type=int)
            command.add_argument("--device", default="auto")
    return parser.parse_args(arguments)


def _parameters(options: argparse.Namespace) -> dict[str, object]:
    """What the command line sets, checked before the first chapter starts."""
    if options.profile not in PROFILES:
        raise ChapterError(
            f"There is no profile {options.profile!r}. "
            f"The profiles are: {', '.join(PROFILES)}."
        )
    if options.seed not in _SEEDS:
        raise ChapterError(
            f"seed={options.seed} is out of range: 0 to {_SEEDS.stop - 1} are seeds."
        )
    try:
        device.choose(options.device)
    except ValueError as error:
        raise ChapterError(str(error)) from error
    return {
        "profile": options.profile,
        "seed": options.seed,
        "device": options.device,
    }


if __name__ == "__main__":
    sys.exit(main())
