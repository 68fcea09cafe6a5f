"""The commands on chapters, tried on small chapters in a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from book import chapters
from book.chapters import ChapterError

SCRIPT = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A chapter

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %%
print(seed, device, profile)

# %%
print("the second")
"""


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """The notebook path of a chapter that is only a script so far."""
    (tmp_path / "01_first.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path / "01_first.ipynb"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def outputs(path: Path) -> list[str]:
    """What each code cell of a notebook printed."""
    return [
        "".join(output.text for output in cell.outputs)
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]


class TestFind:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("00_preface.py", "02_second.py", "02_second.ipynb", "notes.py"):
            (tmp_path / name).touch()
        return tmp_path

    def test_all_in_the_order_of_the_book(self, folder: Path) -> None:
        found = chapters.find([], folder)
        assert [path.name for path in found] == ["00_preface.ipynb", "02_second.ipynb"]

    @pytest.mark.parametrize("name", ["02", "second", "02_second"])
    def test_by_number_title_or_file(self, folder: Path, name: str) -> None:
        assert chapters.find([name], folder) == [folder / "02_second.ipynb"]

    def test_an_unknown_name_lists_the_known(self, folder: Path) -> None:
        with pytest.raises(ChapterError, match=r"'maml'.*00_preface, 02_second"):
            chapters.find(["02", "maml"], folder)


class TestSync:
    def test_makes_the_notebook_from_the_script(self, chapter: Path) -> None:
        assert chapters.sync(chapter) == "wrote 01_first.ipynb; 3 cells to execute"
        notebook = nbformat.read(chapter, as_version=4)
        nbformat.validate(notebook)
        assert [cell.cell_type for cell in notebook.cells] == ["markdown"] + 3 * [
            "code"
        ]
        assert notebook.cells[1].metadata == {"tags": ["parameters"]}

    def test_makes_the_script_from_the_notebook(self, chapter: Path) -> None:
        chapters.sync(chapter)
        chapter.with_suffix(".py").unlink()
        assert chapters.sync(chapter) == "wrote 01_first.py; 3 cells to execute"
        assert chapter.with_suffix(".py").read_text(encoding="utf-8") == SCRIPT

    def test_the_same_script_makes_the_same_notebook(self, chapter: Path) -> None:
        chapters.sync(chapter)
        first = chapter.read_bytes()
        chapter.unlink()
        chapters.sync(chapter)
        assert chapter.read_bytes() == first

    def test_writes_nothing_when_in_step(self, chapter: Path) -> None:
        chapters.sync(chapter)
        chapters.execute(chapter, output_folder=chapter.parent / "runs")
        assert chapters.sync(chapter) == "in step"

    def test_an_edited_cell_alone_loses_its_outputs(self, chapter: Path) -> None:
        chapters.sync(chapter)
        chapters.execute(chapter, output_folder=chapter.parent / "runs")
        edit(chapter.with_suffix(".py"), "the second", "another")
        edit(chapter.with_suffix(".py"), "# A chapter", "# A title")
        assert chapters.sync(chapter) == "wrote 01_first.ipynb; 1 cells to execute"
        assert outputs(chapter) == ["", "0 auto book\n", ""]

    def test_cells_of_one_text_keep_their_own_outputs(self, chapter: Path) -> None:
        script = chapter.with_suffix(".py")
        script.write_text("# %%\ntick()\n\n# %%\ntick()\n", encoding="utf-8")
        chapters.sync(chapter)
        notebook = nbformat.read(chapter, as_version=4)
        for number, cell in enumerate(notebook.cells, 1):
            cell.outputs = [nbformat.v4.new_output("stream", text=f"{number}")]
        nbformat.write(notebook, chapter)
        script.write_text("# %%\nnew()\n\n" + script.read_text(encoding="utf-8"))
        chapters.sync(chapter)
        assert outputs(chapter) == ["", "1", "2"]

    def test_text_typed_into_the_notebook_last_is_not_lost(self, chapter: Path) -> None:
        chapters.sync(chapter)
        edit(chapter, "the second", "typed in a notebook")
        before = chapter.read_bytes()
        with pytest.raises(ChapterError, match=r"FROM=ipynb.*FROM=py"):
            chapters.sync(chapter)
        assert chapter.read_bytes() == before

        chapters.sync(chapter, "ipynb")
        assert "typed in a notebook" in chapter.with_suffix(".py").read_text()

    def test_the_script_wins_when_told_to(self, chapter: Path) -> None:
        chapters.sync(chapter)
        edit(chapter, "the second", "typed in a notebook")
        chapters.sync(chapter, "py")
        assert "typed in a notebook" not in chapter.read_text()

    @pytest.mark.parametrize(
        ("source", "missing"), [("py", ".py"), ("ipynb", ".ipynb")]
    )
    def test_names_the_file_that_is_not_there(
        self, chapter: Path, source: str, missing: str
    ) -> None:
        chapters.sync(chapter)
        chapter.with_suffix(missing).unlink()
        with pytest.raises(ChapterError, match=f"01_first{missing} does not exist"):
            chapters.sync(chapter, source)


class TestExecute:
    def test_stores_outputs_that_a_second_time_changes_nothing(
        self, chapter: Path
    ) -> None:
        edit(
            chapter.with_suffix(".py"),
            'print("the second")',
            "from matplotlib import pyplot as plt\n"
            "plt.rcParams['svg.hashsalt'] = 'fixed'\n"
            "%config InlineBackend.figure_formats = ['svg']\n"
            "print({'a', 'b', 'c'}, flush=True)\nprint('one stream', flush=True)\n"
            "plt.plot([1, 2]);",
        )
        runs = chapter.parent / "runs"
        chapters.sync(chapter)
        assert not chapters.execute(chapter, output_folder=runs).failure
        first = chapter.read_bytes()
        stored = nbformat.read(chapter, as_version=4).cells[-1].outputs
        assert [output.output_type for output in stored] == ["stream", "display_data"]

        chapters.execute(chapter, output_folder=runs)
        assert chapter.read_bytes() == first

    def test_leaves_the_chapter_alone_when_a_cell_fails(self, chapter: Path) -> None:
        edit(chapter.with_suffix(".py"), 'print("the second")', "1 / 0")
        chapters.sync(chapter)
        before = chapter.read_bytes()
        outcome = chapters.execute(chapter, output_folder=chapter.parent / "runs")
        assert outcome.failure == "ZeroDivisionError in cell [3]: division by zero"
        assert chapter.read_bytes() == before


class TestRun:
    def test_sets_parameters_in_a_copy(self, chapter: Path, tmp_path: Path) -> None:
        chapters.sync(chapter)
        before = chapter.read_bytes()
        parameters = {"seed": 7, "device": "cpu", "profile": "smoke"}
        outcome = chapters.run(
            chapter,
            parameters,
            output_folder=tmp_path / "runs",
            working_directory=tmp_path,
        )
        assert not outcome.failure
        assert "7 cpu smoke\n" in outputs(tmp_path / "runs" / chapter.name)
        assert chapter.read_bytes() == before

    def test_uses_this_environment(self, chapter: Path, tmp_path: Path) -> None:
        edit(chapter.with_suffix(".py"), '"the second"', "__import__('sys').executable")
        chapters.sync(chapter)
        chapters.run(chapter, {}, output_folder=tmp_path, working_directory=tmp_path)
        assert outputs(chapter)[-1].strip() == sys.executable

    def test_goes_on_after_a_failure_and_tells_of_it(
        self, chapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chapters.sync(chapter)
        broken = tmp_path / "00_broken.ipynb"
        broken.with_suffix(".py").write_text("# %%\nmissing\n", encoding="utf-8")
        chapters.sync(broken)

        def action(path: Path) -> chapters.Run:
            return chapters.run(
                path, {}, output_folder=tmp_path / "runs", working_directory=tmp_path
            )

        assert chapters.each([broken, chapter], action) == 1
        table = capsys.readouterr().out.splitlines()[-3:]
        assert table[0].split() == ["chapter", "time", "result"]
        assert "FAILED NameError in cell [1]: name 'missing'" in table[1]
        assert table[2].endswith(" s  passed")

    def test_an_interruption_shows_what_had_finished(
        self, chapter: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def action(path: Path) -> chapters.Run:
            if path == chapter:
                raise KeyboardInterrupt
            return chapters.Run(path.stem, 1.0)

        assert chapters.each([Path("00_before.ipynb"), chapter], action) == 130
        assert "00_before     1.0 s  passed" in capsys.readouterr().out

    def test_success_is_status_zero(self) -> None:
        assert chapters.each([Path("00.ipynb")], lambda _: chapters.Run("00", 1.0)) == 0


class TestCommandLine:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["run", "--profile", "fast"],
                "'fast'. The profiles are: smoke, book, pap",
            ),
            (["run", "--device", "gpu9"], "device='gpu9' cannot be used here"),
            (["run", "--device", "meta"], "device='meta' cannot be used here"),
            (["run", "nowhere"], "There is no chapter 'nowhere'. The chapters are:"),
        ],
    )
    def test_says_what_is_wrong_before_anything_starts(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert chapters.main(words) == 2
        assert message in capsys.readouterr().err

    def test_starts_as_a_module(self) -> None:
        command = [sys.executable, "-m", "book.chapters", "run", "nowhere"]
        ended = subprocess.run(command, cwd=chapters.ROOT, capture_output=True)
        assert ended.returncode == 2
