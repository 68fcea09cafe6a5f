"""Imports of labkit run one way: each room may import those named for it, no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import griffe
import pytest

LABKIT = Path(__file__).parents[1] / "labkit"

BASE = {"arguments", "device", "episode", "files", "progress", "randomness"}
CORE = BASE | {"gaussian", "learner", "objective", "networks"}
MAY_IMPORT = {
    **{room: {"arguments"} for room in BASE},
    "arguments": set(),
    "gaussian": set(),
    "learner": {"episode"},
    "objective": {"episode", "learner"},
    "networks": {"arguments", "randomness"},
    "tasks": BASE,
    "learners": CORE,
    "learners.baselines": CORE | {"learners"},
    "learners.oracles": CORE | {"learners", "tasks"},
    "evaluation": CORE,
    "fingerprint": set(),
    "checkpoint": CORE | {"evaluation", "fingerprint"},
    "training": CORE | {"checkpoint", "evaluation"},
    "measures": CORE | {"evaluation", "learners"},
    "language_models": CORE | {"evaluation"},
    "experiments": CORE
    | {"evaluation", "learners", "measures", "networks", "tasks", "training"},
    "figures": CORE | {"evaluation", "experiments", "learners", "measures", "tasks"},
}
FILES = [p for p in LABKIT.rglob("*.py") if p.parent != LABKIT or p.stem in MAY_IMPORT]


def room_of(module: str) -> str:
    """labkit.learners.oracles.linear -> learners.oracles"""
    parts = module.split(".")[1:]
    return next(
        (room for n in (2, 1) if (room := ".".join(parts[:n])) in MAY_IMPORT), parts[0]
    )


def imports(path: Path) -> set[str]:
    nodes = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labkit")
    ]
    packages = {n.module for n in nodes if n.module and n.module != "labkit"}
    return packages | {
        f"labkit.{alias.name}"
        for node in nodes
        if node.module == "labkit"
        for alias in node.names
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(LABKIT)))
def test_a_room_imports_those_below_it_alone(path):
    room = room_of(".".join(path.with_suffix("").relative_to(LABKIT.parent).parts))
    allowed = MAY_IMPORT[room] | {room}
    assert {room_of(module) for module in imports(path)} <= allowed


def test_rooms_form_no_circle():
    left = dict(MAY_IMPORT)
    while left:
        free = [
            room for room, below in left.items() if not below & (set(left) - {room})
        ]
        assert free, f"a circle among {sorted(left)}"
        for room in free:
            del left[room]


def test_the_root_fits_one_screen():
    shown = [p for p in LABKIT.iterdir() if p.name != "__pycache__"]
    assert len(shown) <= 24


def test_randomness_has_one_owner():
    makes = ("manual_seed(", "torch.Generator(", "random.seed(", "default_rng(")
    owners = {
        str(path.relative_to(LABKIT))
        for path in LABKIT.rglob("*.py")
        if any(word in path.read_text("utf-8") for word in makes)
    }
    # `device.choose` makes one to see whether the device can, and draws nothing
    assert owners <= {"randomness.py", "device.py"}


def docstrings(path: Path) -> list[griffe.Docstring]:
    module = griffe.visit(
        path.stem,
        filepath=path,
        code=path.read_text("utf-8"),
        docstring_parser="google",
    )
    found: list[griffe.Docstring] = []
    left: list[Any] = [module]
    while left:
        one = left.pop()
        found += [one.docstring] if one.docstring and not one.is_module else []
        left += [member for member in one.members.values() if not member.is_alias]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(LABKIT)))
def test_docstrings_are_in_the_style_that_editors_read(path):
    """Google's. A paragraph that begins with an argument's name belongs under Args."""
    for docstring in docstrings(path):
        sections = docstring.parse("google")
        documented = {
            item.name.lstrip("*")
            for section in sections
            if section.kind.value in ("parameters", "attributes")
            for item in section.value
        }
        owner: Any = docstring.parent
        known = {*owner.members, *(p.name.strip("*") for p in parameters(owner))}
        assert documented <= known, f"{owner.path}: {documented - known}"
        for section in sections:
            if section.kind.value == "text":
                begun = re.findall(r"(?:\n\n|^)(\w+): ", section.value)
                assert not set(begun) & known, f"{owner.path}: {begun}"


def parameters(owner: Any) -> list[griffe.Parameter]:
    if owner.is_class and "__init__" in owner.members:
        owner = owner.members["__init__"]
    return list(owner.parameters) if owner.is_function else []
