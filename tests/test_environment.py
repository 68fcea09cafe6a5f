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

PINS = {
    canonical(name): version for name, version in (line.split("==") for line in LINES)
}
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


@pytest.mark.skipif(sys.platform != "linux", reason="the lock was made on Linux")
def test_the_lock_holds_what_is_needed_and_nothing_else() -> None:
    needed: set[tuple[str, str]] = set()
    waiting = [(asked, "") for asked in ASKED]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonical(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in needed and not name.startswith(ACCELERATOR):
                needed.add((name, wanted))
                requires = metadata.requires(name) or []
                waiting += [(Requirement(line), wanted) for line in requires]
    assert {name for name, _ in needed} == set(PINS)


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
