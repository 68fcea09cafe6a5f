"""The picture of attention over labelled examples: who is heard, and how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from string import ascii_uppercase

import torch
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from labkit.episode import Episode
from labkit.evaluation import Evaluation
from labkit.figures.style import COLOURS, INK, PAPER
from labkit.objective import accuracy

WEIGHT = LinearSegmentedColormap.from_list(
    "weight",
    [(0, "#f4f1ea"), (0.1, "#8fb8d8"), (0.4, "#1f7fc4"), (1, "#0b2c47")],
)
"""From 0, paper, to 1; steep at first, so that a tenth of the weight is seen on dark
pages too, where plots are shown brighter. It brings its own background, as drawings do.
"""

DARK = 0.36  # the weight from which on white letters are read better than black ones
BETWEEN_CLASSES, BESIDE_THE_MATRIX = 0.25, 0.8  # gaps, in cells


def plot_attention(
    episode: Episode, attention: Float[Tensor, "T Q S"], task: int = 0
) -> Figure:
    """Queries down the side, support along the top, and a(x̂, x_i) where they meet.

    The cells of a row add up to 1. A frame marks each query's nearest support example.
    On the right the weights are summed by class, which is the prediction: figures in
    percent, a frame around the true class.

    Args:
        episode: its support ordered by class, as `FewShot` orders it.
    """
    episode = episode.to("cpu")
    a, labels = attention[task].detach().cpu(), episode.support_y[task]
    predicted = a @ labels
    n_queries, n_support, way = *a.shape, labels.shape[-1]
    gaps = BETWEEN_CLASSES * labels.argmax(-1)
    across = torch.arange(n_support) + gaps
    by_class = float(across[-1]) + 1 + BESIDE_THE_MATRIX + torch.arange(way)
    width = float(by_class[-1]) + 2.2
    figure, axes = plt.subplots(figsize=(0.42 * width, 0.42 * (n_queries + 2.4)))
    for drawing, x in zip(episode.support_x[task], across.tolist(), strict=True):
        _drawing(axes, drawing[0], (x, 1.2))
    axes.text(-1.2, 1.5, "support →", ha="center", va="center", fontsize="small")
    axes.text(-1.2, 0.9, "queries ↓", ha="center", va="center", fontsize="small")
    axes.text(float(by_class.mean()), 2, "sums by class", ha="center", va="center")
    for letter, k in zip(ascii_uppercase, range(way), strict=False):
        mine = across[labels.argmax(-1) == k]
        axes.text(float(mine.mean()), 2, letter, ha="center", va="center")
        axes.text(float(by_class[k]), 1, letter, ha="center", va="center")
    truth = episode.query_y[task].argmax(-1).tolist()
    for q, drawing in enumerate(episode.query_x[task]):
        y = -float(q)
        _drawing(axes, drawing[0], (-1.2, y))
        for x, weight in zip(across.tolist(), a[q].tolist(), strict=True):
            _cell(axes, (x, y), weight)
        _frame(axes, (float(across[a[q].argmax()]), y), COLOURS["orange"])
        for x, weight in zip(by_class.tolist(), predicted[q].tolist(), strict=True):
            _cell(axes, (x, y), weight, text=f"{100 * weight:.0f}")
        _frame(axes, (float(by_class[truth[q]]), y), COLOURS["green"])
    axes.set(xlim=(-1.8, width - 1.6), ylim=(0.4 - n_queries, 2.4), aspect="equal")
    axes.set_axis_off()
    return figure


def plot_scales(
    votes: Mapping[float, Float[Tensor, "T Q C"]],
    *,
    truth: Float[Tensor, "T Q C"],
    references: Mapping[str, float],
    learned: float,
) -> Figure:
    """Accuracy and certainty of the same tasks at every scale of the similarity.

    Args:
        votes: by scale, the probabilities of the classes.
        references: accuracies that do not depend on the scale.
        learned: the scale that training chose.
    """
    scales = list(votes)
    found = [
        Evaluation.of(accuracy(of, truth), 0, "inductive") for of in votes.values()
    ]
    low, high = ([e.mean + side * e.ci95 for e in found] for side in (-1, 1))
    certainty = [of.amax(-1).mean().item() for of in votes.values()]
    others = truth.shape[-1] - 1
    ceiling = [1 / (1 + others * math.exp(-scale)) for scale in scales]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.8))
    left.semilogx(scales, [e.mean for e in found], label="attention")
    left.fill_between(scales, low, high, alpha=0.2, lw=0)
    for (name, value), line in zip(references.items(), ("--", "-."), strict=True):
        left.axhline(value, ls=line, color=INK, label=name)
    right.semilogx(scales, certainty, label="measured")
    right.semilogx(scales, ceiling, "--", label="ceiling")
    left.set(xlabel="scale $s$", ylabel="accuracy")
    right.set(xlabel="scale $s$", ylabel="mean largest probability")
    for axes in (left, right):
        axes.axvline(learned, ls=":", color=INK, label="learned $s$")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    left.yaxis.set_major_formatter(PercentFormatter(1))
    right.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _drawing(
    axes: Axes, drawing: Float[Tensor, "H W"], centre: tuple[float, float]
) -> None:
    x, y = centre
    box = (x - 0.45, x + 0.45, y - 0.45, y + 0.45)
    axes.imshow(drawing.numpy(), cmap=PAPER, vmin=0, vmax=1, extent=box)


def _cell(
    axes: Axes, centre: tuple[float, float], weight: float, text: str = ""
) -> None:
    x, y = centre
    axes.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, color=WEIGHT(weight)))
    ink = "white" if weight > DARK else "black"
    axes.text(x, y, text, ha="center", va="center", color=ink, fontsize="small")


def _frame(axes: Axes, centre: tuple[float, float], colour: str) -> None:
    x, y = centre
    axes.add_patch(
        Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, ec=colour, lw=2.2)
    )
