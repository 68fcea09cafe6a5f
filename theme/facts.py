"""What stands above and below a chapter: how long it takes, what it needs, where its
numbers come from, and how to take it along. All of it is read, nothing is typed in."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from theme.content import Site
from theme.errors import BookError
from theme.tree import Node, walk, words

if TYPE_CHECKING:
    from labkit.experiments.records import Record

# Seconds to read a word, a line of code, a displayed formula, a figure or a table.
WORD, CODE_LINE, FORMULA, FIGURE = 0.3, 2, 15, 30
# `name = value`, with or without a type and a remark.
SET = re.compile(r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(.+?)\s*(?:#.*)?$", re.M)


@dataclass(frozen=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True)
class Facts:
    reading_minutes: int
    running_seconds: int | None
    needs: list[Link]
    files: list[Link]
    """The notebook and its script, in the book's own folder."""
    launches: list[Link]
    provenance: list[tuple[str, str]]


def facts(site: Site, slug: str) -> Facts | None:
    """The facts of a chapter; None for a page that is not a notebook."""
    page = site.pages[slug]
    notebook = site.root / page["location"].lstrip("/")
    if notebook.suffix != ".ipynb":
        return None
    guide = _read(notebook.with_name("guide.yml"), yaml.safe_load)
    timing = _read(notebook.with_name("timings.json"), json.loads).get(notebook.stem)
    return Facts(
        reading_minutes=max(1, round(reading_seconds(page["mdast"]) / 60)),
        running_seconds=timing and timing["seconds"],
        needs=_needs(site, guide.get(notebook.stem, {}).get("needs", [])),
        files=_files(site, notebook),
        launches=launches(page["frontmatter"].get("github"), page["location"]),
        provenance=provenance(site.root, notebook, page, timing),
    )


def _read(file: Path, parse: Any) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        return parse(file.read_text("utf-8")) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise BookError(f"{file.name} cannot be read: {error}") from error


def reading_seconds(tree: Node) -> float:
    seconds = 0.0
    for node in walk(tree):
        if node["type"] == "text":
            seconds += WORD * len(node["value"].split())
        elif node["type"] == "code":
            seconds += CODE_LINE * len(node.get("value", "").splitlines())
        elif node["type"] == "math":
            seconds += FORMULA
        elif node["type"] == "container" and node.get("kind") in ("figure", "table"):
            seconds += FIGURE
    return seconds


def _needs(site: Site, slugs: list[str]) -> list[Link]:
    unknown = [slug for slug in slugs if slug not in site.pages]
    if unknown:
        raise BookError(
            f"guide.yml names {', '.join(unknown)} as what a chapter builds on. "
            f"The pages are: {', '.join(site.pages)}."
        )
    return [Link(site.titles[slug], site.href(f"/{slug}")) for slug in slugs]


def _files(site: Site, notebook: Path) -> list[Link]:
    found = [f for f in (notebook, notebook.with_suffix(".py")) if f.exists()]
    return [Link(file.name, site.take(file)) for file in found]


def launches(repository: str | None, location: str) -> list[Link]:
    """Where the notebook can be run: here always, elsewhere once it is public.

    Args:
        repository: `project.github` of myst.yml as mystmd completes it, or None.
        location: of the notebook in the repository, with a slash in front.
    """
    path = quote(location)
    local = [
        Link("JupyterLab, after make lab", f"http://localhost:8888/lab/tree{path}")
    ]
    if repository is None:
        return local
    name = repository.removeprefix("https://github.com/").strip("/")
    binder = (
        f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath={quote('lab/tree' + path)}"
    )
    colab = f"https://colab.research.google.com/github/{name}/blob/HEAD{path}"
    return [*local, Link("Binder", binder), Link("Colab", colab)]


def provenance(
    root: Path, notebook: Path, page: Node, timing: dict[str, Any] | None
) -> list[tuple[str, str]]:
    """Where the numbers of a chapter come from; what is not known is left out."""
    code = "\n".join(
        node.get("value", "") for node in walk(page["mdast"]) if node["type"] == "code"
    )
    found = [("Commit", _commit(notebook)), ("Environment", _lock(root))]
    parameters = _parameters(page["mdast"])
    found += [
        (name.capitalize(), str(parameters[name]))
        for name in ("seed", "profile")
        if name in parameters
    ]
    if timing:
        found += [
            ("Device", f"{timing['device']}, one thread"),
            ("Computed in", f"{timing['seconds']} s of processor time"),
        ]
    stored = sorted((root / "data" / "results").glob("*.json"))
    for record in _records([file for file in stored if f'"{file.stem}"' in code]):
        sums = {"weights": record.checkpoint_sha256, **record.data_sha256}
        listed = [f"{what} {sha[:12]}" for what, sha in sums.items() if sha]
        said = f"made at {record.commit} in {record.seconds:.0f}\u00a0s"
        if listed:
            said += "; sha256 of " + ", ".join(listed)
        found.append((f"Record {record.experiment}", said))
    # A sweep has a name for its command, and one record for each of its trainings.
    for sweep in re.findall(r"labkit\s+train\s+'(\S+\*\S*)'", words(page["mdast"])):
        records = _records([file for file in stored if fnmatch(file.stem, sweep)])
        if not records:
            continue
        commits = sorted({record.commit for record in records})
        seconds = sum(record.seconds for record in records)
        said = f"made at {', '.join(commits)} in {seconds:.0f}\u00a0s"
        found.append((f"{len(records)} records {sweep}", said))
    return [(name, value) for name, value in found if value]


def _records(files: list[Path]) -> list[Record]:
    if not files:
        return []
    # It brings torch, for which a book without records need not wait.
    from labkit.experiments.records import Record

    found = []
    for file in files:
        try:
            found.append(Record.of(json.loads(file.read_text("utf-8"))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BookError(
                f"{file} is no record ({type(error).__name__}: {error}). Restore it "
                f"with git checkout, or make it again: labkit train {file.stem}."
            ) from error
    return found


def _commit(file: Path) -> str:
    """The last one that changed the file; empty where git or its history is missing."""
    git = ["git", "log", "-1", "--format=%h of %cs", "--", file.name]
    try:
        run = subprocess.run(git, cwd=file.parent, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip()


def _lock(root: Path) -> str:
    lock = root / "requirements.lock"
    if not lock.exists():
        return ""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return f"requirements.lock, sha256 {digest[:12]}"


def _parameters(tree: Node) -> dict[str, str]:
    """What the cell tagged `parameters` sets: names, and values as they are written."""
    for block in walk(tree):
        if "parameters" in (block.get("data") or {}).get("tags", ()):
            code = next((n["value"] for n in walk(block) if n["type"] == "code"), "")
            return {name: value.strip("\"'") for name, value in SET.findall(code)}
    return {}
