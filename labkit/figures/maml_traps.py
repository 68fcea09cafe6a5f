"""Pictures of protocols: one set of weights, and the numbers it can be made to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from labkit.evaluation import Evaluation
from labkit.figures.style import COLOURS, INK

MARKERS = "os^D"


def plot_protocols(
    results: Mapping[str, Mapping[str, Sequence[Evaluation]]], *, chance: float
) -> None:
    """Accuracy (in per cent) of several weights, a panel each, under several protocols.

    Args:
        results: weights → tasks → evaluations, those that differ in normalisation alone
            beside each other. Each dot carries its percentage; bars are 95% intervals,
            and the dashed line is guessing.
    """
    figure, panels = plt.subplots(
        1, len(results), sharey=True, squeeze=False, figsize=(8, 3.6)
    )
    colours = list(COLOURS.values())
    for panel, (weights, by_tasks) in zip(panels[0], results.items(), strict=True):
        for place, evaluations in enumerate(by_tasks.values()):
            for i, evaluation in enumerate(evaluations):
                x = place + 0.3 * (i - (len(evaluations) - 1) / 2)
                height = 100 * evaluation.mean
                panel.errorbar(
                    x,
                    height,
                    yerr=100 * evaluation.ci95,
                    fmt=MARKERS[i],
                    color=colours[i],
                    capsize=3,
                    label=evaluation.normalisation if place == 0 else None,
                )
                above = (0, 9)
                panel.annotate(
                    f"{height:.0f}",
                    (x, height + 100 * evaluation.ci95),
                    above,
                    textcoords="offset points",
                    ha="center",
                    va="center",
                    color=colours[i],
                )
        panel.axhline(100 * chance, color=INK, ls="--", lw=1)
        panel.set(title=weights, xlim=(-0.6, len(by_tasks) - 0.4), ylim=(0, 112))
        panel.set_xticks(range(len(by_tasks)), list(by_tasks), fontsize="small")
        panel.grid(axis="x", visible=False)
    panels[0, 0].set(ylabel="accuracy (%)", yticks=range(0, 101, 20))
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)


def plot_seeds(
    errors: Mapping[str, Sequence[float | None]], *, reference: float, ceiling: float
) -> None:
    """The final error of each training seed, a row a method; None is a seed that broke.

    Errors above the ceiling, and seeds that broke off with no number at all, are
    crosses at the right edge. The dashed line is an error to compare with.
    """
    _, axes = plt.subplots(figsize=(7.2, 2.6))
    axes.axvline(reference, color=INK, ls="--", lw=1.2)
    for row, seeds in enumerate(errors.values()):
        for i, error in enumerate(seeds):
            y = row + 0.12 * (i - (len(seeds) - 1) / 2)
            x, mark = ceiling, "x"
            if error is not None and error <= ceiling:
                x, mark = error, "o"
            axes.plot([x], [y], mark, color=COLOURS["blue"], ms=8, mew=2.5)
    axes.set_yticks(range(len(errors)), list(errors))
    axes.set(ylim=(len(errors) - 0.5, -0.5), xlim=(0, 1.05 * ceiling))
    axes.set_xlabel("mean squared error")
    axes.grid(axis="y", visible=False)


def plot_growth(
    axes: Axes,
    steps: Sequence[int],
    costs: Mapping[str, Sequence[float]],
    unit: str,
) -> None:
    """A cost, in the unit named, against the number of inner steps: a line a method."""
    for (name, values), colour, marker in zip(
        costs.items(), COLOURS.values(), MARKERS, strict=False
    ):
        axes.plot(steps, values, marker=marker, color=colour, label=name)
    axes.set(xlabel="inner steps", ylabel=unit, xticks=list(steps), ylim=(0, None))
    axes.legend(fontsize="small")
