"""Kernels for headless execution: reached through files, so that none are confused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
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


def test_a_long_name_of_the_folder_for_temporary_files_is_avoided(tmp_path):
    """A socket's path has at most 107 bytes."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    program = (
        "from nbclient import NotebookClient; import nbformat\n"
        "from book import kernels\n"
        "cells = [nbformat.v4.new_code_cell('1')]\n"
        "client = NotebookClient(nbformat.v4.new_notebook(cells=cells),\n"
        "    kernel_manager_class=kernels.AsyncFileKernelManager)\n"
        "client.execute(); print(kernels._folder().name)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(long)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("/tmp/kernels-")


def test_without_a_place_for_sockets_kernels_listen_on_ports(monkeypatch):
    monkeypatch.setattr(kernels, "_folder", lambda: None)
    manager = kernels.FileKernelManager(kernel_name="python3")
    assert (manager.transport, manager.ip) == ("tcp", "127.0.0.1")


def test_under_nbval_a_kernel_that_dies_fails_its_cell_at_once(tmp_path):
    """Alone, nbval waits 2,000 s for its answer; other notebooks go on."""
    sources = {"dies": ["1", "import os; os._exit(9)", "2"], "lives": ["1"]}
    for name, cells in sources.items():
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    command = "-m pytest -q -p book.kernels --nbval-lax --nbval-current-env"
    ended = subprocess.run(
        [sys.executable, *command.split(), tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "The kernel died in this cell" in ended.stdout
    assert "2 failed, 2 passed" in ended.stdout
