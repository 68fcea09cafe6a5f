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
import papermill
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager

from book import pairs
from book.errors import ChapterError
from book.kernels import AsyncFileKernelManager
from labkit.files import NotWrittenError

CHAPTERS = pairs.ROOT / "chapters"
RUNS = pairs.ROOT / "_build" / "runs"


@dataclass(frozen=True)
class Run:
    """How the execution of one chapter went."""

    chapter: str
    seconds: float
    failure: str = ""


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's, ending at the first cell that may not raise, and saying why."""

    def execute(self) -> None:
        # papermill's also asks for the name of the language, and stops the kernel
        # while it still answers: "KeyboardInterrupt caught in kernel" now and then.
        with self.setup_kernel():
            self.papermill_execute_cells()

    def execute_cell(self, cell: NotebookNode, cell_index: int) -> None:
        try:
            super().execute_cell(cell, cell_index)
        except (CellExecutionError, DeadKernelError) as error:
            self.nb_man.cell_exception(cell, cell_index)
            place = f"in cell [{self.code_cells_executed}]"
            if isinstance(error, CellExecutionError):
                reason = f"{error.ename} {place}: {error.evalue}"
            else:
                reason = f"the kernel died {place}: it ran out of memory, or was killed"
            raise ChapterError(reason) from error


class _Engine(NBClientEngine):  # type: ignore[misc]
    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: object
    ) -> None:
        _Client(nb_man, kernel_name=kernel_name, **options).execute()


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
        pairs.refuse_behind(path)
        output_folder.mkdir(parents=True, exist_ok=True)
        # Executed in a second step: in one step, papermill counts an exception that
        # raises-exception allows as a failure, and sys.exit() as a success.
        notebook = papermill.execute_notebook(
            pairs.read_notebook(path),
            None,
            parameters,
            kernel_name=pairs.KERNEL,
            language="python",
            prepare_only=True,
        )
        notebook.metadata.papermill["input_path"] = str(path)  # not its whole content
        try:
            _Engine.execute_notebook(
                notebook,
                pairs.KERNEL,
                progress_bar={"desc": path.stem, "leave": False, "disable": None},
                kernel_manager_class=AsyncFileKernelManager,
                # Kernels warn on stderr that local connections are not encrypted.
                extra_arguments=["--log-level=ERROR"],
                resources={"metadata": {"path": str(working_directory)}},
                coalesce_streams=True,
                record_timing=False,
            )
        finally:
            pairs.write(output_folder / path.name, nbformat.writes(notebook) + "\n")
    except (ChapterError, NoSuchKernel, OSError, RuntimeError) as error:
        failure = str(error)
    return Run(path.stem, time.perf_counter() - start, failure)


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
