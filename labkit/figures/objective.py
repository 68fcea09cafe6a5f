"""Pictures of sine waves: a task, and what a learner makes of it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from labkit.episode import Episode
from labkit.figures.style import INK
from labkit.learner import Learner
from labkit.tasks.sinusoids import INPUT, wave

POINTS = 201  # at which a curve is computed


def plot_task(
    axes: Axes,
    episode: Episode,
    amplitude: Float[Tensor, " 1"],
    phase: Float[Tensor, " 1"],
    colour: str,
) -> None:
    """One task: its wave, the support as filled and the queries as hollow points."""
    x = _inputs(episode)
    axes.plot(*_line(x, wave(x, amplitude, phase)), color=INK, lw=1, label="wave")
    sides = (
        ("support", episode.support_x, episode.support_y, colour),
        ("query", episode.query_x, episode.query_y, "none"),
    )
    for name, x, y, fill in sides:
        axes.scatter(*_line(x, y), fc=fill, ec=colour, label=name, zorder=3)
    axes.set_xlabel("x (radians)")


def plot_prediction(
    axes: Axes, learner: Learner, episode: Episode, **line: Any
) -> None:
    """The whole function that a learner predicts after the support of one task.

    Args:
        line: what `Axes.plot` takes, such as color, ls, label.
    """
    x = _inputs(episode)
    with torch.no_grad():
        adapted = learner.adapt(episode.support_x, episode.support_y)
        axes.plot(*_line(x, learner.predict(adapted, x)), **line)


def _inputs(episode: Episode) -> Float[Tensor, "1 n 1"]:
    return torch.linspace(*INPUT, POINTS, device=episode.device)[None, :, None]


def _line(x: Float[Tensor, "1 n 1"], y: Float[Tensor, "1 n 1"]) -> list[list[float]]:
    return [x[0, :, 0].tolist(), y[0, :, 0].tolist()]
