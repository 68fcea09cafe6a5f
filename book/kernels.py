"""Kernels reached through files, so that no other program can take their place.

Jupyter picks five free ports, and the kernel takes them a second later. If one has gone
to another program by then, be it for a connection of its own, the kernel ends, or, when
it is the port of its heartbeat or of its output, stays and never answers. That happens
once in a while where notebooks are executed side by side. A socket that is a file has a
name nobody else draws.

`pytest -p book.kernels` gives such kernels to nbval, and notices when one has died.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from functools import cache
from queue import Empty
from typing import Any

from jupyter_client.connect import ConnectionFileMixin
from jupyter_client.localinterfaces import localhost
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets import default

# A socket's path has at most 103 bytes on macOS, 107 on Linux. Below the folder come
# the name of a kernel and the number of its socket.
LONGEST_FOLDER = 103 - len("/0123456789ab-5")


@cache
def _folder() -> tempfile.TemporaryDirectory[str] | None:
    """Where sockets lie: TMPDIR, or /tmp where that is too long; None without both."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        try:
            folder = tempfile.TemporaryDirectory(prefix="kernels-", dir=parent)
        except OSError:
            continue
        if len(os.fsencode(folder.name)) <= LONGEST_FOLDER:
            return folder
        folder.cleanup()
    return None


class _ThroughFiles(ConnectionFileMixin):
    @default("transport")
    def _kind(self) -> str:
        return "ipc" if os.name == "posix" and _folder() else "tcp"

    @default("ip")
    def _place(self) -> str:
        folder = _folder()
        if self.transport == "tcp" or folder is None:
            return localhost()
        return f"{folder.name}/{uuid.uuid4().hex[:12]}"


class FileKernelManager(_ThroughFiles, KernelManager):
    """For code that waits for kernels."""


class AsyncFileKernelManager(_ThroughFiles, AsyncKernelManager):
    """For code that awaits them."""


def pytest_configure() -> None:
    import nbval.kernel
    import nbval.plugin

    class WatchedKernel(nbval.kernel.RunningKernel):  # type: ignore[misc]
        """nbval waits 2,000 s for the answer of a kernel that is no more."""

        def get_message(self, stream: str, timeout: float | None = None) -> Any:
            end = time.monotonic() + (float("inf") if timeout is None else timeout)
            while True:
                left = end - time.monotonic()
                try:
                    return super().get_message(stream, timeout=max(0, min(1, left)))
                except Empty:
                    if not self.is_alive():
                        raise RuntimeError(
                            "The kernel died in this cell: it ran out of memory, or "
                            "was killed."
                        ) from None
                    if left <= 1:
                        raise

    nbval.kernel.KernelManager = FileKernelManager
    nbval.plugin.RunningKernel = WatchedKernel
