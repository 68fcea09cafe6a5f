"""Imports of labkit run one way: each room may import those named for it, no others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

LABKIT = Path(__file__).parents[1] / "labkit"

BASE = {"device", "episode", "files", "progress", "randomness"}
CORE = BASE | {"gaussian", "learner", "objective", "networks"}
MAY_IMPORT = {
    **{room: set() for room in BASE},
    "gaussian": set(),
    "learner": set(),
    "objective": {"episode", "learner"},
    "networks": {"randomness"},
    "tasks": BASE,
    "learners": CORE,
    "learners.baselines": CORE | {"learners"},
    "learners.oracles": CORE | {"learners", "tasks"},
    "evaluation": CORE,
    "training": CORE | {"evaluation"},
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
    packages = {node.module for node in nodes if node.module != "labkit"}
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
    assert owners <= {"randomness.py", "device.py", "training.py"}
