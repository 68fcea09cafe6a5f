"""Data files that are not ours to ship: where they lie, how they come, are they right.

A file is trusted when its bytes have the checksums written down beside its address:
after a download before it gets its name, and again whenever it is read.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from labkit.files import home
from labkit.progress import Progress

CHUNK = 1 << 16
"""Bytes read from the network at a time."""


class MissingData(Exception):  # noqa: N818
    """A data file is not there. The message says how to get it."""


class DamagedData(Exception):  # noqa: N818
    """A data file is there and is not what it should be."""


@dataclass(frozen=True)
class DataFile:
    """One file of a public data set.

    Attributes:
        checksums: from the kind ("sha256", "md5" or "git_blob") to the value, in
            hexadecimal. All must hold. A "git_blob" is the name git gives to content,
            sha1("blob SIZE\\0" + content): the file's id in its repository.
    """

    dataset: str
    name: str
    url: str
    checksums: dict[str, str]

    def path(self, folder: Path | None = None) -> Path:
        """Its place: in `folder`, $LABKIT_DATA, or DATASET of `labkit.files.home`."""
        named = os.environ.get("LABKIT_DATA")
        if folder is None and named:
            folder = Path(named).expanduser()
        if folder is None:
            folder = home() / self.dataset
        return folder / self.name


def locate(file: DataFile, folder: Path | None = None) -> Path:
    """The path of a file that is there and has its checksums.

    Raises:
        MissingData: there is no such file.
        DamagedData: its bytes are not those expected.
    """
    path = file.path(folder)
    if not path.is_file():
        named = os.environ.get("LABKIT_DATA")
        if folder is None and named and not path.parent.is_dir():
            raise MissingData(f"LABKIT_DATA={named} is not a folder that is there.")
        raise MissingData(
            f"{file.name} is not in {path.parent}. Get it with "
            f"`python -m labkit data {file.dataset}`, or put it into a folder of your "
            "own and let the environment variable LABKIT_DATA name that folder."
        )
    try:
        _verify(path, file)
    except DamagedData as error:
        raise DamagedData(f"{error} Delete {path} and fetch it again.") from None
    return path


def fetch(file: DataFile, folder: Path | None = None) -> Path:
    """Download a file unless it is there, check it, and only then give it its name.

    Whatever stops it, be it the network, a wrong checksum or Ctrl-C, no part of the
    download is left behind.

    Raises:
        DamagedData: what came, or what lay there before, has a wrong checksum.
        MissingData: it could not be downloaded.
    """
    path = file.path(folder)
    if path.exists():
        return locate(file, folder)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(file, part)
        _verify(part, file)
        part.replace(path)
    except DamagedData as error:
        raise DamagedData(
            f"{error} It came from {file.url} and was not kept. Try again; if it "
            "happens twice, the file at that address has changed."
        ) from None
    except (OSError, HTTPException) as error:
        raise MissingData(
            f"{file.name} could not be fetched from {file.url} ({error}). Try again, "
            f"or fetch it by other means and put it into {path.parent}."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def digest(content: bytes, kind: str) -> str:
    """The checksum of `content`, in hexadecimal."""
    if kind == "git_blob":
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.new(kind, content).hexdigest()


def _verify(path: Path, file: DataFile) -> None:
    content = path.read_bytes()
    for kind, expected in file.checksums.items():
        found = digest(content, kind)
        if found != expected:
            raise DamagedData(
                f"{file.name} is incomplete or another file: its {kind} should be "
                f"{expected} and is {found} ({len(content):,} bytes)."
            )


def _download(file: DataFile, path: Path) -> None:
    try:
        answer = urllib.request.urlopen(file.url, timeout=30)
    except HTTPError as refusal:
        refusal.close()  # It is an open connection too.
        raise
    with answer, path.open("wb") as part:
        size = int(answer.headers.get("Content-Length", 0))
        progress = Progress(f"{file.name}, bytes", size)
        while chunk := answer.read(CHUNK):
            part.write(chunk)
            progress(part.tell())
