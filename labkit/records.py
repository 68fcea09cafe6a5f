"""Records: what a long experiment found, kept so that pages and tests can cite it.

A record is one JSON file in `data/results/`, written by `python -m labkit train NAME`
and never by hand. Where a chapter loads the trained weights, they lie beside it in
`data/checkpoints/`, and the record holds their sha256.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatch
from html import escape
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from labkit.evaluation import Evaluation
from labkit.learners.learner import Learner

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "data" / "results"
CHECKPOINTS = REPOSITORY / "data" / "checkpoints"


@dataclass(frozen=True)
class Published:
    """A figure from the literature, to stand beside ours."""

    value: float
    source: str


@dataclass(frozen=True)
class Figure:
    """One evaluated number and the protocol behind it.

    unit: "accuracy" for a fraction, or what the number is measured in, such as "nats".
    """

    tasks: str
    mean: float
    ci95: float
    n_tasks: int
    seed: int
    normalisation: str
    published: Published | None = None
    unit: str = "accuracy"

    @classmethod
    def of(
        cls,
        tasks: str,
        evaluation: Evaluation,
        published: Published | None = None,
        unit: str = "accuracy",
    ) -> Figure:
        return cls(tasks=tasks, **asdict(evaluation), published=published, unit=unit)

    def percent(self) -> str:
        """A score between 0 and 1 as papers print it: "98.1 ± 0.2%"."""
        return f"{100 * self.mean:.1f} ± {100 * self.ci95:.1f}%"

    def measured(self) -> str:
        """With its interval, an accuracy in percent: "98.1 ± 0.2%", "0.79 ± 0.01"."""
        if self.unit == "accuracy":
            return self.percent()
        return f"{self.mean:.2f} ± {self.ci95:.2f}".replace("-", "−")

    def claimed(self) -> str:
        """The published figure and its source; a dash if there is none."""
        if self.published is None:
            return "–"
        value = self.published.value
        number = f"{100 * value:.1f}%" if self.unit == "accuracy" else f"{value:.2f}"
        return f"{number} ({self.published.source})"


@dataclass(frozen=True)
class Record:
    """All that is needed to judge and to repeat an experiment.

    data_sha256: the files that were read, by name.
    seed_scheme: how the seed became draws; those of `labkit.randomness` are "named
        streams".
    seconds: of training, on `device` with `threads` threads.
    deviations: where the protocol differs from the published one.
    """

    experiment: str
    command: str
    configuration: dict[str, Any]
    figures: list[Figure]
    seed: int
    seed_scheme: str
    seconds: float
    device: str
    threads: int
    torch: str
    commit: str
    data_sha256: dict[str, str] = field(default_factory=dict)
    checkpoint_sha256: str | None = None
    deviations: list[str] = field(default_factory=list)

    def figure(self, tasks: str) -> Figure:
        """The figure on the tasks of that name.

        Raises:
            KeyError: there is none; the message lists those there are.
        """
        for figure in self.figures:
            if figure.tasks == tasks:
                return figure
        known = "; ".join(figure.tasks for figure in self.figures)
        raise KeyError(f"{self.experiment} has no figure {tasks!r}. It has: {known}.")

    def write(self, folder: Path = RESULTS) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.experiment}.json"
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
        return path


def read(experiment: str, folder: Path = RESULTS) -> Record:
    """The record of that experiment.

    Raises:
        FileNotFoundError: it has not been run; the message gives the command.
    """
    path = folder / f"{experiment}.json"
    if not path.exists():
        known = like(experiment, sorted(p.stem for p in folder.glob("*.json")))
        raise FileNotFoundError(
            f"There is no record {path.name}. `python -m labkit train {experiment}` "
            f"makes it, if that is an experiment. Records here: {known}."
        )
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["figures"] = [
        Figure(
            **{
                **figure,
                "published": figure["published"] and Published(**figure["published"]),
            }
        )
        for figure in fields["figures"]
    ]
    return Record(**fields)


def save_weights(learner: Learner, experiment: str, folder: Path = CHECKPOINTS) -> str:
    """Write the learner's state as safetensors; returns the file's sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{experiment}.safetensors"
    state = {name: tensor.contiguous() for name, tensor in learner.state_dict().items()}
    save_file(state, path)
    return sha256(path)


def load_weights(
    learner: Learner, experiment: str, folder: Path = CHECKPOINTS
) -> Learner:
    """Put stored weights into a learner, on whichever device it is; returns it.

    Raises:
        FileNotFoundError: no such checkpoint; the message gives the command.
        RuntimeError: the checkpoint is of a learner of another shape.
        ValueError: the file is damaged.
    """
    path = folder / f"{experiment}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"There is no checkpoint {path.name}: "
            f"`python -m labkit train {experiment}` makes it."
        )
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Restore it (git checkout), or make it "
            f"again: `python -m labkit train {experiment}`."
        ) from error
    try:
        learner.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(
            f"{path.name} holds the weights of another learner than this "
            f"{type(learner).__name__}. {error}"
        ) from error
    return learner


def like(name: str, known: Sequence[str]) -> str:
    """Those of the names that are like it, or all, for a message."""
    near = get_close_matches(name, known, n=5)
    return ", ".join(near) + ", and others" if near else ", ".join(known) or "none"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def surroundings(device: torch.device) -> dict[str, Any]:
    """The part of a record that tells where and with what it was made."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return {
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of this repository, with a plus sign when the code has changed."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != REPOSITORY:
            return "unknown"  # installed into a project of somebody else's
        changed = git("status", "--porcelain", "--", "labkit")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(experiments: list[Record], tasks: str = "*") -> str:
    """The figures on tasks whose name fits the pattern, as a Markdown table."""
    head = _headings(experiments)
    rows = [head, ("---",) * len(head), *_rows(experiments, tasks)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def html_table(experiments: list[Record], caption: str, tasks: str = "*") -> str:
    """The same as HTML, for notebooks; each row names its record for the tests."""
    headings = _headings(experiments)
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "\n".join(
        f'<tr data-record="{row[0]}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in _rows(experiments, tasks)
    )
    return (
        f"<table><caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


def _headings(experiments: list[Record]) -> tuple[str, ...]:
    units = {figure.unit for record in experiments for figure in record.figures}
    measured = ", ".join(sorted(units))
    return ("experiment", "tasks", measured, "evaluated on", "mode", "published")


def _rows(experiments: list[Record], tasks: str) -> list[tuple[str, ...]]:
    return [
        (
            record.experiment,
            figure.tasks,
            figure.measured(),
            f"{figure.n_tasks:,} tasks",
            figure.normalisation,
            figure.claimed(),
        )
        for record in experiments
        for figure in record.figures
        if fnmatch(figure.tasks, tasks)
    ]
