"""`python -m theme build`: the command behind `make book`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from theme.check import faults
from theme.errors import BookError
from theme.pages import ARCHIVE, HERE

COMPLAINTS = ("⛔", "⚠", "The book cannot be built.")


def build(root: Path) -> Path:
    """Build the book of the project at `root` and check it; where its first page is.

    Raises:
        BookError: mystmd or the theme complained, or a link or picture leads nowhere.
    """
    environment = {**os.environ, "PATH": tool_path(), "PYTHONIOENCODING": "utf-8"}
    environment["BOOK_ROOT"] = str(root)
    install_assets(environment)
    if not shutil.which("ps") and os.name == "posix":
        raise BookError("mystmd needs the command ps: install the package procps.")
    run = subprocess.run(
        [tool("myst", environment), "build", "--html", "--strict", "--ci"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    # It exits with 0 after some of its own errors, hence the look at its output, where
    # a summary (lines that begin with a hyphen) repeats what came before.
    complaints = [
        line.strip()
        for line in run.stdout.splitlines()
        if any(mark in line for mark in COMPLAINTS) and not line.strip().startswith("-")
    ]
    if run.returncode or complaints:
        listed = "\n  ".join(dict.fromkeys(complaints)) or run.stdout
        raise BookError(f"mystmd reports (exit status {run.returncode}):\n  {listed}")
    folder = root / "_build" / "html"
    pack(folder)
    found = faults(folder)
    if found:
        raise BookError("Links or pictures lead nowhere:\n  " + "\n  ".join(found))
    return folder / "index.html"


def pack(folder: Path) -> None:
    """The whole book as one file in it, which a reader can take offline.

    The same pages give the same bytes: entries are sorted and have no date.
    """
    (folder / ARCHIVE).unlink(missing_ok=True)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with ZipFile(folder / ARCHIVE, "w", ZIP_DEFLATED) as archive:
        for file in files:
            name = f"{Path(ARCHIVE).stem}/{file.relative_to(folder).as_posix()}"
            archive.writestr(ZipInfo(name), file.read_bytes(), ZIP_DEFLATED)


def tool_path() -> str:
    """PATH with this environment's programs first: node, npm and python among them."""
    return str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")


def tool(name: str, environment: dict[str, str]) -> str:
    found = shutil.which(name, path=environment["PATH"])
    if found is None:
        raise BookError(
            f"There is no {name} beside {sys.executable}. Install the project with its "
            "extra `book`, or run `make book`, which does."
        )
    return found


def install_assets(environment: dict[str, str]) -> None:
    """Bring the packages of package-lock.json (KaTeX, axe) to theme/node_modules."""
    locked = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]

    def installed(place: str) -> str | None:
        manifest = HERE / place / "package.json"
        if not manifest.exists():
            return None
        return json.loads(manifest.read_text("utf-8"))["version"]

    if all(
        installed(place) == entry["version"] for place, entry in locked.items() if place
    ):
        return
    run = subprocess.run(
        [tool("npm", environment), "ci", "--ignore-scripts"],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if run.returncode:
        raise BookError(
            "npm could not fetch the style sheet and fonts of the mathematics, which "
            f"needs the network once:\n{run.stdout}"
        )
