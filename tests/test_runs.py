"""Chapters executed, in copies or in place; what goes wrong is a row of the table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from book import pairs, runs
from labkit.files import NotWrittenError
from tests.small_chapter import edit, outputs


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
        folder = chapter.parent / "runs"
        pairs.sync(chapter)
        assert not runs.execute(chapter, output_folder=folder).failure
        first = chapter.read_bytes()
        stored = nbformat.read(chapter, as_version=4).cells[-1].outputs
        assert [output.output_type for output in stored] == ["stream", "display_data"]

        runs.execute(chapter, output_folder=folder)
        assert chapter.read_bytes() == first

    def test_leaves_the_chapter_alone_when_a_cell_fails(self, chapter: Path) -> None:
        edit(chapter.with_suffix(".py"), 'print("the second")', "1 / 0")
        pairs.sync(chapter)
        before = chapter.read_bytes()
        outcome = runs.execute(chapter, output_folder=chapter.parent / "runs")
        assert outcome.failure == "ZeroDivisionError in cell [3]: division by zero"
        assert chapter.read_bytes() == before

    def test_leaves_a_notebook_alone_that_was_saved_meanwhile(
        self, chapter: Path
    ) -> None:
        edit(
            chapter.with_suffix(".py"),
            'print("the second")',
            "path = '01_first.ipynb'\n"
            "text = open(path).read()\n"
            "assert open(path, 'w').write(text.replace('A chapter', 'typed'))",
        )
        pairs.sync(chapter)
        folder = chapter.parent / "runs"
        outcome = runs.execute(chapter, output_folder=folder)
        assert "was saved by another program meanwhile" in outcome.failure
        assert "typed" in chapter.read_text()
        assert (folder / chapter.name).exists()

    def test_a_full_disk_is_a_row_and_leaves_the_notebook_whole(
        self, chapter: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pairs.sync(chapter)
        before = chapter.read_bytes()

        def full(path: Path, text: str) -> None:
            raise NotWrittenError(f"{path} could not be written")

        monkeypatch.setattr(pairs, "write_atomically", full)
        outcome = runs.execute(chapter, output_folder=chapter.parent / "runs")
        assert outcome.failure.endswith("01_first.ipynb could not be written")
        assert chapter.read_bytes() == before


class TestRun:
    def test_sets_parameters_in_a_copy(self, chapter: Path, tmp_path: Path) -> None:
        pairs.sync(chapter)
        before = chapter.read_bytes()
        parameters = {"seed": 7, "device": "cpu", "profile": "smoke"}
        outcome = runs.run(
            chapter,
            parameters,
            output_folder=tmp_path / "runs",
            working_directory=tmp_path,
        )
        assert not outcome.failure
        executed = tmp_path / "runs" / chapter.name
        assert "7 cpu smoke\n" in outputs(executed)
        noted = nbformat.read(executed, as_version=4).metadata.papermill
        assert noted.parameters == parameters
        assert noted.input_path == str(chapter)
        assert chapter.read_bytes() == before

    def test_uses_this_environment(self, chapter: Path, tmp_path: Path) -> None:
        edit(chapter.with_suffix(".py"), '"the second"', "__import__('sys').executable")
        pairs.sync(chapter)
        runs.run(chapter, {}, output_folder=tmp_path, working_directory=tmp_path)
        assert outputs(chapter)[-1].strip() == sys.executable

    def test_goes_on_after_a_failure_and_tells_of_it(
        self, chapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pairs.sync(chapter)
        broken = tmp_path / "00_broken.ipynb"
        broken.with_suffix(".py").write_text("# %%\nmissing\n", encoding="utf-8")
        pairs.sync(broken)

        def action(path: Path) -> runs.Run:
            return runs.run(
                path, {}, output_folder=tmp_path / "runs", working_directory=tmp_path
            )

        assert runs.each([broken, chapter], action) == 1
        table = capsys.readouterr().out.splitlines()[-3:]
        assert table[0].split() == ["chapter", "time", "result"]
        assert "FAILED NameError in cell [1]: name 'missing'" in table[1]
        assert table[2].endswith(" s  passed")

    def test_an_interruption_shows_what_had_finished(
        self, chapter: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def action(path: Path) -> runs.Run:
            if path == chapter:
                raise KeyboardInterrupt
            return runs.Run(path.stem, 1.0)

        assert runs.each([Path("00_before.ipynb"), chapter], action) == 130
        assert "00_before     1.0 s  passed" in capsys.readouterr().out

    def test_success_is_status_zero(self) -> None:
        assert runs.each([Path("00.ipynb")], lambda _: runs.Run("00", 1.0)) == 0

    def test_what_one_chapter_lacks_is_its_row_and_stops_no_other(
        self, chapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pairs.sync(chapter)
        deleted, damaged = tmp_path / "02_deleted.ipynb", tmp_path / "03_damaged.ipynb"
        deleted.with_suffix(".py").write_text("# %%\n1\n")
        damaged.write_text("{")

        def action(path: Path) -> runs.Run:
            return runs.run(path, {}, output_folder=tmp_path / "runs")

        assert runs.each([deleted, damaged, chapter], action) == 1
        table = capsys.readouterr().out.splitlines()[-3:]
        assert "FAILED 02_deleted.ipynb does not exist" in table[0]
        assert "make sync CHAPTER=02_deleted" in table[0]
        assert "FAILED 03_damaged.ipynb cannot be read as a notebook" in table[1]
        assert table[2].endswith("passed")

    @pytest.mark.parametrize(
        ("old", "new", "failure"),
        [
            ("the second", "another", "does not hold the text of its script"),
            ('print("the second")', "raise SystemExit", "does not hold the text"),
            ('print("the second")', "<<<<<<< HEAD", "01_first.py, line 21: '<<<<<<<"),
        ],
    )
    def test_a_stale_notebook_does_not_pass(
        self, chapter: Path, old: str, new: str, failure: str
    ) -> None:
        pairs.sync(chapter)
        edit(chapter.with_suffix(".py"), old, new)
        outcome = runs.run(chapter, {}, output_folder=chapter.parent / "runs")
        assert failure in outcome.failure

    def test_an_emptied_script_does_not_pass(self, chapter: Path) -> None:
        pairs.sync(chapter)
        chapter.with_suffix(".py").write_text("")
        outcome = runs.run(chapter, {}, output_folder=chapter.parent / "runs")
        assert "01_first.py holds no text" in outcome.failure

    @pytest.mark.parametrize("leave", ["raise SystemExit", "__import__('sys').exit(0)"])
    def test_a_chapter_that_leaves_before_its_end_has_failed(
        self, chapter: Path, leave: str
    ) -> None:
        edit(chapter.with_suffix(".py"), "print(seed, device, profile)", leave)
        pairs.sync(chapter)
        outcome = runs.run(chapter, {}, output_folder=chapter.parent / "runs")
        assert outcome.failure.startswith("SystemExit in cell [2]")

    def test_a_kernel_that_dies_is_noticed(self, chapter: Path) -> None:
        edit(
            chapter.with_suffix(".py"), 'print("the second")', "import os; os._exit(0)"
        )
        pairs.sync(chapter)
        outcome = runs.run(chapter, {}, output_folder=chapter.parent / "runs")
        assert outcome.failure.startswith("the kernel died in cell [3]")
        assert outcome.seconds < 60

    def test_a_cell_may_raise_where_its_tag_says_so(self, chapter: Path) -> None:
        """As in JupyterLab and under nbval."""
        edit(
            chapter.with_suffix(".py"),
            '# %%\nprint("the second")',
            '# %% tags=["raises-exception"]\n1 / 0',
        )
        pairs.sync(chapter)
        folder = chapter.parent / "runs"
        assert not runs.run(chapter, {}, output_folder=folder).failure
        last = nbformat.read(folder / chapter.name, as_version=4).cells[-1]
        assert last.outputs[0].ename == "ZeroDivisionError"

    def test_needs_no_kernelspec(self, chapter: Path) -> None:
        pairs.sync(chapter)
        notebook = nbformat.read(chapter, as_version=4)
        del notebook.metadata["kernelspec"], notebook.metadata["language_info"]
        nbformat.write(notebook, chapter)
        folder = chapter.parent / "runs"
        assert not runs.run(chapter, {"seed": 3}, output_folder=folder).failure
        assert "3 auto book\n" in outputs(folder / chapter.name)

    def test_a_kernel_that_is_not_installed_is_a_row(
        self, chapter: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pairs.sync(chapter)
        monkeypatch.setattr(pairs, "KERNEL", "nowhere")
        outcome = runs.run(chapter, {"seed": 3}, output_folder=chapter.parent / "runs")
        assert outcome.failure == "No such kernel named nowhere"

    @pytest.mark.skipif(os.name != "posix", reason="signals")
    def test_ctrl_c_ends_on_the_table(self, chapter: Path) -> None:
        edit(
            chapter.with_suffix(".py"),
            'print("the second")',
            "open('started', 'w').close(); import time; time.sleep(600)",
        )
        pairs.sync(chapter)
        program = (
            "import signal, sys; from pathlib import Path; from book import runs\n"
            # a test run in the background inherits that Ctrl-C is ignored
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "path = Path(sys.argv[1])\n"
            "sys.exit(runs.each([path], lambda path: runs.run(path, {}, "
            "output_folder=path.parent / 'runs', working_directory=path.parent)))"
        )
        running = subprocess.Popen(
            [sys.executable, "-c", program, chapter],
            cwd=pairs.ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while not (chapter.parent / "started").exists():
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 130
        assert said.endswith("Interrupted; what had finished:\n")
        executed = nbformat.read(chapter.parent / "runs" / chapter.name, as_version=4)
        assert executed.cells[2].outputs[0].text == "0 auto book\n"
