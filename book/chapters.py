"""Chapters as files: bring their pairs together, execute them, try them out.

python -m book.chapters sync    [CHAPTER ...] [--from py|ipynb]
python -m book.chapters execute [CHAPTER ...]
python -m book.chapters run     [CHAPTER ...] [--profile P] [--seed S] [--device D]

A chapter is one document in two files: the text is `NN_name.py`, and `NN_name.ipynb`
is that text with its outputs. Whatever of the notebook is not text or output (cell
identifiers, metadata) follows from the text alone, so that two people who hold the
same script make the same notebook.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import papermill
from jupytext.config import load_jupytext_config
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from book.kernels import AsyncFileKernelManager
from labkit import device
from labkit.experiments.profiles import PROFILES

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
RUNS = ROOT / "_build" / "runs"
KERNEL = "python3"


class ChapterError(Exception):
    """Something the person at the keyboard can put right; the message says how."""


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
    for name in names:
        if not any(name in _names(stem) for stem in known):
            raise ChapterError(
                f"There is no chapter {name!r}. The chapters are: {', '.join(known)}."
            )
    chosen = [s for s in known if not names or _names(s) & set(names)]
    return [folder / f"{stem}.ipynb" for stem in chosen]


_SUFFIXES = {".py", ".ipynb"}


def _names(stem: str) -> set[str]:
    number, _, title = stem.partition("_")
    return {stem, number, title}


# ------------------------------------------------------------------ the two files


def script_of(notebook: NotebookNode) -> str:
    """The text of a notebook as jupytext writes it under the project's settings."""
    percent = {"extension": ".py", "format_name": "percent"}
    load_jupytext_config(str(ROOT)).set_default_format_options(percent)
    return jupytext.writes(notebook, fmt=percent)


def sync(path: Path, source: str | None = None) -> str:
    """Bring the two files of a chapter to one text; say in a few words what was done.

    The script gives the text, unless `source` is "ipynb". A code cell keeps its outputs
    exactly when its text is the same as before.

    Raises:
        ChapterError: the texts differ, the notebook was changed last, and `source` does
            not say which of the two to take.
    """
    script = path.with_suffix(".py")
    stored = nbformat.read(path, as_version=4) if path.exists() else None
    if source is None:
        source = _choose_source(script, path, stored)
    if source == "ipynb":
        if stored is None:
            raise ChapterError(f"{path.name} does not exist: there is no text to take.")
        notebook = stored
    else:
        if not script.exists():
            raise ChapterError(
                f"{script.name} does not exist: there is no text to take."
            )
        notebook = jupytext.read(script, fmt="py:percent")
        _take_outputs(notebook, stored)
    normalise(notebook, path.stem)
    changed = [
        file.name
        for file, text in (
            (script, script_of(notebook)),
            (path, nbformat.writes(notebook) + "\n"),
        )
        if _write(file, text)
    ]
    waiting = sum(
        cell.cell_type == "code" and cell.execution_count is None
        for cell in notebook.cells
    )
    done = f"wrote {' and '.join(changed)}" if changed else "in step"
    return f"{done}; {waiting} cells to execute" if waiting else done


def _choose_source(script: Path, path: Path, stored: NotebookNode | None) -> str:
    if stored is None or not script.exists():
        return "py" if stored is None else "ipynb"
    # File times mean nothing in a fresh clone, so they count only where texts differ.
    if script.read_text(encoding="utf-8") == script_of(stored):
        return "py"
    if path.stat().st_mtime > script.stat().st_mtime:
        raise ChapterError(
            f"{path.name} and {script.name} hold different text, and the notebook was "
            f"changed last. To take the notebook's text: make sync CHAPTER={path.stem} "
            f"FROM=ipynb. To take the script's: make sync CHAPTER={path.stem} FROM=py."
        )
    return "py"


def _take_outputs(notebook: NotebookNode, stored: NotebookNode | None) -> None:
    """Give each code cell the outputs that the same text had before, in order."""
    before = defaultdict(list)
    for cell in stored.cells if stored else []:
        if cell.cell_type == "code":
            before[cell.source].append(cell)
    for cell in notebook.cells:
        if cell.cell_type == "code" and before[cell.source]:
            match = before[cell.source].pop(0)
            cell.outputs = match.outputs
            cell.execution_count = match.execution_count


def normalise(notebook: NotebookNode, name: str) -> None:
    """Leave nothing in a notebook that differs between people, machines or days.

    Cells are identified by the chapter's name and their text: the ids of a book must
    differ, and chapters begin with the same parameters cell.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = NotebookNode(
        kernelspec={
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": KERNEL,
        },
        language_info={"name": "python"},
    )
    seen: dict[str, int] = defaultdict(int)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
        text = f"{name}\n{cell.cell_type}\n{cell.source}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        seen[digest] += 1
        cell.id = digest[:12] + (f"-{seen[digest]}" if seen[digest] > 1 else "")


def _write(file: Path, text: str) -> bool:
    """Write a file if that changes it; whether it did."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    file.write_text(text, encoding="utf-8", newline="\n")
    return True


# ------------------------------------------------------------------ execution


@dataclass(frozen=True)
class Run:
    """How the execution of one chapter went."""

    chapter: str
    seconds: float
    failure: str = ""


def run(
    path: Path,
    parameters: dict[str, object],
    *,
    output_folder: Path = RUNS,
    working_directory: Path = CHAPTERS,
) -> Run:
    """Execute a copy of a chapter under other parameters; the chapter is untouched."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    output_folder.mkdir(parents=True, exist_ok=True)
    failure = ""
    start = time.perf_counter()
    try:
        papermill.execute_notebook(
            path,
            output_folder / path.name,
            parameters=parameters,
            cwd=working_directory,
            kernel_name=KERNEL,
            progress_bar={"desc": path.stem, "leave": False},
            coalesce_streams=True,
            record_timing=False,
            kernel_manager_class=AsyncFileKernelManager,
            # Kernels warn on stderr that local connections are not encrypted.
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        failure = f"{error.ename} in cell [{error.exec_count}]: {error.evalue}"
    except DeadKernelError as error:
        failure = str(error)
    return Run(path.stem, time.perf_counter() - start, failure)


def execute(path: Path, *, output_folder: Path = RUNS) -> Run:
    """Compute a chapter's committed outputs afresh, in place; untouched if it fails."""
    # What matplotlib and sets would otherwise take from the clock and from chance.
    os.environ.update(SOURCE_DATE_EPOCH="0", PYTHONHASHSEED="0")
    outcome = run(path, {}, output_folder=output_folder, working_directory=path.parent)
    if not outcome.failure:
        notebook = nbformat.read(output_folder / path.name, as_version=4)
        normalise(notebook, path.stem)
        _write(path, nbformat.writes(notebook) + "\n")
    return outcome


def each(chapters: list[Path], action: Callable[[Path], Run]) -> int:
    """Do one after the other, past failures, and end on a table of all that was done.

    Returns:
        The exit status: 0 if all passed, 1 if one failed, 130 if interrupted.
    """
    runs = []
    status = 0
    try:
        for number, path in enumerate(chapters, 1):
            print(f"[{number}/{len(chapters)}] {path.stem}", flush=True)
            runs.append(action(path))
    except KeyboardInterrupt:
        print("Interrupted; what had finished:", file=sys.stderr)
        status = 130
    print(report(runs))
    return status or int(any(one.failure for one in runs))


def report(runs: list[Run]) -> str:
    """A table of the time and result of each chapter."""
    width = max((len(one.chapter) for one in runs), default=7)
    lines = [f"{'chapter':{width}}  {'time':>8}  result"]
    for one in runs:
        result = f"FAILED {one.failure}" if one.failure else "passed"
        lines.append(f"{one.chapter:{width}}  {one.seconds:6.1f} s  {result}")
    return "\n".join(lines)


# ------------------------------------------------------------------ commands


def main(arguments: list[str] | None = None) -> int:
    """Carry out a command line; the exit status is 0 only if every chapter passed."""
    options = _parse(arguments)
    try:
        chapters = find(options.chapters)
        if options.command == "sync":
            for path in chapters:
                print(f"{path.stem}: {sync(path, options.source)}")
            return 0
        if options.command == "execute":
            for path in chapters:
                sync(path)
            return each(chapters, execute)
        parameters = _parameters(options)
        print(f"The executed notebooks go to {RUNS.relative_to(ROOT)}.")
        return each(chapters, lambda path: run(path, parameters))
    except ChapterError as error:
        print(error, file=sys.stderr)
        return 2


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m book.chapters")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
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
