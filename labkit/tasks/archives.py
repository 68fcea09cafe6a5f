"""The many small files of a data set, in a zip or unpacked into a folder.

What comes from elsewhere may be garbled, or made to fill the memory of who reads it. So
nothing is read before its size is bounded, and whatever cannot be read is named.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import IO

from labkit.tasks.downloads import MOST_BYTES, DamagedData

Opens = Callable[[], IO[bytes]]

MOST_FILES = 50_000
"""In an archive or folder. The whole of Omniglot has 32,460 drawings."""

MOST_BYTES_OF_A_FILE = 1 << 16
"""Of one file, after it is unpacked. The largest drawing of Omniglot has 980 bytes."""


@dataclass(frozen=True)
class SmallFiles:
    """Files by their names, "/" between folders.

    Attributes:
        path: the zip or folder that they are in.
        members: from each name, in order of name, to a call that opens the file.
    """

    path: Path
    members: Mapping[str, Opens]

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            DamagedData: it is not there, cannot be read, or is too large.
        """
        if name not in self.members:
            raise DamagedData(f"{name} of {self.path} cannot be read: it is not there.")
        try:
            with self.members[name]() as file:
                content = file.read(MOST_BYTES_OF_A_FILE + 1)
        except Exception as error:  # garbled bytes lead zipfile to errors of ten kinds
            raise DamagedData(
                f"{name} of {self.path} cannot be read ({error})."
            ) from error
        if len(content) > MOST_BYTES_OF_A_FILE:
            raise DamagedData(
                f"{name} of {self.path} has more than {MOST_BYTES_OF_A_FILE:,} bytes: "
                "it is no file of this data set."
            )
        return content


@contextmanager
def opened(path: Path) -> Iterator[SmallFiles]:
    """The files of a zip or folder, without those that macOS adds.

    Raises:
        DamagedData: it is not a whole zip, or too large, or compressed in a way that
            the size of what comes out cannot be bounded.
    """
    if path.is_dir():
        yield _sorted(path, _in_folder(path))
        return
    if (size := path.stat().st_size) > MOST_BYTES:
        raise DamagedData(
            f"{path} has {size:,} bytes, and no archive of this data set has more than "
            f"{MOST_BYTES:,}."
        )
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # garbled bytes lead zipfile to errors of ten kinds
        raise DamagedData(
            f"{path} is not a whole zip archive ({error}). Delete it and fetch it "
            "again."
        ) from error
    with archive:
        yield _sorted(path, _in_zip(archive))


def _sorted(path: Path, members: Iterator[tuple[str, Opens]]) -> SmallFiles:
    found: dict[str, Opens] = {}
    for name, call in members:
        folder, _, last = name.rpartition("/")
        if folder.partition("/")[0] == "__MACOSX" or last.startswith("."):
            continue
        if name in found:
            raise DamagedData(f"{path} holds {name} twice.")
        found[name] = call
        if len(found) > MOST_FILES:
            raise DamagedData(
                f"{path} holds more than {MOST_FILES:,} files, and no part of this "
                "data set does."
            )
    return SmallFiles(path, dict(sorted(found.items())))


def _in_zip(archive: zipfile.ZipFile) -> Iterator[tuple[str, Opens]]:
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DamagedData(
                f"{info.filename} of {archive.filename} is compressed otherwise than "
                'by "deflate", as the archives of the release are. Zip it anew.'
            )
        if not info.is_dir():
            yield info.filename, partial(archive.open, info)


def _in_folder(path: Path) -> Iterator[tuple[str, Opens]]:
    for folder, _, names in os.walk(path):
        inside = Path(folder).relative_to(path).as_posix()
        for name in names:
            file = os.path.join(folder, name)
            if os.path.isfile(file):  # and no pipe, which would never end
                known_as = name if inside == "." else f"{inside}/{name}"
                yield known_as, partial(FileIO, file)
