"""Shapes and types of every labkit signature are checked in every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from matplotlib import pyplot as plt

from tests.small_chapter import SCRIPT

# As labkit does, which some tests import after torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

install_import_hook("labkit", "beartype.beartype")


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """The notebook path of a chapter that is only a script so far."""
    (tmp_path / "01_first.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path / "01_first.ipynb"


@pytest.fixture
def as_called_by_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not enforced, as nobody enforces them outside the tests."""
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No test leaves its figures to the next."""
    yield
    plt.close("all")
