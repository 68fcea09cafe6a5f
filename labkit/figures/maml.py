"""Pictures of gradient-based adaptation: loss surfaces, paths, and what flows back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Arc, FancyArrowPatch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from labkit.episode import Episode
from labkit.evaluation import Evaluation
from labkit.experiments.records import Result
from labkit.figures import style
from labkit.figures.objective import plot_prediction, plot_task
from labkit.figures.style import INK
from labkit.learners.maml import MAML
from labkit.tasks.sinusoids import wave

COLOURS = tuple(style.COLOURS.values())
LINES = ("-", "--", "-.", ":")
MARKERS = ("s", "*", "^")

LEVELS = (0.05, 0.3, 1.0)  # of the loss, at which a surface has contours
GRID = 200  # points a side at which a surface is computed
QUANTILES = 101  # points of a curve of sorted rates, however many rates there are


def plot_fan(
    hessian: Float[Tensor, "T 2 2"],
    optimum: Float[Tensor, "T 2"],
    paths: Mapping[str, Float[Tensor, "points T 2"]],
) -> None:
    """Quadratic losses of T tasks in two weights, and their paths: a panel a start.

    Every panel shows every start, and the mean of the optima.
    """
    figure, ((*panels,),) = plt.subplots(
        1, len(paths), figsize=(9, 4.7), sharex=True, sharey=True, squeeze=False
    )
    for axes, (name, path) in zip(panels, paths.items(), strict=True):
        axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.9), aspect="equal")
        axes.set(xlabel="$w_1$", title=f"from {name}")
        for t, colour in zip(range(len(hessian)), COLOURS, strict=False):
            plot_surface(axes, hessian[t], optimum[t], f"task {t + 1}", colour)
            line: Any = {"color": colour, "ms": 4.5, "zorder": 3}
            axes.plot(path[:, t, 0], path[:, t, 1], "o-", **line)
        for other, marker in zip(paths, MARKERS, strict=False):
            start = paths[other][0, 0].tolist()
            axes.plot(*start, marker, c=INK, ms=11, label=other, zorder=4)
        hollow: Any = {"c": INK, "mfc": "none", "ms": 9, "ls": "none"}
        mean = optimum.mean(0).tolist()
        axes.plot(*mean, "D", label="mean of the optima", **hollow)
    panels[0].set_ylabel("$w_2$")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(paths) + 1)


def plot_surface(
    axes: Axes,
    hessian: Float[Tensor, "2 2"],
    optimum: Float[Tensor, " 2"],
    name: str,
    colour: str,
) -> None:
    """Contours of ½ (w − optimum)ᵀ hessian (w − optimum) over the plane's present
    limits, and a cross with its name at the optimum."""
    w1, w2 = (
        torch.linspace(*limits, GRID, dtype=hessian.dtype)
        for limits in (axes.get_xlim(), axes.get_ylim())
    )
    away = torch.stack(torch.meshgrid(w1, w2, indexing="xy"), -1) - optimum
    loss = 0.5 * (away @ hessian * away).sum(-1)
    axes.contour(w1, w2, loss, LEVELS, colors=colour, alpha=0.6, linewidths=1.2)
    place = _place(optimum)
    axes.plot(*place, "x", color=colour, ms=9, mew=2.5)
    above: Any = {"textcoords": "offset points", "ha": "center", "color": colour}
    axes.annotate(name, place, (0, 9), **above)


def plot_directions(
    hessian: Float[Tensor, "2 2"],
    optimum: Float[Tensor, " 2"],
    path: Float[Tensor, "points 2"],
    directions: Mapping[str, Float[Tensor, " 2"]],
) -> float:
    """A task, a path, and two named arrows that begin where the path does.

    Returns:
        The angle between the arrows, in degrees from 0 to 180.
    """
    _, axes = plt.subplots(figsize=(6, 4.2))
    axes.set(xlim=(-1.2, 2.2), ylim=(0, 2.6), aspect="equal")
    axes.set(xlabel="$w_1$", ylabel="$w_2$")
    plot_surface(axes, hessian, optimum, "optimum", INK)
    axes.plot(path[:, 0], path[:, 1], "o:", color=INK, ms=4)
    foot = path[0]
    look: Any = {"arrowstyle": "-|>", "mutation_scale": 16, "lw": 2.4}
    look |= {"shrinkA": 0, "shrinkB": 0, "zorder": 4}
    for (name, arrow), colour in zip(directions.items(), COLOURS, strict=False):
        tip = foot + arrow
        line = _place(foot), _place(tip)
        axes.add_patch(FancyArrowPatch(*line, fc=colour, ec=colour, **look))
        beyond = _place(10 * arrow / arrow.norm())
        beside: Any = {"textcoords": "offset points", "color": colour}
        side = "left" if beyond[0] > 0 else "right"
        axes.annotate(name, _place(tip), beyond, ha=side, va="center", **beside)
    one, other = directions.values()
    low, high = sorted(float(a[1].atan2(a[0]).rad2deg()) for a in (one, other))
    if high - low > 180:
        low, high = high, low + 360
    size = float(min(one.norm(), other.norm()))
    axes.add_patch(Arc(_place(foot), size, size, theta1=low, theta2=high, ec=INK))
    return high - low


def _place(point: Float[Tensor, " 2"]) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def plot_graph() -> None:
    """The computation graph of two inner steps, and the ways back through it.

    Thin and grey, what is computed; thick, how the gradient of the query loss comes
    back: solid past an inner gradient, dashed through it.
    """
    _, axes = plt.subplots(figsize=(8, 2.9))
    starts, query_loss = ((0.0, 1.0), (3.0, 1.0), (6.0, 1.0)), (8.3, 1.0)
    gradients = ((1.5, 0.0), (4.5, 0.0))
    past, through = COLOURS[:2]

    def node(place: tuple[float, float], text: str) -> None:
        box = {"boxstyle": "round,pad=0.35", "fc": "none", "ec": INK, "lw": 1.3}
        axes.text(*place, text, ha="center", va="center", bbox=box)

    def forward(start: tuple[float, float], end: tuple[float, float]) -> None:
        look: Any = {"arrowstyle": "-|>", "mutation_scale": 12, "lw": 1.2}
        axes.add_patch(
            FancyArrowPatch(start, end, shrinkA=24, shrinkB=24, color=INK, **look)
        )

    def back(
        start: tuple[float, float],
        end: tuple[float, float],
        factor: str,
        shift: tuple[float, float],
        **line: Any,
    ) -> None:
        """Beside the forward arrow, its factor further out in the same direction."""
        (x1, y1), (x2, y2), (right, up) = start, end, shift
        look: Any = {"arrowstyle": "-|>", "mutation_scale": 15, "lw": 2.4} | line
        ends = (x1 + right, y1 + up), (x2 + right, y2 + up)
        axes.add_patch(FancyArrowPatch(*ends, shrinkA=22, shrinkB=22, **look))
        middle = (x1 + x2) / 2 + 2.1 * right, (y1 + y2) / 2 + 2.1 * up
        axes.text(*middle, factor, color=line["color"], ha="center", va="center")

    above: Any = {"shift": (0.0, 0.2), "color": past}
    for k, (before, gradient, after) in enumerate(
        zip(starts, gradients, starts[1:], strict=False)
    ):
        node(before, rf"$\theta_{k}$")
        node(gradient, rf"$\nabla\mathcal{{L}}^S(\theta_{k})$")
        for leg in ((before, after), (before, gradient), (gradient, after)):
            forward(*leg)
        back(after, before, "$I$", **above)
        dashed: Any = {"color": through, "ls": (0, (3, 1.5))}
        back(after, gradient, r"$-\alpha$", (0.22, -0.14), **dashed)
        back(gradient, before, f"$H_{k}$", (-0.22, -0.14), **dashed)
    node(starts[-1], r"$\theta_2 = \theta'$")
    node(query_loss, r"$\mathcal{L}^Q(\theta')$")
    forward(starts[-1], query_loss)
    back(query_loss, starts[-1], r"$\nabla\mathcal{L}^Q$", **above)
    axes.set(xlim=(-0.7, 9.0), ylim=(-0.35, 1.6))
    axes.set_axis_off()


def plot_weights(
    rate: float, powers: Mapping[str, int], curvatures: Float[Tensor, " n"]
) -> None:
    """λ (1 − rate · λ)^p against λ for each named p, and a tick at each curvature."""
    _, axes = plt.subplots(figsize=(6, 3))
    lam = torch.linspace(0, 1.1 * float(curvatures.max()), GRID)
    for (name, p), line in zip(powers.items(), LINES, strict=False):
        axes.plot(lam, lam * (1 - rate * lam) ** p, line, label=name)
    ticks: Any = {"color": INK, "ms": 14, "mew": 2, "ls": "none"}
    axes.plot(curvatures, torch.zeros_like(curvatures), "|", **ticks)
    axes.set(xlabel=r"curvature $\lambda$", ylabel="weight", ylim=(-0.05, 1))
    axes.legend()


def plot_adaptation(
    learner: MAML,
    x: Float[Tensor, "T S 1"],
    amplitude: Float[Tensor, " T"],
    phase: Float[Tensor, " T"],
    *,
    steps: Sequence[int],
) -> None:
    """Waves seen at x, a panel each, and what is predicted after so many inner steps.

    The learner's `inner_steps` is as it was afterwards.
    """
    y, usual = wave(x, amplitude, phase), learner.inner_steps
    tasks = Episode(x, y, x, y)
    figure, grid = plt.subplots(1, len(x), figsize=(9, 3.7), sharey=True, squeeze=False)
    for t, axes in enumerate(grid[0]):
        this = slice(t, t + 1)
        plot_task(axes, tasks[this], amplitude[this], phase[this], colour=COLOURS[1])
        for k, line in zip(steps, reversed(LINES), strict=False):
            learner.inner_steps = k
            look = {
                "color": COLOURS[0],
                "ls": line,
                "label": f"{k} step{'s' * (k != 1)}",
            }
            plot_prediction(axes, learner, tasks[this], **look)
    learner.inner_steps = usual
    grid[0, 0].set_ylabel("y")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    named = [
        (h, name) for h, name in zip(handles, labels, strict=True) if name != "query"
    ]
    figure.legend(*zip(*named, strict=True), loc="outside lower center", ncols=6)


def plot_extrapolation(
    errors: Mapping[str, Mapping[int, Evaluation | Result]],
    published: Mapping[str, Mapping[int, float]],
    references: Mapping[str, float],
) -> None:
    """Mean squared error against the number of inner steps.

    Args:
        errors: of each method after each number of steps, a line with 95% intervals.
        published: of some of the methods, hollow marks in the colour of their line.
        references: heights to compare with, dashed.
    """
    _, axes = plt.subplots(figsize=(7.2, 4.2))
    colours = dict(zip(errors, COLOURS, strict=False))
    for (name, by_steps), line in zip(errors.items(), LINES, strict=False):
        shown: Any = {"label": name, "ls": line, "color": colours[name], "marker": "o"}
        style.curve(axes, list(by_steps), list(by_steps.values()), **shown)
    for name, by_count in published.items():
        hollow: Any = {"color": colours[name], "mfc": "none", "ms": 10, "mew": 2}
        x, y = list(by_count), list(by_count.values())
        axes.plot(x, y, "D", ls="none", label=f"{name}, published", **hollow)
    for name, height in references.items():
        axes.axhline(height, color=INK, ls="--", lw=1.2)
        axes.text(20, height + 0.06, f"{name}, {height:.3g}", ha="right")
    axes.set(xlabel="inner steps", ylabel="mean squared error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(
        fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2
    )


def plot_rates(rates: Mapping[str, Tensor]) -> None:
    """The sorted inner rates of each parameter tensor, from the smallest, at 0, to the
    largest, at 1. Where a curve crosses zero is the share of negative rates."""
    _, axes = plt.subplots(figsize=(7.2, 3.6))
    share = np.linspace(0, 1, QUANTILES)
    for i, (name, values) in enumerate(rates.items()):
        quantiles = np.quantile(values.detach().cpu().numpy(), share)
        look: Any = {"color": COLOURS[i // 2], "ls": LINES[i % 2]}
        axes.plot(share, quantiles, label=name, **look)
    axes.axhline(0, color=INK, lw=1)
    axes.set(xlabel="share of the tensor's parameters", ylabel="learned inner rate")
    axes.legend(ncols=3)
