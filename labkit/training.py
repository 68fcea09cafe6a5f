"""min_θ: gradient descent on the meta-objective, safe to interrupt and to repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit.arguments import require_real, require_whole
from labkit.checkpoint import History as History
from labkit.checkpoint import Run
from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import device_of, draw, generators_of, task_scores
from labkit.learner import Learner
from labkit.objective import Score, cross_entropy, meta_loss
from labkit.progress import Progress
from labkit.randomness import (
    TRAINING,
    UNASKED,
    VALIDATION,
    global_draws,
    replayed,
    seeded,
)

Schedule = Callable[[int], float]
"""step -> factor on the learning rate."""

Objective = Callable[[Any, Episode, Score], Tensor]
"""(learner, episode, loss) -> the mean over the episode's tasks of what to minimise.

Any learner, or those of one kind alone: `reptile_loss` asks for a `MAML`."""

LOSSES_LOOKED_AT_EVERY = 50
"""Steps between two looks at the loss: on a GPU each look waits for the device."""


class NonFiniteLossError(ArithmeticError):
    """The training loss, or a weight, became NaN or infinite."""


def constant(step: int) -> float:
    return 1.0


def halving(every: int) -> Schedule:
    """Halve the rate after each `every` steps, as Snell et al. (2017) do at 2,000."""
    require_whole(1, every=every)
    return lambda step: 0.5 ** (step // every)


def cosine(steps: int, warm_up: int = 1) -> Schedule:
    """From 1 to 0 over `steps` along half a cosine (Loshchilov and Hutter, 2017), and
    over the first `warm_up` of them up to it along a line."""
    require_whole(1, steps=steps, warm_up=warm_up)

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
    be. On a CPU with the same number of threads, the weights it ends with are those of
    an uninterrupted run, bit for bit.

    All randomness is the seed's. Layers that draw from torch's own generators, as
    dropout does, draw from a stream of it too; the generators of the caller are left
    as they were.

    Args:
        objective: what to descend on, if not on the query loss after adaptation.
        tasks_per_chunk: how many of a step's tasks to differentiate at once; the rest
            wait, and memory does not grow with them. The gradient is the same, except
            for a learner whose own running statistics then move once a chunk.
        clip_norm: largest norm of the meta-gradient; larger ones are scaled down to it.
        configuration: of what the arguments do not show; a checkpoint made under
            another one is refused, as one made with other arguments is. Learner,
            tasks, loss, objective and schedule are compared without it, by all that
            they were made with (`labkit.fingerprint`).
        autocast: compute in this lower precision where torch judges it harmless.

    Raises:
        NonFiniteLossError: a loss or a weight was NaN or infinite; the checkpoint keeps
            the last state in which all were finite.
        NotWrittenError: the checkpoint cannot be written; the one before it is whole.
        ValueError: the checkpoint is damaged, or of a training with other arguments;
            a number that makes no sense; patience without validation; a learner that
            has nothing to train, or a loss that does not depend on it.
    """
    require_whole(0, steps=steps)
    require_whole(
        1,
        tasks_per_step=tasks_per_step,
        tasks_per_chunk=tasks_per_chunk,
        validate_every=validate_every,
        patience=patience,
        checkpoint_every=checkpoint_every,
    )
    require_whole(2, validation_tasks=validation_tasks)
    require_real(above=0.0, learning_rate=learning_rate, clip_norm=clip_norm)
    if patience is not None and validation is None:
        raise ValueError("patience counts looks at validation tasks: give them too.")
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise ValueError(
            f"autocast={autocast}: choose torch.bfloat16 or torch.float16, or None for "
            "full precision."
        )
    if torch.is_inference_mode_enabled() or any(
        parameter.is_inference() for parameter in learner.parameters()
    ):
        raise ValueError(
            "There are no gradients to descend in torch.inference_mode(), nor for a "
            "learner that was made in it: make and train it outside."
        )
    if not any(parameter.requires_grad for parameter in learner.parameters()):
        raise ValueError(
            f"{type(learner).__name__} has no parameter to train: it has none at all, "
            "or all of them are frozen by requires_grad_(False)."
        )
    device = device_of(learner)
    optimizer = torch.optim.Adam(
        learner.parameters(), lr=learning_rate, fused=device.type in ("cpu", "cuda")
    )
    run = Run(
        arguments={
            "steps": steps,
            "tasks_per_step": tasks_per_step,
            "seed": seed,
            "learning_rate": learning_rate,
            "clip_norm": clip_norm,
            "autocast": str(autocast),
            "validate_every": None if validation is None else validate_every,
            "validation_tasks": None if validation is None else validation_tasks,
            **(configuration or {}),
        },
        made_with={
            "tasks": tasks,
            "validation": validation,
            "loss": loss,
            "objective": objective,
            "schedule": schedule,
        },
        learner=learner,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, schedule),
        generator=seeded(seed, TRAINING, device=device),
    )
    path = None if checkpoint is None else Path(checkpoint)
    history, best = run.history, run.best
    learner.train()
    with global_draws(seed, UNASKED, device=device):
        if path is not None:
            run.open(path)
        began = time.monotonic() - history.seconds
        progress = Progress(label, steps)
        recent: list[Tensor] = []
        for done in range(run.steps_done + 1, steps + 1):
            if patience is not None and best.looks_since >= patience:
                break
            episode = draw(tasks, tasks_per_step, run.generator)
            optimizer.zero_grad(set_to_none=True)
            losses: list[Tensor] = []
            for chunk in episode.chunks(tasks_per_chunk or tasks_per_step):
                share = chunk.n_tasks / tasks_per_step
                with torch.autocast(
                    device.type, autocast, enabled=autocast is not None
                ):
                    losses.append(share * objective(learner, chunk, loss))
                _require_dependent(losses[-1])
                losses[-1].backward()
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(learner.parameters(), clip_norm)
            optimizer.step()
            run.scheduler.step()
            recent.append(torch.stack(losses).detach().sum())

            validate_now = done % validate_every == 0 or done == steps
            save_now = done % checkpoint_every == 0 or done == steps
            if len(recent) == LOSSES_LOOKED_AT_EVERY or validate_now or save_now:
                _look(recent, run, seed)
                progress(done, f"loss {history.losses[-1]:.4f}")
            if validation is not None and validate_now:
                with replayed(generators_of(learner)):  # a look changes no training
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
            run.steps_done = done
            if path is not None and save_now:
                history.seconds = time.monotonic() - began
                run.save(path)
    history.seconds = time.monotonic() - began
    if best.weights is not None:
        learner.load_state_dict(best.weights)
    return history


def _require_dependent(loss: Tensor) -> None:
    if not loss.requires_grad:
        raise ValueError(
            "The training loss does not depend on the learner's parameters, so there "
            "is no gradient to descend. Is it a score such as accuracy, computed with "
            ".detach(), .argmax() or .item(), or under torch.no_grad()?"
        )


def _look(recent: list[Tensor], run: Run, seed: int) -> None:
    """Move the losses of the last steps into the history, refusing NaN and infinity
    in them, in the weights, and in what the optimizer keeps of the gradients."""
    losses = torch.stack(recent).float().tolist()
    for offset, value in enumerate(losses):
        if not math.isfinite(value):
            step = len(run.history.losses) + offset
            raise NonFiniteLossError(
                f"The training loss is {value} at step {step} (seed {seed}). Weights "
                "from here on are useless; an existing checkpoint still holds finite "
                "ones. At the first steps look for NaN in the data, for a class "
                "without support, and for targets that are no one-hot rows; later, "
                "try a lower learning_rate, clip_norm=1.0, or full precision "
                f"(autocast=None). steps={step + 1} with the same seed reproduces it."
            )
    if name := run.not_finite():
        first, last = len(run.history.losses), len(run.history.losses) + len(losses) - 1
        raise NonFiniteLossError(
            f"{name} became NaN or infinite between steps {first} and {last} (seed "
            f"{seed}), although the losses are finite: a gradient was not, or too "
            "large to be squared. These weights are useless; an existing checkpoint "
            "still holds finite ones. Look for a square root or a logarithm at 0 in "
            "learner and loss, a norm of zeros among them; try clip_norm=1.0, a lower "
            "learning_rate, or full precision (autocast=None)."
        )
    run.history.losses.extend(losses)
    recent.clear()
