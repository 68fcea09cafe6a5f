"""Kernels reached through files, so that no other program can take their place.

Jupyter picks five free ports, and the kernel takes them a second later. If one has gone
to another program by then, be it for a connection of its own, the kernel ends, or, when
it is the port of its heartbeat or of its output, stays and never answers. That happens
once in a while where notebooks are executed side by side. A socket that is a file has a
name nobody else draws.

`pytest -p book.kernels` gives such kernels to nbval.
"""

from __future__ import annotations

import os
import tempfile
import uuid

from jupyter_client.connect import ConnectionFileMixin
from jupyter_client.localinterfaces import localhost
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets import default

_FOLDER = tempfile.TemporaryDirectory(prefix="kernels-")


class _ThroughFiles(ConnectionFileMixin):
    @default("transport")
    def _kind(self) -> str:
        return "ipc" if os.name == "posix" else "tcp"

    @default("ip")
    def _place(self) -> str:
        if self.transport == "tcp":
            return localhost()
        return f"{_FOLDER.name}/{uuid.uuid4().hex[:12]}"


class FileKernelManager(_ThroughFiles, KernelManager):
    """For code that waits for kernels."""


class AsyncFileKernelManager(_ThroughFiles, AsyncKernelManager):
    """For code that awaits them."""


def pytest_configure() -> None:
    import nbval.kernel

    nbval.kernel.KernelManager = FileKernelManager
