"""Kernels for headless execution: reached through files, so that none are confused."""

import json
import os
from pathlib import Path

import nbval.kernel
import pytest

from book import kernels

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets that are files")


def test_a_kernel_answers_and_has_no_port_that_another_program_could_take():
    manager = kernels.FileKernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=["--log-level=ERROR"])
    client = manager.client()
    try:
        connection = json.loads(Path(manager.connection_file).read_text())
        assert connection["transport"] == "ipc"
        client.start_channels()
        client.wait_for_ready(timeout=60)
        assert client.execute_interactive("1", timeout=60)["content"]["status"] == "ok"
        assert Path(f"{connection['ip']}-{connection['shell_port']}").is_socket()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_no_two_kernels_share_a_name():
    managers = [
        kind() for kind in (kernels.FileKernelManager, kernels.AsyncFileKernelManager)
    ]
    assert len({manager.ip for manager in managers}) == 2


def test_the_plugin_gives_such_kernels_to_nbval(monkeypatch):
    monkeypatch.setattr(nbval.kernel, "KernelManager", None)
    kernels.pytest_configure()
    assert nbval.kernel.KernelManager is kernels.FileKernelManager
