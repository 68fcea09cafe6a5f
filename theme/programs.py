"""Programs that pip installed beside Python: myst, and with Node, node and npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from theme.errors import BookError


def tool_path() -> str:
    """PATH with this environment's programs first: node, npm and python among them."""
    return str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")


def tool(name: str) -> str:
    """Where the program is.

    Raises:
        BookError: it is not installed.
    """
    found = shutil.which(name, path=tool_path())
    if found is None:
        raise BookError(
            f"There is no {name} beside {sys.executable}. Install the project with its "
            "extra `book`, or run `make book`, which does."
        )
    return found


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder; its output and its complaints are one text."""
    return subprocess.run(
        [tool(name), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": tool_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
