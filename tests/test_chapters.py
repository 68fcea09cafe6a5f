"""The command line: which chapters are meant, and what it says before it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from book import chapters
from book.errors import ChapterError
from book.pairs import ROOT
from tests.small_chapter import edit

find_chapters = chapters.find


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

    def test_names_are_of_any_script(self, tmp_path: Path) -> None:
        """macOS stores é as two characters, where a keyboard types one."""
        (tmp_path / "01_\u0065\u0301t\u00e9.py").touch()
        (tmp_path / "02_元学習.ipynb").touch()
        names = ["\u00e9t\u00e9", "元学習"]
        found = chapters.find(names, tmp_path)
        assert [path.stem[:2] for path in found] == ["01", "02"]
        assert len(chapters.find(["01_\u00e9t\u00e9"], tmp_path)) == 1

    def test_an_unknown_name_lists_the_known(self, folder: Path) -> None:
        with pytest.raises(ChapterError, match=r"'maml'.*00_preface, 02_second"):
            chapters.find(["02", "maml"], folder)


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
            (["run", "--seed", str(2**70)], f"seed={2**70} is out of range: 0 to 4294"),
            (["run", "--seed", "-1"], "seed=-1 is out of range"),
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
        ended = subprocess.run(command, cwd=ROOT, capture_output=True)
        assert ended.returncode == 2

    def test_a_checkout_that_cannot_be_written_is_said_in_a_sentence(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "_build").touch()
        monkeypatch.setattr(chapters, "RUNS", tmp_path / "_build" / "runs")
        assert chapters.main(["run"]) == 2
        said = capsys.readouterr().err
        assert "which cannot be written (Not a directory). Work in a copy" in said

    def test_sync_goes_on_past_a_pair_that_it_asks_about(
        self,
        chapter: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder = chapter.parent
        (folder / "00_before.py").write_text("", encoding="utf-8")
        monkeypatch.setattr(
            chapters, "find", lambda names: find_chapters(names, folder)
        )
        assert chapters.main(["sync"]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("00_before.py holds no text")
        assert printed.out.startswith("01_first: wrote 01_first.ipynb")

    def test_check_names_every_notebook_that_is_behind_its_script(
        self,
        chapter: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(
            chapters, "find", lambda names: find_chapters(names, chapter.parent)
        )
        assert chapters.main(["check"]) == 2
        assert "01_first.ipynb does not exist" in capsys.readouterr().err
        chapters.main(["sync"])
        assert chapters.main(["check"]) == 0
        edit(chapter.with_suffix(".py"), "the second", "another")
        before = chapter.read_bytes()
        assert chapters.main(["check"]) == 2
        said = capsys.readouterr().err
        assert said == (
            "01_first.ipynb does not hold the text of its script: "
            "make sync CHAPTER=01_first\n"
        )
        assert chapter.read_bytes() == before
