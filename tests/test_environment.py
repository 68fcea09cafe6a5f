"""requirements.lock, pyproject.toml and environment.yml describe one environment."""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name as canonical
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

PINS: dict[str, str] = {
    canonical(name): version for name, version in (line.split("==") for line in LINES)
}
PYTHONS = [
    line.rpartition(" ")[2]
    for line in PYPROJECT["project"]["classifiers"]
    if line.startswith("Programming Language :: Python ::")
]
ASKED = [
    Requirement(line)
    for group in (
        PYPROJECT["build-system"]["requires"],
        PYPROJECT["project"]["dependencies"],
        *PYPROJECT["project"]["optional-dependencies"].values(),
    )
    for line in group
]

# The libraries of torch's CUDA build: on a machine that takes that build they come
# with it, at versions that follow from torch's own pin.
ACCELERATOR = ("nvidia-", "cuda-", "triton")


def test_the_lock_pins_exact_versions_in_order() -> None:
    for line in LINES:
        requirement = Requirement(line)
        assert str(requirement) == line, "no marker, hash or address"
        assert [clause.operator for clause in requirement.specifier] == ["=="]
    names = [line.partition("==")[0].lower() for line in LINES]
    assert names == sorted(set(names))


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_the_lock_satisfies_what_the_project_asks_for(asked: Requirement) -> None:
    assert asked.specifier.contains(PINS[canonical(asked.name)])


def test_the_project_sets_lower_bounds_only() -> None:
    for asked in ASKED:
        assert [clause.operator for clause in asked.specifier] == [">="]


def needed(python: str) -> set[str]:
    """What that Python needs on this system, read from the packages installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(asked, "") for asked in ASKED]
    while waiting:
        requirement, extra = waiting.pop()
        there = {
            "extra": extra,
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        if requirement.marker and not requirement.marker.evaluate(there):
            continue
        name = canonical(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in found and not name.startswith(ACCELERATOR):
                found.add((name, wanted))
                try:
                    requires = metadata.requires(name) or []
                except metadata.PackageNotFoundError:  # to be locked, so far unknown
                    requires = []
                waiting += [(Requirement(line), wanted) for line in requires]
    return {name for name, _ in found}


@pytest.mark.skipif(sys.platform != "linux", reason="the lock was made on Linux")
def test_the_lock_holds_what_some_promised_python_needs_and_nothing_else() -> None:
    """One lock for all: what an older Python needs does a newer one no harm."""
    assert set().union(*map(needed, PYTHONS)) == set(PINS)


def test_the_pythons_promised_begin_with_the_oldest_allowed() -> None:
    allowed = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert str(allowed) == f">={PYTHONS[0]}"
    assert all(allowed.contains(f"{python}.0") for python in PYTHONS)


@pytest.mark.parametrize("name", sorted(PINS))
def test_this_environment_is_the_locked_one(name: str) -> None:
    installed = metadata.version(name)
    assert SpecifierSet(f"=={PINS[name]}").contains(installed), "To mend it: make book"


def test_conda_takes_the_lock_and_a_python_that_the_project_allows() -> None:
    python, pip, from_pip = CONDA["dependencies"]
    allowed = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert python.startswith("python=")
    assert allowed.contains(Version(python.removeprefix("python=")))
    assert pip == "pip"
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}
