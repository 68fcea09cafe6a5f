"""Files: where they lie, and how they are written so that none is ever half new.

A file written in place is empty first: a process that is killed then, or a disk that is
full, leaves half a notebook, or a checkpoint nobody can load.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_OF_THE_DISK = {
    getattr(errno, name, None)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM")
}


CLONE = Path(__file__).resolve().parents[1]
"""The clone of the project that this code is part of, if it is part of one."""

SHIPPED = Path(__file__).parent / "shipped"
"""The records and checkpoints that an installed package came with."""


class NotWrittenError(OSError):
    """A file could not be written, and is as it was; the message says why."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file to write into, which takes the place of `path` when all is written.

    Until then it lies in the same folder under a name that nobody else draws, so two
    processes may write one path: the last to finish stays. When the block raises,
    `path` is as it was. A symbolic link goes on pointing to its file.

    Raises:
        NotWrittenError: the disk is full, or the folder cannot be written.
    """
    place = path.resolve()
    unfinished = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, unfinished)
        unfinished.replace(place)
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise  # not of this file: a download's connection, for one
        raise NotWrittenError(
            f"{path} could not be written ({error.strerror}) and is as it was. Make "
            "room on its disk, or its folder writable, and try again."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Make `data` the content of the file; text as UTF-8, its line ends as they are.

    Raises:
        NotWrittenError: the disk is full, or the folder cannot be written.
    """
    with replacing(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def home() -> Path:
    """The folder of all that labkit makes and fetches: records, checkpoints, data.

    The folder that the environment variable LABKIT_HOME names; else `data` of the clone
    that this code is part of; else `labkit` in the user's folder of data.
    """
    if named := os.environ.get("LABKIT_HOME"):
        return Path(named).expanduser().absolute()
    if (CLONE / "pyproject.toml").is_file():
        return CLONE / "data"
    if os.name == "nt":
        of_user = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    else:
        of_user = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(of_user).expanduser() / "labkit"


def find(folder: str, name: str) -> Path | None:
    """A file of that folder: one's own in `home()`, else the one the package came with.

    None if it is in neither.
    """
    for place in (home(), SHIPPED):
        path = place / folder / name
        if path.is_file():
            return path
    return None
