"""A file is written whole or not at all, whoever is killed, however full the disk."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit.files import NotWrittenError, replacing, write_atomically


def alone(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    write_atomically(path, "neu: é\n")
    assert path.read_bytes() == "neu: é\n".encode()
    assert alone(tmp_path) == ["a.json"]


def test_until_all_is_written_the_old_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_two_writers_of_one_path_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as first:
        with replacing(path) as second:
            second.write(b"second")
        first.write(b"first, which ends last")
    assert path.read_text() == "first, which ends last"
    assert alone(tmp_path) == ["a.json"]


def test_an_error_of_the_block_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ConnectionResetError), replacing(path) as file:
        file.write(b"half")
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert path.read_text() == "old"
    assert alone(tmp_path) == ["a.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_is_said_in_a_sentence(
    tmp_path: Path, code: int
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    said = rf"{path} could not be written \({os.strerror(code)}\) and is as it was"
    with pytest.raises(NotWrittenError, match=said), replacing(path):
        raise OSError(code, os.strerror(code))
    assert path.read_text() == "old"
    assert alone(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    program = (
        "import resource, sys; from pathlib import Path; from labkit.files import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "write_atomically(Path(sys.argv[1]), 5000 * 'x')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True
    )
    assert "a.json could not be written (File too large)" in ended.stderr
    assert path.read_text() == "old"
    assert alone(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_keeps_permissions_and_gives_new_files_the_usual_ones(tmp_path: Path) -> None:
    for name in ("kept", "usual"):
        (tmp_path / name).touch()
    (tmp_path / "kept").chmod(0o640)
    write_atomically(tmp_path / "kept", "")
    write_atomically(tmp_path / "new", "")
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode)
        for name in ("kept", "usual", "new")
    }
    assert modes["kept"] == 0o640
    assert modes["new"] == modes["usual"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_symbolic_link_goes_on_pointing(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "far" / "a.json")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "far" / "a.json").read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_killed_at_any_moment_it_leaves_the_file_whole(tmp_path: Path) -> None:
    """In place, about a third of such kills left half a file."""
    path = tmp_path / "a.json"
    texts = [letter * 3_000_000 for letter in "ab"]
    write_atomically(path, texts[0])

    def write_for_ever() -> None:
        for text in itertools.cycle(texts):
            write_atomically(path, text)

    for number in range(20):
        killed = multiprocessing.get_context("fork").Process(target=write_for_ever)
        killed.start()
        time.sleep(0.005 + 0.002 * number)
        killed.kill()
        killed.join()
        assert path.read_text() in texts
