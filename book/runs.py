"""Chapters executed from top to bottom: in copies, or to store their outputs."""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from book import pairs
from book.errors import ChapterError
from book.kernels import AsyncFileKernelManager
from labkit.files import NotWrittenError
from labkit.progress import Progress

CHAPTERS = pairs.ROOT / "chapters"
RUNS = pairs.ROOT / "_build" / "runs"


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
    """Execute a copy of a chapter under other parameters; the chapter is untouched.

    A notebook that does not hold the text of its script fails unexecuted. What was
    executed of one that fails is in `output_folder` all the same.
    """
    failure = ""
    start = time.perf_counter()
    try:
        if path.with_suffix(".py").exists() and not pairs.in_step(path):
            raise ChapterError(
                f"{path.name} does not hold the text of its script: "
                f"make sync CHAPTER={path.stem}"
            )
        notebook = pairs.read_notebook(path)
        if parameters:
            _set(notebook, parameters)
        output_folder.mkdir(parents=True, exist_ok=True)
        failure = _compute(notebook, path.stem, working_directory)
        pairs.write(output_folder / path.name, nbformat.writes(notebook) + "\n")
    except (ChapterError, OSError) as error:
        failure = str(error)
    return Run(path.stem, time.perf_counter() - start, failure)


def _set(notebook: NotebookNode, parameters: dict[str, object]) -> None:
    """Put a cell that sets the parameters below the one that names them."""
    lines = [f"{name} = {value!r}" for name, value in parameters.items()]
    tagged = [
        number
        for number, cell in enumerate(notebook.cells, 1)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    cell = new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(tagged[0] if tagged else 0, cell)


def _compute(notebook: NotebookNode, name: str, folder: Path) -> str:
    """Execute the cells of a notebook in place; what went wrong, if anything did."""
    progress = Progress(name, len(notebook.cells))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name=pairs.KERNEL,
        kernel_manager_class=AsyncFileKernelManager,
        # Kernels warn on stderr that local connections are not encrypted.
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        raise_on_iopub_timeout=True,
        coalesce_streams=True,
        record_timing=False,
    )
    try:
        # Not client.execute(), in which Ctrl-C looks like a kernel that died.
        with client.setup_kernel():
            for number, cell in enumerate(notebook.cells):
                progress(number)
                client.execute_cell(cell, number)
    except CellExecutionError as error:
        return f"{error.ename} in cell [{client.code_cells_executed}]: {error.evalue}"
    except DeadKernelError:
        return (
            f"the kernel died in cell [{client.code_cells_executed}]: it ran out of "
            "memory, or was killed"
        )
    except RuntimeError as error:  # a kernel that does not start
        return str(error)
    finally:
        progress(len(notebook.cells))
    return ""


def execute(path: Path, *, output_folder: Path = RUNS) -> Run:
    """Compute a chapter's committed outputs afresh, in place; untouched if it fails."""
    # What matplotlib and sets would otherwise take from the clock and from chance.
    os.environ.update(SOURCE_DATE_EPOCH="0", PYTHONHASHSEED="0")
    before = path.read_bytes()
    outcome = run(path, {}, output_folder=output_folder, working_directory=path.parent)
    if outcome.failure:
        return outcome
    notebook = pairs.read_notebook(output_folder / path.name)
    pairs.normalise(notebook, path.stem)
    try:
        if path.read_bytes() != before:
            raise ChapterError(
                f"{path.name} was saved by another program meanwhile and is left as it "
                f"is; the outputs computed are in {output_folder / path.name}"
            )
        pairs.write(path, nbformat.writes(notebook) + "\n")
    except (ChapterError, NotWrittenError) as error:
        return Run(outcome.chapter, outcome.seconds, str(error))
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
    width = max([7, *(_columns(one.chapter) for one in runs)])
    lines = [f"{'chapter':{width}}  {'time':>8}  result"]
    for one in runs:
        result = f"FAILED {one.failure}" if one.failure else "passed"
        name = one.chapter + " " * (width - _columns(one.chapter))
        lines.append(f"{name}  {one.seconds:6.1f} s  {result}")
    return "\n".join(lines)


def _columns(text: str) -> int:
    """How wide a terminal shows a text: Chinese characters take two columns."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )
