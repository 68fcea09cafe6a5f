"""min_θ: gradient descent on the meta-objective, safe to interrupt and to repeat."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import device_of, draw, task_scores
from labkit.learner import Learner
from labkit.objective import Score, cross_entropy, meta_loss
from labkit.progress import Progress
from labkit.randomness import TRAINING, VALIDATION, seeded, spawn

Schedule = Callable[[int], float]
"""step -> factor on the learning rate."""

Objective = Callable[[Any, Episode, Score], Tensor]
"""(learner, episode, loss) -> the mean over the episode's tasks of what to minimise.

Any learner, or those of one kind alone: `reptile_loss` asks for a `MAML`."""

LOSSES_LOOKED_AT_EVERY = 50
"""Steps between two looks at the loss: on a GPU each look waits for the device."""


class NonFiniteLossError(ArithmeticError):
    """The training loss became NaN or infinite."""


@dataclass
class History:
    """What happened: the loss of every step, and (step, loss) of every validation."""

    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0


def constant(step: int) -> float:
    return 1.0


def halving(every: int) -> Schedule:
    """Halve the rate after each `every` steps, as Snell et al. (2017) do at 2,000."""
    return lambda step: 0.5 ** (step // every)


def cosine(steps: int, warm_up: int = 1) -> Schedule:
    """From 1 to 0 over `steps` along half a cosine (Loshchilov and Hutter, 2017), and
    over the first `warm_up` of them up to it along a line."""

    def factor(step: int) -> float:
        down = 0.5 * (1 + math.cos(math.pi * min(step / steps, 1)))
        return min(1.0, (step + 1) / warm_up) * down

    return factor


def meta_train(
    learner: Learner,
    tasks: TaskDistribution,
    *,
    steps: int,
    loss: Score = cross_entropy,
    objective: Objective = meta_loss,
    tasks_per_step: int = 1,
    tasks_per_chunk: int | None = None,
    seed: int = 0,
    learning_rate: float = 1e-3,
    schedule: Schedule = constant,
    clip_norm: float | None = None,
    configuration: Mapping[str, Any] | None = None,
    validation: TaskDistribution | None = None,
    validation_tasks: int = 200,
    validate_every: int = 500,
    patience: int | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 500,
    autocast: torch.dtype | None = None,
    label: str = "meta-training",
) -> History:
    """Minimise E_T[L_T(f_θ')] over θ with Adam, in place; returns what happened.

    Each step draws `tasks_per_step` fresh tasks and descends on the mean of their query
    losses. With `validation`, its loss on fixed tasks is measured every
    `validate_every` steps; the weights of the best look are what the learner ends
    with, and training stops after `patience` looks without improvement.

    With `checkpoint`, the whole state is written there every `checkpoint_every` steps
    and a later call with the same arguments goes on from it, on another device if need
    be. On a CPU the weights it ends with are those of an uninterrupted run, bit for
    bit.

    Args:
        objective: what to descend on, if not on the query loss after adaptation.
        tasks_per_chunk: how many of a step's tasks to differentiate at once; the rest
            wait, and memory does not grow with them. The gradient is the same, except
            for a learner whose own running statistics then move once a chunk.
        clip_norm: largest norm of the meta-gradient; larger ones are scaled down to it.
        configuration: of the tasks and the learner; a checkpoint made under another one
            is refused, as one made with other arguments is.
        autocast: compute in this lower precision where torch judges it harmless.

    Raises:
        NonFiniteLossError: a loss was NaN or infinite; the checkpoint keeps the last
            state whose losses were all finite.
        ValueError: the checkpoint is damaged, or of a training with other arguments;
            patience without validation; a step of no tasks.
    """
    if patience is not None and validation is None:
        raise ValueError("patience counts looks at validation tasks: give them too.")
    if tasks_per_step < 1:
        raise ValueError(f"tasks_per_step={tasks_per_step}: a step needs a task.")
    device = device_of(learner)
    optimizer = torch.optim.Adam(
        learner.parameters(), lr=learning_rate, fused=device.type in ("cpu", "cuda")
    )
    run = _Run(
        arguments={
            "steps": steps,
            "tasks_per_step": tasks_per_step,
            "seed": seed,
            "learning_rate": learning_rate,
            "clip_norm": clip_norm,
            "learner": type(learner).__name__,
            "parameters": sum(p.numel() for p in learner.parameters()),
            **(configuration or {}),
        },
        learner=learner,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, schedule),
        generator=seeded(seed, TRAINING, device=device),
    )
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        run.resume(path)

    history, best = run.history, run.best
    began = time.monotonic() - history.seconds
    progress = Progress(label, steps)
    recent: list[Tensor] = []
    learner.train()
    for done in range(run.steps_done + 1, steps + 1):
        if patience is not None and best.looks_since >= patience:
            break
        episode = draw(tasks, tasks_per_step, run.generator)
        optimizer.zero_grad(set_to_none=True)
        losses: list[Tensor] = []
        for chunk in episode.chunks(tasks_per_chunk or tasks_per_step):
            share = chunk.n_tasks / tasks_per_step
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                losses.append(share * objective(learner, chunk, loss))
            losses[-1].backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(learner.parameters(), clip_norm)
        optimizer.step()
        run.scheduler.step()
        recent.append(torch.stack(losses).detach().sum())

        validate_now = done % validate_every == 0 or done == steps
        save_now = done % checkpoint_every == 0 or done == steps
        if len(recent) == LOSSES_LOOKED_AT_EVERY or validate_now or save_now:
            _look(recent, history, seed)
            progress(done, f"loss {history.losses[-1]:.4f}")
        if validation is not None and validate_now:
            scores = task_scores(
                learner,
                validation,
                score=loss,
                n_tasks=validation_tasks,
                seed=seed,
                stream=VALIDATION,
            )
            history.validation.append((done, scores.mean().item()))
            best.look(history.validation[-1][1], learner)
        if path is not None and save_now:
            history.seconds = time.monotonic() - began
            run.save(path, done)
    history.seconds = time.monotonic() - began
    if best.weights is not None:
        learner.load_state_dict(best.weights)
    return history


@dataclass
class _Best:
    """The weights with the lowest validation loss, and how many looks ago that was."""

    loss: float = math.inf
    weights: dict[str, Tensor] | None = None
    looks_since: int = 0

    def look(self, loss: float, learner: Learner) -> None:
        self.looks_since += 1
        if loss < self.loss:
            self.loss, self.looks_since = loss, 0
            self.weights = copy.deepcopy(learner.state_dict())


def _look(recent: list[Tensor], history: History, seed: int) -> None:
    """Move the losses of the last steps into the history, refusing NaN and infinity."""
    if not recent:
        return
    losses = torch.stack(recent).float().tolist()
    for offset, value in enumerate(losses):
        if not math.isfinite(value):
            step = len(history.losses) + offset
            raise NonFiniteLossError(
                f"The training loss is {value} at step {step} (seed {seed}). Weights "
                "from here on are useless; an existing checkpoint still holds finite "
                "ones. At the first steps look for NaN in the data and for a class "
                "without support; later, try a lower learning_rate, clip_norm=1.0, or "
                f"full precision (autocast=None). steps={step + 1} with the same seed "
                "reproduces it."
            )
    history.losses.extend(losses)
    recent.clear()


@dataclass
class _Run:
    """All that the next step depends on, and how it is kept on disk."""

    arguments: dict[str, Any]
    learner: Learner
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    generator: torch.Generator
    history: History = field(default_factory=History)
    best: _Best = field(default_factory=_Best)
    steps_done: int = 0

    def save(self, path: Path, steps_done: int) -> None:
        """Write it so that an interruption leaves the old file or the new, whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        torch.save(
            {
                "arguments": self.arguments,
                "steps_done": steps_done,
                "learner": self.learner.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "generator": self.generator.get_state(),
                "device": self.generator.device.type,
                "history": vars(self.history),
                "best": vars(self.best),
            },
            unfinished,
        )
        os.replace(unfinished, path)

    def resume(self, path: Path) -> None:
        """Put everything back as `save` found it, on the learner's device."""
        try:
            state = torch.load(path, map_location=device_of(self.learner))
        except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
            raise ValueError(
                f"{path} is damaged and cannot be continued. Delete it to start afresh."
            ) from error
        there = state["arguments"]
        if there != self.arguments:
            changed = ", ".join(
                f"{name} {there.get(name)} -> {value}"
                for name, value in self.arguments.items()
                if there.get(name) != value
            )
            raise ValueError(
                f"{path} belongs to a training with other arguments ({changed}). "
                "Delete the file to start afresh, or give the arguments it has."
            )
        self.steps_done = state["steps_done"]
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if state["device"] == self.generator.device.type:
            self.generator.set_state(state["generator"].cpu())
        else:  # no device continues another's stream: other tasks, as good
            begun_as = self.generator.initial_seed()
            self.generator.manual_seed(spawn(begun_as, f"from step {self.steps_done}"))
        vars(self.history).update(state["history"])
        vars(self.best).update(state["best"])
