"""Continuous integration, hooks and what a release states, held to one another."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from theme.check import addresses

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def jobs(name: str) -> dict[str, Any]:
    file = ROOT / ".github" / "workflows" / f"{name}.yml"
    found: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))["jobs"]
    return found


# A version is one thing


def test_the_changelog_begins_with_what_is_unreleased_and_then_this_version() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(
        re.escape(PROJECT["version"]) + r" \(\d{4}-\d\d-\d\d\)", headings[1]
    ), headings[1]


def test_the_citation_names_this_version_and_its_date() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == PROJECT["version"]
    assert f"## {cited['version']} ({cited['date-released']})" in CHANGELOG
    year = f"year   = {{{cited['date-released'].year}}}"
    assert year in (ROOT / "citation.bib").read_text("utf-8")


def test_a_release_changes_none_of_the_addresses_that_readers_keep(
    tmp_path: Path,
) -> None:
    for page, anchor in (("changelog", "unreleased"), ("maml", "exercises")):
        (tmp_path / f"{page}.html").write_text(f'<h2 id="{anchor}"></h2>', "utf-8")
    assert addresses(tmp_path) == [
        "changelog.html",
        "maml.html",
        "maml.html#exercises",
    ]


# What runs on a public host


@every_workflow
def test_an_action_is_pinned_by_a_commit_and_names_its_version(file: Path) -> None:
    """A tag can be moved to other code; the comment says what the hash stands for."""
    used = re.findall(r"uses: (.+)", file.read_text("utf-8"))
    assert used
    for action in used:
        pinned = re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", action)
        assert pinned or action.startswith("./.github/"), action


@every_workflow
def test_a_workflow_may_read_unless_a_job_says_more(file: Path) -> None:
    assert yaml.safe_load(file.read_text("utf-8"))["permissions"] == {
        "contents": "read"
    }


def test_every_promised_python_is_tested_on_linux_and_macos() -> None:
    matrix = jobs("test")["test"]["strategy"]["matrix"]
    named = [f"Programming Language :: Python :: {one}" for one in matrix["python"]]
    promised = [one for one in PROJECT["classifiers"] if ":: Python ::" in one]
    assert named == promised
    assert {system.partition("-")[0] for system in matrix["system"]} == {
        "ubuntu",
        "macos",
    }


@pytest.mark.parametrize("name", ["test", "newest"])
def test_a_host_runs_what_a_contributor_types(name: str) -> None:
    steps = jobs(name)["test"]["steps"]
    assert steps[-1] == {"run": "make test PYTHON=python"}


def test_a_hosts_name_has_its_place_in_the_books_configuration() -> None:
    """Workflows put the repository's name there, so that pages link to it."""
    place = re.compile(r"^  (# github: owner/name|github: [\w.-]+/[\w.-]+)$", re.M)
    assert place.search((ROOT / "myst.yml").read_text("utf-8"))


# Before a commit


def test_hooks_run_the_tools_of_the_lock_as_make_test_does() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for name in ("style", "format", "types"):
        entry = hooks[name]["entry"].removesuffix(" --force-exclude")
        command = entry.removeprefix(".venv/bin/python -m ")
        assert f"$(RUN) {command}" in makefile, command
    assert all(hook["language"] == "system" for hook in hooks.values())
