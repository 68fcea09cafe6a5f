"""Script and notebook come to one text, and no text, output or picture is lost."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from book import pairs, runs
from book.errors import ChapterError
from tests.small_chapter import SCRIPT, edit, outputs


class TestSync:
    def test_makes_the_notebook_from_the_script(self, chapter: Path) -> None:
        assert pairs.sync(chapter) == "wrote 01_first.ipynb; 3 cells to execute"
        notebook = nbformat.read(chapter, as_version=4)
        nbformat.validate(notebook)
        assert [cell.cell_type for cell in notebook.cells] == ["markdown"] + 3 * [
            "code"
        ]
        assert notebook.cells[1].metadata == {"tags": ["parameters"]}

    def test_makes_the_script_from_the_notebook(self, chapter: Path) -> None:
        pairs.sync(chapter)
        chapter.with_suffix(".py").unlink()
        assert pairs.sync(chapter) == "wrote 01_first.py; 3 cells to execute"
        assert chapter.with_suffix(".py").read_text(encoding="utf-8") == SCRIPT

    def test_the_same_script_makes_the_same_notebook(self, chapter: Path) -> None:
        pairs.sync(chapter)
        first = chapter.read_bytes()
        chapter.unlink()
        pairs.sync(chapter)
        assert chapter.read_bytes() == first

    def test_writes_nothing_when_in_step(self, chapter: Path) -> None:
        pairs.sync(chapter)
        runs.execute(chapter, output_folder=chapter.parent / "runs")
        assert pairs.sync(chapter) == "in step"

    def test_an_edited_cell_alone_loses_its_outputs(self, chapter: Path) -> None:
        pairs.sync(chapter)
        runs.execute(chapter, output_folder=chapter.parent / "runs")
        edit(chapter.with_suffix(".py"), "the second", "another")
        edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        assert pairs.sync(chapter) == "wrote 01_first.ipynb; 1 cells to execute"
        assert outputs(chapter) == ["", "0 auto book\n", ""]

    def test_cells_of_one_text_keep_their_own_outputs(self, chapter: Path) -> None:
        script = chapter.with_suffix(".py")
        script.write_text("# %%\ntick()\n\n# %%\ntick()\n", encoding="utf-8")
        pairs.sync(chapter)
        notebook = nbformat.read(chapter, as_version=4)
        for number, cell in enumerate(notebook.cells, 1):
            cell.outputs = [nbformat.v4.new_output("stream", text=f"{number}")]
        nbformat.write(notebook, chapter)
        script.write_text("# %%\nnew()\n\n" + script.read_text(encoding="utf-8"))
        pairs.sync(chapter)
        assert outputs(chapter) == ["", "1", "2"]

    @pytest.mark.parametrize("newer", [".py", ".ipynb"])
    @pytest.mark.parametrize("edited", [{".ipynb"}, {".py", ".ipynb"}])
    def test_text_typed_into_the_notebook_is_not_lost(
        self, chapter: Path, edited: set[str], newer: str
    ) -> None:
        """Whichever file is newer: git touches times, and so do editors."""
        pairs.sync(chapter)
        edit(chapter, "the second", "typed in a notebook")
        if ".py" in edited:
            edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        os.utime(chapter, (1, 1))
        os.utime(chapter.with_suffix(newer), (2, 2))
        before = chapter.read_bytes()
        with pytest.raises(ChapterError, match=r"FROM=ipynb.*FROM=py"):
            pairs.sync(chapter)
        assert chapter.read_bytes() == before

        pairs.sync(chapter, "ipynb")
        assert "typed in a notebook" in chapter.with_suffix(".py").read_text()

    @pytest.mark.parametrize("change", [list.pop, list.reverse])
    def test_a_cell_taken_out_or_moved_is_text_too(
        self, chapter: Path, change: Callable[[list[object]], object]
    ) -> None:
        pairs.sync(chapter)
        notebook = nbformat.read(chapter, as_version=4)
        change(notebook.cells)
        nbformat.write(notebook, chapter)
        edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        with pytest.raises(ChapterError, match=r"FROM=ipynb.*FROM=py"):
            pairs.sync(chapter)

    def test_outputs_and_another_kernel_are_no_text(self, chapter: Path) -> None:
        pairs.sync(chapter)
        notebook = nbformat.read(chapter, as_version=4)
        notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="1")]
        notebook.metadata.kernelspec.display_name = "My Python"
        nbformat.write(notebook, chapter)
        edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        assert pairs.sync(chapter).startswith("wrote 01_first.ipynb")

    def test_a_notebook_that_was_never_synced_is_asked_about(
        self, chapter: Path
    ) -> None:
        cells = [nbformat.v4.new_code_cell("'from elsewhere'")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), chapter)
        with pytest.raises(ChapterError, match=r"FROM=ipynb.*FROM=py"):
            pairs.sync(chapter)

    def test_the_script_wins_when_told_to(self, chapter: Path) -> None:
        pairs.sync(chapter)
        edit(chapter, "the second", "typed in a notebook")
        pairs.sync(chapter, "py")
        assert "typed in a notebook" not in chapter.read_text()

    @pytest.mark.parametrize(
        ("source", "missing"), [("py", ".py"), ("ipynb", ".ipynb")]
    )
    def test_names_the_file_that_is_not_there(
        self, chapter: Path, source: str, missing: str
    ) -> None:
        pairs.sync(chapter)
        chapter.with_suffix(missing).unlink()
        with pytest.raises(ChapterError, match=f"01_first{missing} does not exist"):
            pairs.sync(chapter, source)


class TestPictures:
    """Pasted into JupyterLab, they are in the notebook alone."""

    @pytest.fixture
    def pasted(self, chapter: Path) -> Path:
        """Two cells of prose, each with a picture that Jupyter calls image.png."""
        cells = []
        for text in ("first", "second"):
            cell = nbformat.v4.new_markdown_cell(f"{text} ![](attachment:image.png)")
            cell.attachments = {"image.png": {"image/png": text}}
            cells.append(cell)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), chapter)
        pairs.sync(chapter, "ipynb")
        return chapter

    def pictures(self, path: Path) -> list[dict[str, dict[str, str]] | None]:
        return [cell.get("attachments") for cell in nbformat.read(path, 4).cells]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("first", "1st"),
            ("second", "2nd"),
            ("# %% [markdown]\n# first", "# %% [markdown]\n# zeroth\n#\n# first"),
        ],
    )
    def test_stay_when_the_script_is_edited(
        self, pasted: Path, old: str, new: str
    ) -> None:
        before = self.pictures(pasted)
        assert before == [{"image.png": {"image/png": t}} for t in ("first", "second")]
        edit(pasted.with_suffix(".py"), old, new)
        pairs.sync(pasted)
        assert self.pictures(pasted) == before

    def test_stay_when_cells_change_places(self, pasted: Path) -> None:
        first, second = self.pictures(pasted)
        script = pasted.with_suffix(".py")
        head, one, two = script.read_text().split("# %% [markdown]\n")
        script.write_text("# %% [markdown]\n".join((head, two + "\n", one)))
        pairs.sync(pasted)
        assert self.pictures(pasted) == [second, first]

    def test_stay_when_a_name_has_spaces_or_other_letters(self, chapter: Path) -> None:
        cell = nbformat.v4.new_markdown_cell("![](attachment:my%20b%C3%ADld.png)")
        cell.attachments = {"my bíld.png": {"image/png": "x"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), chapter)
        pairs.sync(chapter, "ipynb")
        edit(chapter.with_suffix(".py"), "![]", "now: ![]")
        pairs.sync(chapter)
        assert self.pictures(chapter) == [{"my bíld.png": {"image/png": "x"}}]

    def test_go_with_the_text_that_shows_them(self, pasted: Path) -> None:
        edit(pasted.with_suffix(".py"), "first ![](attachment:image.png)", "none")
        pairs.sync(pasted)
        assert self.pictures(pasted)[0] is None


class TestDamage:
    CONFLICT = "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n"

    def test_the_recipe_after_a_merge_conflict_works(self, chapter: Path) -> None:
        """Settle the script, then FROM=py, as CONTRIBUTING.md says."""
        pairs.sync(chapter)
        chapter.write_text(self.CONFLICT.format(chapter.read_text(), "{"))
        with pytest.raises(ChapterError, match=r"marks of a merge conflict.*FROM=py"):
            pairs.sync(chapter)
        pairs.sync(chapter, "py")
        assert outputs(chapter) == ["", "", ""]

    @pytest.mark.parametrize("text", ["", "\n"])
    def test_an_empty_notebook_is_made_anew(self, chapter: Path, text: str) -> None:
        chapter.write_text(text)
        assert pairs.sync(chapter) == "wrote 01_first.ipynb; 3 cells to execute"

    @pytest.mark.parametrize(
        "text", ["{", "[]", "{}", "null", '{"nbformat": 4, "cells": [{}]}', "\0"]
    )
    def test_what_is_no_notebook_is_not_overwritten_unasked(
        self, chapter: Path, text: str
    ) -> None:
        chapter.write_text(text)
        for source in (None, "ipynb"):
            with pytest.raises(ChapterError, match=r"cannot be read as a notebook"):
                pairs.sync(chapter, source)
        assert chapter.read_text() == text
        assert pairs.sync(chapter, "py").startswith("wrote 01_first.ipynb")

    @pytest.mark.parametrize("left", ["", "\n \n", SCRIPT.partition("# %%")[0]])
    @pytest.mark.parametrize("source", [None, "py"])
    def test_an_emptied_script_erases_no_notebook(
        self, chapter: Path, left: str, source: str | None
    ) -> None:
        pairs.sync(chapter)
        before = chapter.read_bytes()
        chapter.with_suffix(".py").write_text(left)
        with pytest.raises(ChapterError, match=r"01_first.py holds no text.*git check"):
            pairs.sync(chapter, source)
        assert chapter.read_bytes() == before
        pairs.sync(chapter, "ipynb")
        assert chapter.with_suffix(".py").read_text() == SCRIPT

    @pytest.mark.parametrize("source", [None, "ipynb"])
    def test_an_emptied_notebook_erases_no_script(
        self, chapter: Path, source: str | None
    ) -> None:
        nbformat.write(nbformat.v4.new_notebook(), chapter)
        with pytest.raises(ChapterError):
            pairs.sync(chapter, source)
        assert chapter.with_suffix(".py").read_text() == SCRIPT

    @pytest.mark.parametrize("kind", ["print(", "# A chapter"])
    def test_marks_of_a_conflict_in_a_script_reach_no_notebook(
        self, chapter: Path, kind: str
    ) -> None:
        pairs.sync(chapter)
        before = chapter.read_bytes()
        lines = SCRIPT.splitlines()
        number = next(n for n, line in enumerate(lines) if kind in line)
        lines[number] = self.CONFLICT.format(lines[number], "# other").strip()
        chapter.with_suffix(".py").write_text("\n".join(lines))
        for source in (None, "py"):
            with pytest.raises(ChapterError, match=rf"01_first.py, line {number + 1}:"):
                pairs.sync(chapter, source)
        assert chapter.read_bytes() == before

    def test_marks_of_a_conflict_in_a_cell_reach_no_script(self, chapter: Path) -> None:
        pairs.sync(chapter)
        edit(chapter, '"# A chapter"', r'"# A chapter\n", "<<<<<<< HEAD\n", "mine"')
        with pytest.raises(ChapterError, match=r"01_first.ipynb, cell 1, line 2:"):
            pairs.sync(chapter, "ipynb")
        assert chapter.with_suffix(".py").read_text() == SCRIPT

    @pytest.mark.parametrize("suffix", [".py", ".ipynb"])
    def test_another_encoding_is_named_with_its_line(
        self, chapter: Path, suffix: str
    ) -> None:
        pairs.sync(chapter)
        file = chapter.with_suffix(suffix)
        file.write_bytes(file.read_bytes().replace(b"A chapter", b"Caf\xe9"))
        with pytest.raises(
            ChapterError, match=rf"01_first{suffix}, line \d+: this is "
        ):
            pairs.sync(chapter)

    @pytest.mark.parametrize("suffix", [".py", ".ipynb"])
    def test_byte_order_marks_and_line_ends_of_windows_are_no_text(
        self, chapter: Path, suffix: str
    ) -> None:
        pairs.sync(chapter)
        both = (chapter, chapter.with_suffix(".py"))
        before = [file.read_bytes() for file in both]
        file = chapter.with_suffix(suffix)
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
        pairs.sync(chapter)
        assert [file.read_bytes() for file in both] == before

    @pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
    def test_a_full_disk_leaves_both_files_whole(self, chapter: Path) -> None:
        pairs.sync(chapter)
        before = chapter.read_bytes()
        edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        program = (
            "import resource, sys; from pathlib import Path; from book import pairs\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))\n"
            "pairs.sync(Path(sys.argv[1]))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program, chapter],
            cwd=pairs.ROOT,
            capture_output=True,
            text=True,
        )
        assert "01_first.ipynb could not be written (File too large)" in ended.stderr
        assert chapter.read_bytes() == before
        assert "# A title" in chapter.with_suffix(".py").read_text()

    @pytest.mark.skipif(os.name != "posix", reason="forks")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_killed_at_any_moment_it_leaves_both_files_whole(
        self, chapter: Path
    ) -> None:
        """In place, 48 of 150 such kills left half a notebook."""
        edit(chapter.with_suffix(".py"), "the second", "x" * 2_000_000)
        pairs.sync(chapter)
        files = (chapter, chapter.with_suffix(".py"))
        texts = [(file, file.read_text()) for file in files]

        def write_for_ever() -> None:
            for number in itertools.count():
                for file, text in texts:
                    pairs.write(file, text.replace("A chapter", f"A {number}"))

        for number in range(20):
            killed = multiprocessing.get_context("fork").Process(target=write_for_ever)
            killed.start()
            time.sleep(0.01 + 0.003 * number)
            killed.kill()
            killed.join()
            json.loads(chapter.read_text())
            for file, text in texts:
                assert file.read_text().endswith(text[-1_900_000:])


class TestMarks:
    @pytest.mark.parametrize(
        ("line", "remedy"),
        [
            ("alt: Accuracy: 98 %", "#| alt: 'Accuracy: 98 %'"),
            ("alt: [x]", "#| alt: '[x]'"),
            ("alt: 98", "#| alt: '98'"),
            ("alt: yes", "#| alt: 'yes'"),
            ("alt: {a: b}", "#| alt: '{a: b}'"),
            ("alt: it's: odd", "#| alt: 'it''s: odd'"),
            ("alt: @ home", "#| alt: '@ home'"),
            ("alt:", "#| alt: ''"),
            ("label: 2024", "#| label: '2024'"),
        ],
    )
    def test_a_line_that_is_no_sentence_to_yaml_is_named(
        self, chapter: Path, line: str, remedy: str
    ) -> None:
        edit(
            chapter.with_suffix(".py"),
            'print("the second")',
            f"#| caption: A plot.\n#| {line}\nplot()",
        )
        with pytest.raises(ChapterError) as raised:
            pairs.sync(chapter)
        assert str(raised.value).startswith("01_first.py, cell 4: ")
        assert f"`#| {line}`" in str(raised.value)
        assert f"`{remedy}`" in str(raised.value)

    @pytest.mark.parametrize(
        "line", ["#| alt: 'Accuracy: 98 %'", "#| alt: A plot\n#|   of two lines."]
    )
    def test_a_sentence_passes(self, chapter: Path, line: str) -> None:
        edit(chapter.with_suffix(".py"), 'print("the second")', f"{line}\nplot()")
        assert pairs.sync(chapter) == "wrote 01_first.ipynb; 3 cells to execute"
