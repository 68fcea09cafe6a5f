"""Records: what a long experiment found, kept so that pages and tests can cite it.

A record is one JSON file in `results/` of the data folder (`labkit.files.home`),
written by `python -m labkit train NAME` and never by hand. The trained weights lie
beside it in `checkpoints/`, and the record holds their sha256.
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
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from labkit.evaluation import Evaluation
from labkit.files import CLONE, SHIPPED, find, home, write_atomically
from labkit.learner import Learner


class DamagedRecord(ValueError):  # noqa: N818
    """A record or a checkpoint is not what it should be. The message names the file."""


@dataclass(frozen=True)
class Published:
    """A figure from the literature, to stand beside ours."""

    value: float
    source: str


@dataclass(frozen=True)
class Result:
    """One measured number and the protocol behind it.

    Attributes:
        unit: "accuracy" for a fraction, or what the number is measured in, such as
            "nats".
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
    ) -> Result:
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

    Attributes:
        data_sha256: the files that were read, by name.
        seed_scheme: how the seed became draws; those of `labkit.randomness` are "named
            streams".
        seconds: of training, on `device` with `threads` threads.
        deviations: where the protocol differs from the published one.
    """

    experiment: str
    command: str
    configuration: dict[str, Any]
    results: list[Result]
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

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Record:
        """The record of these fields, as `asdict` gives them.

        Raises:
            KeyError, TypeError, AttributeError: they are not those of a record.
        """
        results = [
            Result(**result | {"published": of_paper and Published(**of_paper)})
            for result in fields["results"]
            for of_paper in [result["published"]]
        ]
        for result in results:
            if not isinstance(result.mean, Real) or not isinstance(result.ci95, Real):
                raise TypeError(f"the figure on {result.tasks!r} is no number")
        return cls(**fields | {"results": results})

    def result(self, tasks: str) -> Result:
        """The figure on the tasks of that name.

        Raises:
            KeyError: there is none; the message lists those there are.
        """
        for result in self.results:
            if result.tasks == tasks:
                return result
        known = "; ".join(result.tasks for result in self.results)
        raise KeyError(f"{self.experiment} has no figure {tasks!r}. It has: {known}.")

    def write(self) -> Path:
        """Keep it in `home()`, in place of an older one of its name.

        Raises:
            labkit.files.NotWrittenError: it cannot be written; the older one stays.
        """
        path = home() / "results" / f"{self.experiment}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        write_atomically(path, text)
        return path


def read(experiment: str) -> Record:
    """The record of that experiment: one's own, else the one labkit came with.

    Raises:
        FileNotFoundError: it has not been run; the message gives the command.
        DamagedRecord: the file is no record.
    """
    path = find("results", f"{experiment}.json")
    if path is None:
        raise FileNotFoundError(
            f"There is no record {experiment}.json in {home() / 'results'}. "
            f"`{_training(experiment)}` makes it, if it is an experiment. "
            f"Records here: {like(experiment, recorded())}."
        )
    try:
        return Record.of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedRecord(
            f"{path} is no record ({type(error).__name__}: {error}). Restore the file "
            f"(git checkout), or make it again: `{_training(experiment)}`."
        ) from error


def recorded() -> list[str]:
    """The names of all records here, one's own and those labkit came with."""
    folders = (home() / "results", SHIPPED / "results")
    return sorted({path.stem for folder in folders for path in folder.glob("*.json")})


def save_weights(learner: Learner, experiment: str) -> str:
    """Write the learner's state as safetensors; returns the file's sha256.

    Raises:
        labkit.files.NotWrittenError: it cannot be written; an older file stays.
    """
    path = home() / "checkpoints" / f"{experiment}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in learner.state_dict().items()}
    content = save(state)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(learner: Learner, experiment: str) -> Learner:
    """Put stored weights into a learner, on whichever device it is; returns it.

    The file must be the one that the experiment's record describes.

    Raises:
        FileNotFoundError: no such checkpoint or record; the message gives the command.
        DamagedRecord: the file is damaged, or is not the one that was recorded.
        RuntimeError: the checkpoint is of a learner of another shape.
    """
    path = find("checkpoints", f"{experiment}.safetensors")
    if path is None:
        raise FileNotFoundError(
            f"There is no checkpoint {experiment}.safetensors in "
            f"{home() / 'checkpoints'}: `{_training(experiment)}` makes it."
        )
    remedy = f"Restore it (git checkout), or make it again: `{_training(experiment)}`."
    if sha256(path) != read(experiment).checkpoint_sha256:
        raise DamagedRecord(
            f"{path} is damaged, or holds the weights of another training than the "
            f"record of {experiment} tells of: its sha256 is another. {remedy}"
        )
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise DamagedRecord(f"{path} is damaged ({error}). {remedy}") from error
    try:
        learner.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(
            f"{path.name} holds the weights of another learner than this "
            f"{type(learner).__name__}. {error}"
        ) from error
    return learner


def _training(experiment: str) -> str:
    """The command that makes that record."""
    name, _, seed = experiment.partition("-seed")
    return f"python -m labkit train {name}" + (f" --seed {seed}" if seed else "")


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
            ["git", *words], cwd=CLONE, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != CLONE:
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
        f'<tr data-record="{escape(row[0])}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in _rows(experiments, tasks)
    )
    return (
        f"<table><caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


def _headings(experiments: list[Record]) -> tuple[str, ...]:
    units = {result.unit for record in experiments for result in record.results}
    measured = ", ".join(sorted(units))
    return ("experiment", "tasks", measured, "evaluated on", "mode", "published")


def _rows(experiments: list[Record], tasks: str) -> list[tuple[str, ...]]:
    return [
        (
            record.experiment,
            result.tasks,
            result.measured(),
            f"{result.n_tasks:,} tasks",
            result.normalisation,
            result.claimed(),
        )
        for record in experiments
        for result in record.results
        if fnmatch(result.tasks, tasks)
    ]
