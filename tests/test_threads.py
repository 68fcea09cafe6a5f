"""Wherever Python starts, threads sleep while they wait, unless the reader says no."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def policy(program: str, **environment: str) -> str:
    """What the variable is when torch is imported, as the program prints it."""
    inherited = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    ended = subprocess.run(
        [sys.executable, *program.split(" ", 1)],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


PRINT = "import os; print(os.environ.get('OMP_WAIT_POLICY'))"


@pytest.mark.parametrize("module", ["labkit", "labkit.training", "book.kernels"])
def test_threads_sleep_once_it_is_imported(module: str) -> None:
    assert policy(f"-c import {module}; {PRINT}") == "passive"


def test_what_the_reader_set_stays() -> None:
    assert policy(f"-c import labkit; {PRINT}", OMP_WAIT_POLICY="active") == "active"


def test_it_is_set_before_torch_is_imported() -> None:
    program = (
        "-c import builtins, os, sys; kept = builtins.__import__\n"
        "def watched(name, *rest):\n"
        "    if name == 'torch' and 'torch' not in sys.modules:\n"
        "        print(os.environ.get('OMP_WAIT_POLICY'))\n"
        "    return kept(name, *rest)\n"
        "builtins.__import__ = watched; import labkit"
    )
    assert policy(program) == "passive"


def test_threads_of_tests_sleep() -> None:
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
