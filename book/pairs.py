"""A chapter is one document in two files, brought to the same text here.

The text is `NN_name.py`, and `NN_name.ipynb` is that text with its outputs. Whatever of
the notebook is not text, output or a pasted picture (cell identifiers, metadata)
follows from the text alone, so that two people who hold the same script make the same
notebook.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

import jupytext
import nbformat
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode

from book import marks
from book.errors import ChapterError
from labkit.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
KERNEL = "python3"
SYNCED = "text_sha256"
"""Where a notebook keeps the digest of the text that the last sync gave it."""


# What nbformat raises at JSON that is none, or is something else.
_NO_NOTEBOOK = (ValueError, AttributeError, KeyError, TypeError)
_METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": KERNEL,
    },
    "language_info": {"name": "python"},
}


def script_of(notebook: NotebookNode) -> str:
    """The text of a notebook as jupytext writes it under the project's settings."""
    percent = {"extension": ".py", "format_name": "percent"}
    load_jupytext_config(str(ROOT)).set_default_format_options(percent)
    return jupytext.writes(notebook, fmt=percent)


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in that file.

    Raises:
        ChapterError: there is none, or the file holds something else.
    """
    if not path.exists():
        raise ChapterError(
            f"{path.name} does not exist. To make it from the script: "
            f"make sync CHAPTER={path.stem}."
        )
    text = _text(path)
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (*_NO_NOTEBOOK, nbformat.ValidationError) as error:
        _refuse_damaged(path, text, error)
    return notebook


def read_script(script: Path) -> NotebookNode:
    """The cells of a script, without outputs.

    Raises:
        ChapterError: it does not exist, is empty, or is not settled after a merge.
    """
    if not script.exists():
        raise ChapterError(f"{script.name} does not exist: there is no text to take.")
    text = _text(script)
    marks.refuse_conflict(text, script.name)
    notebook = jupytext.reads(text, fmt="py:percent")
    _refuse_empty(notebook, script)
    return notebook


def refuse_behind(path: Path) -> None:
    """Let pass a notebook that holds the text of its script, or that has none.

    Raises:
        ChapterError: it holds another text, or one of the two cannot be read.
    """
    notebook, script = read_notebook(path), path.with_suffix(".py")
    if script.exists() and (
        _standard_script(read_script(script)) != _standard_script(notebook)
    ):
        raise ChapterError(
            f"{path.name} does not hold the text of its script: "
            f"make sync CHAPTER={path.stem}"
        )


def sync(path: Path, source: str | None = None) -> str:
    """Bring the two files of a chapter to one text; say in a few words what was done.

    The script gives the text, unless `source` is "ipynb". A code cell keeps its outputs
    exactly when its text is the same as before, and a picture that was pasted into a
    cell stays as long as a cell of prose shows it.

    Raises:
        ChapterError: the notebook holds text that would be lost, and `source` does not
            say which of the two to take; or there is no sound text to take.
        NotWrittenError: the disk is full; both files are whole.
    """
    script = path.with_suffix(".py")
    stored = _stored(path, source)
    if source is None:
        source = _choose_source(script, path, stored)
    if source == "ipynb":
        if stored is None:
            raise ChapterError(
                f"{path.name} does not exist or is empty: there is no text to take."
            )
        notebook = stored
        _refuse_empty(notebook, path)
    else:
        notebook = read_script(script)
        _take_outputs(notebook, stored)
        _take_attachments(notebook, stored)
    marks.check(notebook, (path if source == "ipynb" else script).name)
    normalise(notebook, path.stem)
    changed = [
        file.name
        for file, text in (
            (script, script_of(notebook)),
            (path, nbformat.writes(notebook) + "\n"),
        )
        if write(file, text)
    ]
    waiting = sum(
        cell.cell_type == "code" and cell.execution_count is None
        for cell in notebook.cells
    )
    done = f"wrote {' and '.join(changed)}" if changed else "in step"
    return f"{done}; {waiting} cells to execute" if waiting else done


def normalise(notebook: NotebookNode, name: str) -> None:
    """Leave nothing in a notebook that differs between people, machines or days.

    Cells are identified by the chapter's name and their text: the ids of a book must
    differ, and chapters begin with the same parameters cell.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(_METADATA)
    seen: dict[str, int] = defaultdict(int)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
        text = f"{name}\n{cell.cell_type}\n{cell.source}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        seen[digest] += 1
        cell.id = digest[:12] + (f"-{seen[digest]}" if seen[digest] > 1 else "")
    notebook.metadata[SYNCED] = _digest(_standard_script(notebook))


def write(file: Path, text: str) -> bool:
    """Write a file, whole or not at all, if that changes it; whether it did."""
    if file.exists() and file.read_bytes() == text.encode():
        return False
    write_atomically(file, text)
    return True


def _text(file: Path) -> str:
    """What a file says, whichever line ends and byte order mark an editor gave it."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ChapterError(
            f"{file.name}, line {line}: this is not UTF-8. Save the file as UTF-8."
        ) from error


def _refuse_damaged(path: Path, text: str, error: Exception) -> NoReturn:
    remedy = (
        f"Its script holds its text: make sync CHAPTER={path.stem} FROM=py, then "
        f"make execute CHAPTER={path.stem}."
        if path.with_suffix(".py").exists()
        else f"Restore it: git checkout {path.name}."
    )
    conflict = "it holds marks of a merge conflict" if "<<<<<<<" in text else None
    reason = conflict or str(error).strip().partition("\n")[0][:200] or "damaged"
    raise ChapterError(
        f"{path.name} cannot be read as a notebook: {reason}. {remedy}"
    ) from error


def _refuse_empty(notebook: NotebookNode, file: Path) -> None:
    if any(cell.source.strip() for cell in notebook.cells):
        return
    other = ".py" if file.suffix == ".ipynb" else ".ipynb"
    raise ChapterError(
        f"{file.name} holds no text, and its other half would lose its own. Restore it "
        f"(git checkout {file.name}), or take the text of {file.stem}{other}: "
        f"make sync CHAPTER={file.stem} FROM={other[1:]}."
    )


def _stored(path: Path, source: str | None) -> NotebookNode | None:
    """The notebook, None if it has no text that could be lost.

    One that is damaged counts only where its text is not wanted.
    """
    if not path.exists() or not path.read_bytes().strip():
        return None
    try:
        return read_notebook(path)
    except ChapterError:
        if source == "py":
            return None
        raise


def _choose_source(script: Path, path: Path, stored: NotebookNode | None) -> str:
    if stored is None:
        return "py"
    if not script.exists():
        return "ipynb"
    text = _standard_script(stored)
    # What the last sync wrote is lost to nobody: the script has gone on from there.
    if stored.metadata.get(SYNCED) == _digest(text):
        return "py"
    if _standard_script(read_script(script)) == text:
        return "py"
    raise ChapterError(
        f"{path.name} and {script.name} hold different text, and the notebook's is not "
        f"what the last sync gave it. To take the notebook's text: "
        f"make sync CHAPTER={path.stem} FROM=ipynb. To take the script's: "
        f"make sync CHAPTER={path.stem} FROM=py."
    )


def _standard_script(notebook: NotebookNode) -> str:
    """The text whichever kernel a program wrote into the head of the file."""
    head = nbformat.from_dict(_METADATA)
    return script_of(NotebookNode({**notebook, "metadata": head}))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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


def _take_attachments(notebook: NotebookNode, stored: NotebookNode | None) -> None:
    """Give each cell of prose the pasted pictures that it shows.

    They are called image.png in most cells, so those of the cell of the same text come
    first, then those of cells from which no other has taken any.
    """
    owners = [c for c in stored.cells if c.get("attachments")] if stored else []
    taken: set[int] = set()
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    texts = {owner.source for owner in owners}
    for cell in sorted(prose, key=lambda cell: cell.source not in texts):
        shown, pictures = unquote(cell.source), {}
        for owner in sorted(
            owners, key=lambda owner: (owner.source != cell.source, id(owner) in taken)
        ):
            for name, picture in owner.attachments.items():
                if f"attachment:{name}" in shown and name not in pictures:
                    pictures[name] = picture
                    taken.add(id(owner))
        if pictures:
            cell.attachments = NotebookNode(pictures)
