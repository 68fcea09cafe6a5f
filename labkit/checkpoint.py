"""All that the next step of a training depends on, and how it is kept on disk."""

from __future__ import annotations

import copy
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit import fingerprint
from labkit.evaluation import device_of, generators_of
from labkit.files import replacing
from labkit.learner import Learner
from labkit.randomness import branch

FORMAT = "labkit training 2"
CHANGES, MISSING = "changes in training", "not there"


@dataclass
class History:
    """What happened: the loss of every step, and (step, loss) of every validation."""

    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Best:
    """The weights with the lowest validation loss, and how many looks ago that was."""

    loss: float = math.inf
    weights: dict[str, Tensor] | None = None
    looks_since: int = 0

    def look(self, loss: float, learner: Learner) -> None:
        self.looks_since += 1
        if loss < self.loss:
            self.loss, self.looks_since = loss, 0
            self.weights = copy.deepcopy(learner.state_dict())


@dataclass
class Run:
    """A training between two of its steps.

    Attributes:
        arguments: numbers it was called with, by name.
        made_with: the functions and the tasks it was called with, by name.
        generator: that the tasks are drawn from.
    """

    arguments: Mapping[str, Any]
    made_with: Mapping[str, Any]
    learner: Learner
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    generator: torch.Generator
    history: History = field(default_factory=History)
    best: Best = field(default_factory=Best)
    steps_done: int = 0
    made_of: dict[str, str] = field(default_factory=dict)
    saved: bool = False

    def open(self, path: Path) -> None:
        """Go on from the file, if there is one; else see that there can be one.

        Raises:
            ValueError: the file is damaged, none of ours, or of another training.
        """
        self.made_of = self.fingerprint()
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        state = read(path, device_of(self.learner))
        if changed := [
            *_differences(state["arguments"], self.arguments),
            *_differences(state["made_of"], self.made_of),
        ]:
            raise ValueError(
                f"{path} belongs to a training with other arguments "
                f"({', '.join(changed)}). Delete the file to start afresh, or give "
                "the arguments it has."
            )
        self.made_of, self.saved = state["made_of"], True
        self.steps_done = state["steps_done"]
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        vars(self.history).update(state["history"])
        vars(self.best).update(state["best"])
        for generator, kept in zip(self.generators(), state["drawn"], strict=True):
            if state["device"] == self.generator.device.type:
                generator.set_state(kept.cpu())
            else:  # no device continues another's stream: other draws, as good
                branch(generator, f"from step {self.steps_done}")

    def save(self, path: Path) -> None:
        """Write it so that an interruption leaves the old file or the new, whole.

        Raises:
            NotWrittenError: the disk is full, or the folder cannot be written.
        """
        if not self.saved:  # what steps have changed is state, and no argument
            now = self.fingerprint()
            self.made_of = {
                name: made if now.get(name) == made else CHANGES
                for name, made in self.made_of.items()
            }
            self.saved = True
        write(
            path,
            {
                "arguments": dict(self.arguments),
                "made_of": self.made_of,
                "steps_done": self.steps_done,
                "learner": self.learner.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "drawn": [generator.get_state() for generator in self.generators()],
                "device": self.generator.device.type,
                "history": vars(self.history),
                "best": vars(self.best),
            },
        )

    def generators(self) -> list[torch.Generator]:
        return [self.generator, *generators_of(self.learner)]

    def fingerprint(self) -> dict[str, str]:
        found = fingerprint.of_learner(self.learner)
        for name, value in self.made_with.items():
            if name != "validation":  # looked at too seldom to know what is state
                found |= fingerprint.of(name, value)
        for name in ("tasks", "validation"):
            found[name] = fingerprint.lineage(self.made_with[name])
        return found

    def not_finite(self) -> str | None:
        """The name of a weight that is NaN or infinite, or of one whose moments are. A
        buffer may hold infinity, as masks do, but not NaN. Waits for the device."""
        wrong = dict(self._wrong())
        device = self.generator.device
        flags = torch.stack([flag.to(device) for flag in wrong.values()]).tolist()
        found = (name for name, flag in zip(wrong, flags, strict=True) if flag)
        return next(found, None)

    def _wrong(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self.learner.named_parameters():
            yield name, ~parameter.detach().isfinite().all()
            for moment, value in self.optimizer.state.get(parameter, {}).items():
                yield f"Adam's {moment} of {name}", ~value.isfinite().all()
        for name, buffer in self.learner.named_buffers():
            yield name, buffer.isnan().any()


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What an unfinished training was made with -> what this one is."""
    return [
        f"{name} {there.get(name, MISSING)} -> {here.get(name, MISSING)}"
        for name in {**there, **here}
        if not _is_state(name, there)
        and not _same(name, there.get(name, MISSING), here.get(name, MISSING))
    ]


def _is_state(name: str, there: Mapping[str, Any]) -> bool:
    """Whether that, or what it is part of, changed in training."""
    parts = name.split(".")
    wholes = (".".join(parts[: n + 1]) for n in range(len(parts)))
    return any(there.get(whole) == CHANGES for whole in wholes)


def _same(name: str, there: Any, here: Any) -> bool:
    if there == here:
        return True
    # Tasks of a subclass are the same tasks, looked at as they are drawn or cut short;
    # what it keeps for that is not compared.
    tasks, _, part = name.partition(".")
    if tasks not in ("tasks", "validation") or (part and MISSING not in (there, here)):
        return False
    return bool(part or there.endswith(here) or here.endswith(there))


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Put the state there, whole.

    Raises:
        NotWrittenError: the disk is full, or the folder cannot be written.
    """
    buffer = io.BytesIO()  # torch hides that a disk is full behind an error of its own
    torch.save({"format": FORMAT, **state}, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """What `write` put there, its tensors on that device.

    Raises:
        ValueError: it cannot be read, is damaged, or was not written by `write`.
    """
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({error.strerror}). Name a file, "
            "or one that does not exist yet to start afresh."
        ) from error
    try:
        with zipfile.ZipFile(content) as archive:  # torch compares no checksums
            damaged = archive.testzip() is not None
        content.seek(0)
        state = None if damaged else torch.load(content, map_location=device)
    except Exception as error:  # whatever a reader of pickles makes of other bytes
        raise ValueError(
            f"{path} is damaged and cannot be continued, or was written by another "
            "program. Delete it to start afresh, or name another file."
        ) from error
    if damaged:
        raise ValueError(
            f"{path} is damaged and cannot be continued: it is not what was written. "
            "Delete it to start afresh."
        )
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no unfinished training that this version of labkit can "
            "continue (weights alone are loaded by learner.load_state_dict). Name "
            "another file, or delete this one to start afresh."
        )
    return state
