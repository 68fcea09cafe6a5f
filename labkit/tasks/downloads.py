"""Data files that are not ours to ship: where they lie, how they come, are they right.

A download is trusted when its bytes have the checksums written down beside its address,
and gets its name only then.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from labkit.files import home, write_atomically
from labkit.progress import Progress

CHUNK = 1 << 16
"""Bytes read from the network at a time."""

MOST_BYTES = 1 << 25
"""Of one file. They are held in memory; the largest of Omniglot has 10 million."""

KINDS = ("sha256", "md5", "git_blob")


class MissingData(Exception):  # noqa: N818
    """A data file is not there. The message says how to get it."""


class DamagedData(Exception):  # noqa: N818
    """A data file is there and is not what it should be."""


@dataclass(frozen=True)
class DataFile:
    """One file of a public data set.

    Attributes:
        dataset: the name of the set, and of its folder.
        name: the name of the file.
        url: where it can be downloaded.
        checksums: from the kind ("sha256", "md5" or "git_blob") to the value, in
            hexadecimal. All must hold. A "git_blob" is the name git gives to content,
            sha1("blob SIZE\\0" + content): the file's id in its repository.
        subfolders: where other programs put it, inside the folder of the set.

    Raises:
        ValueError: the name is a path, or there is no checksum, or one of another kind.
    """

    dataset: str
    name: str
    url: str
    checksums: dict[str, str]
    subfolders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise ValueError(f"name={self.name!r} must be that of a file, not a path.")
        unknown = set(self.checksums) - set(KINDS)
        if unknown or not self.checksums:
            raise ValueError(
                f"{self.name} needs at least one checksum, each of one of the kinds "
                f"{', '.join(KINDS)}, and was given {sorted(self.checksums)}."
            )

    def path(self, folder: Path | None = None) -> Path:
        """Its place: in `folder`, $LABKIT_DATA, or DATASET of `labkit.files.home`."""
        named = os.environ.get("LABKIT_DATA")
        if folder is None and named:
            folder = Path(named).expanduser()
        if folder is None:
            folder = home() / self.dataset
        return folder / self.name


def find(file: DataFile, folder: Path | None = None) -> Path:
    """The archive, or else the folder it was unpacked to, which has its name less .zip.

    Neither is checked.

    Raises:
        MissingData: neither is there.
    """
    top = file.path(folder).parent
    for place in (top, *(top / name for name in file.subfolders)):
        archive = place / file.name
        if archive.is_file():
            return archive
        if archive.with_suffix("").is_dir():
            return archive.with_suffix("")
    raise _missing(file, folder)


def locate(file: DataFile, folder: Path | None = None) -> Path:
    """The path of an archive that is there and has its checksums.

    Raises:
        MissingData: there is no such file.
        DamagedData: its bytes are not those expected.
    """
    path = file.path(folder)
    if not path.is_file():
        raise _missing(file, folder)
    if mismatch := wrong_bytes(path, file):
        raise DamagedData(f"{mismatch} Delete {path} and fetch it again.")
    return path


def wrong_bytes(path: Path, file: DataFile) -> str | None:
    """What tells the bytes at `path` from the published ones; None if nothing does."""
    with path.open("rb") as opened:
        return _mismatch(opened.read(MOST_BYTES + 1), file)


def fetch(file: DataFile, folder: Path | None = None) -> Path:
    """Download a file unless it is there, check it, and only then give it its name.

    Whatever stops it, be it the network, a wrong checksum or Ctrl-C, no part of the
    download is left behind. Two at once do not disturb each other.

    Raises:
        DamagedData: what came, or what lay there before, has a wrong checksum.
        MissingData: it could not be downloaded.
        NotWrittenError: it came, and the disk is full or the folder not writable.
    """
    path = file.path(folder)
    if path.exists():
        return locate(file, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingData(
            f"There is no place for {file.name}: the folder {path.parent} cannot be "
            f"made ({error.strerror}). Let the environment variable LABKIT_DATA name a "
            "folder of your own."
        ) from error
    try:
        content = _download(file)
    except (OSError, HTTPException) as error:
        raise MissingData(
            f"{file.name} could not be fetched from {file.url} ({error}). Try again, "
            f"or fetch it by other means and put it into {path.parent}."
        ) from error
    if mismatch := _mismatch(content, file):
        raise DamagedData(
            f"{mismatch} It came from {file.url} and was not kept. Try again; if it "
            "happens twice, the file at that address has changed."
        )
    write_atomically(path, content)
    return path


def digest(content: bytes, kind: str) -> str:
    """The checksum of `content`, in hexadecimal."""
    if kind == "git_blob":
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.new(kind, content).hexdigest()


def _missing(file: DataFile, folder: Path | None) -> MissingData:
    place = file.path(folder).parent
    named = os.environ.get("LABKIT_DATA")
    if folder is None and named and not place.is_dir():
        return MissingData(f"LABKIT_DATA={named} is not a folder that is there.")
    return MissingData(
        f"{file.name} is not in {place}. Get it with "
        f"`python -m labkit data {file.dataset}`, or put it into a folder of your "
        "own and let the environment variable LABKIT_DATA name that folder."
    )


def _mismatch(content: bytes, file: DataFile) -> str | None:
    if len(content) > MOST_BYTES:
        return f"{file.name} is another file: it has more than {MOST_BYTES:,} bytes."
    for kind, expected in file.checksums.items():
        found = digest(content, kind)
        if found != expected:
            return (
                f"{file.name} is incomplete or another file: its {kind} should be "
                f"{expected} and is {found} ({len(content):,} bytes)."
            )
    return None


def _download(file: DataFile) -> bytes:
    """What the address sends, but not much more than `MOST_BYTES`."""
    try:
        answer = urllib.request.urlopen(file.url, timeout=30)
    except HTTPError as refusal:
        refusal.close()  # It is an open connection too.
        raise
    content = bytearray()
    with answer:
        announced = answer.headers.get("Content-Length") or ""
        size = int(announced) if announced.isdecimal() else 0
        progress = Progress(f"{file.name}, bytes", size)
        while len(content) <= MOST_BYTES and (chunk := answer.read(CHUNK)):
            content += chunk
            progress(len(content))
    return bytes(content)
