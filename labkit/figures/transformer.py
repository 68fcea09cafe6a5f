"""Pictures of learning from a prompt: errors by its length, and by what was seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from labkit.evaluation import Evaluation
from labkit.figures.style import COLOURS, INK, curve

LOOKS: dict[str, dict[str, Any]] = {
    "transformer": {"color": COLOURS["orange"], "marker": "o", "ls": "", "zorder": 3},
    "ridge (Bayes)": {"color": COLOURS["blue"]},
    "least squares": {"color": COLOURS["green"], "ls": "--", "marker": "s", "ms": 4},
    "averaging": {"color": COLOURS["purple"], "ls": "-.", "marker": "^", "ms": 4},
    "3 nearest neighbours": {"color": INK, "ls": ":", "marker": "d", "ms": 4},
    "Bayes on the pool": {"color": COLOURS["green"], "ls": "--", "marker": "s"},
}
"""How each learner looks in every figure of the chapter."""


def plot_errors(
    axes: Axes, shots: Sequence[int], errors: Mapping[str, Sequence[Evaluation]]
) -> None:
    """Squared error against the number of examples in the prompt, on a log scale."""
    for name, evaluations in errors.items():
        curve(axes, shots, evaluations, label=name, **LOOKS[name])
    axes.set(yscale="log", xlabel="examples in the prompt", ylabel="squared error")
    plain_numbers(axes)


def plot_diversity(
    sizes: Sequence[int],
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
) -> Figure:
    """Errors against the number M of tasks trained on; one panel for each kind of test.

    Args:
        sizes: of the pools; 0, for no pool, stands at the right end as ∞.
        panels: title -> learner -> for each size its errors, one for each draw. The
            line joins their means, a mark is one draw.
    """
    figure, ((*axes,),) = plt.subplots(
        1, len(panels), figsize=(8, 3.4), sharey=True, squeeze=False
    )
    places = list(range(len(sizes)))
    for panel, (title, learners) in zip(axes, panels.items(), strict=True):
        for name, errors in learners.items():
            look = LOOKS[name] | {"ls": LOOKS[name].get("ls") or "-"}
            mark = look.pop("marker", None)
            means = [sum(draws) / len(draws) if draws else math.nan for draws in errors]
            panel.plot(places, means, **look, marker=None, label=name)
            if mark is not None:
                for place, draws in zip(places, errors, strict=True):
                    points = [place] * len(draws)
                    panel.plot(points, draws, color=look["color"], marker=mark, ls="")
        panel.set(title=title, xlabel="tasks trained on, M", yscale="log")
        plain_numbers(panel)
        panel.set_xticks(places, [f"{size:,}" if size else "∞" for size in sizes])
    axes[0].set_ylabel("squared error")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def plain_numbers(axes: Axes) -> None:
    """Write 0.5 on a logarithmic error axis, and not 5 × 10⁻¹."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def plot_matrix(axes: Axes, matrix: Float[Tensor, "n m"], title: str) -> None:
    """A matrix as squares, blue where negative, orange where positive; the largest
    absolute entry has the full colour."""
    limit = matrix.abs().max().item()
    axes.imshow(matrix.cpu().numpy(), cmap="PuOr_r", vmin=-limit, vmax=limit)
    axes.set(title=title, xlabel="entry of the query", ylabel="entry of an example")
    axes.grid(False)
