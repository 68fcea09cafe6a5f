"""The Makefile empties nothing that it did not make, and builds no stale book."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = ["book", "test", "lab", "run", "sync", "execute", "lock"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(
    target: str, folder: Path, *variables: str
) -> subprocess.CompletedProcess[str]:
    command = ["make", target, "NAMES=python3", *variables]
    # `make test` tells the makes below it that they are below it
    alone = {
        k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        command, cwd=folder, env=alone, capture_output=True, text=True
    )


@pytest.mark.parametrize("target", TARGETS)
def test_an_environment_behind_a_link_is_not_emptied(
    checkout: Path, target: str
) -> None:
    theirs = checkout / "theirs"
    theirs.mkdir()
    for name in ("pyvenv.cfg", "precious"):
        (theirs / name).touch()
    (checkout / ".venv").symlink_to(theirs)
    ended = make(target, checkout)
    assert ended.returncode != 0
    assert ".venv is a link" in ended.stdout
    assert (theirs / "precious").exists()


def test_a_folder_of_that_name_with_other_things_is_not_emptied(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "precious").touch()
    assert "holds something other" in make("book", checkout).stdout
    assert (checkout / ".venv" / "precious").exists()


def test_clean_removes_links_and_nothing_behind_them(checkout: Path) -> None:
    for name in (".venv", "_build"):
        (checkout / f"{name}-of-theirs").mkdir()
        (checkout / f"{name}-of-theirs" / "precious").touch()
        (checkout / name).symlink_to(checkout / f"{name}-of-theirs")
    assert make("clean", checkout).returncode == 0
    for name in (".venv", "_build"):
        assert not (checkout / name).exists()
        assert (checkout / f"{name}-of-theirs" / "precious").exists()


def test_no_book_is_built_from_a_notebook_behind_its_script(checkout: Path) -> None:
    refusing = "sh -c 'echo $$0 $$1; test $$0 != book.chapters'"
    ended = make("book", checkout, "READY=Makefile", f"RUN={refusing}")
    assert ended.returncode != 0
    assert ended.stdout == "book.chapters check\n"
