"""Pictures of two ways to be right: bursty sequences, and which way a network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from labkit.episode import Episode
from labkit.figures.matching import DARK, WEIGHT
from labkit.figures.style import COLOURS, INK
from labkit.measures.induction import matches

LOOKS: dict[str, dict[str, Any]] = {
    "in weights": {"color": COLOURS["blue"], "ls": "--", "marker": "s"},
    "new classes": {"color": COLOURS["orange"], "ls": "-", "marker": "o"},
    "swapped labels": {"color": COLOURS["purple"], "ls": "-.", "marker": "^"},
    "induction score": {"color": COLOURS["green"], "ls": "-", "marker": ""},
    "previous-token score": {"color": INK, "ls": ":", "marker": ""},
}
"""How each measure looks in every figure of the chapter."""

ROWS = 4  # of the little picture that an item's vector is shown as


def plot_sequences(episodes: Mapping[str, Episode]) -> Figure:
    """The first sequence of each kind: items as pictures of vectors, labels below.

    The query stands on the right in an orange frame with its target, and the items of
    the context that match it are framed in green.
    """
    shot = next(iter(episodes.values())).support_x.shape[1]
    figure, axes = plt.subplots(figsize=(0.85 * (shot + 3), 1.25 * len(episodes)))
    for row, (name, e) in enumerate(episodes.items()):
        y = -1.6 * row
        axes.text(-0.9, y, name, ha="right", va="center")
        matching = matches(e)[0].tolist()
        support = zip(e.support_x[0], e.support_y[0].argmax(-1).tolist(), strict=True)
        for i, (item, label) in enumerate(support):
            frame = COLOURS["green"] if matching[i] else None
            _item(axes, item, (float(i), y), str(label), frame)
        target = f"? = {e.query_y[0, 0].argmax().item()}"
        _item(axes, e.query_x[0, 0], (shot + 0.6, y), target, COLOURS["orange"])
    axes.set(xlim=(-3.6, shot + 1.3), ylim=(-1.6 * len(episodes) + 0.5, 0.6))
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def _item(
    axes: Axes,
    item: Float[Tensor, " D"],
    centre: tuple[float, float],
    label: str,
    frame: str | None,
) -> None:
    x, y = centre
    picture = item.detach().cpu().unflatten(0, (ROWS, -1)).numpy()
    box = (x - 0.4, x + 0.4, y - 0.4, y + 0.4)
    axes.imshow(picture, cmap="PuOr_r", vmin=-0.5, vmax=0.5, extent=box, aspect="auto")
    axes.text(x, y - 0.72, label, ha="center", va="center", fontsize="small")
    if frame:
        axes.add_patch(
            Rectangle((x - 0.43, y - 0.43), 0.86, 0.86, fill=False, ec=frame, lw=2.5)
        )


def plot_emergence(
    axes: Axes, steps: Sequence[int], curves: Mapping[str, Sequence[float]]
) -> None:
    """Accuracies and scores against training steps, on one axis from 0 to 1."""
    for name, values in curves.items():
        look = LOOKS[name] | {"marker": ""}
        axes.plot(steps, values, label=name, **look)
    axes.set(xlabel="training steps", ylabel="accuracy, score", ylim=(-0.04, 1.02))


def plot_reading(
    moments: Mapping[str, Float[Tensor, "layers L L"]], episode: Episode
) -> Figure:
    """Who reads whom in one sequence, at several moments: a column each.

    Above the first layer, in which row i is what token i reads; below what the query
    reads in the second, the labels of the matching items framed.
    """
    labels = [str(label) for label in episode.support_y[0].argmax(-1).tolist()]
    names = [name for label in labels for name in ("x", label)] + ["?"]
    right = [2 * i + 1 for i, m in enumerate(matches(episode)[0].tolist()) if m]
    figure, axes = plt.subplots(
        2,
        len(moments),
        figsize=(3.0 * len(moments), 4.0),
        height_ratios=(len(names), 1.6),
        squeeze=False,
    )
    limits: Any = {"cmap": WEIGHT, "vmin": 0, "vmax": 1, "aspect": "auto"}
    for (above, below), (moment, maps) in zip(axes.T, moments.items(), strict=True):
        maps = maps.detach().cpu()
        above.imshow(maps[0].numpy(), **limits)
        below.imshow(maps[1, -1:].numpy(), **limits)
        above.set(title=f"{moment}\nfirst layer", ylabel="token that reads")
        below.set(title="second layer, the query", xlabel="token that is read")
        above.set_yticks(range(len(names)), names, fontsize="x-small")
        below.set_yticks([0], ["?"], fontsize="x-small")
        for panel in (above, below):
            panel.set_xticks(range(len(names)), names, fontsize="x-small")
            panel.grid(False)
            panel.tick_params(length=0)
        for place in right:
            below.add_patch(
                Rectangle(
                    (place - 0.5, -0.5), 1, 1, fill=False, ec=COLOURS["orange"], lw=2.5
                )
            )
    return figure


def plot_draws(
    axes: Axes,
    places: Sequence[int | float],
    values: Mapping[str, Sequence[Sequence[float]]],
) -> None:
    """Accuracies with one mark for each training; the line joins their means.

    Args:
        values: by measure, for each place the accuracies of its trainings.
    """
    for name, of_places in values.items():
        look = dict(LOOKS[name])
        marker = look.pop("marker")
        means = [sum(draws) / len(draws) for draws in of_places]
        axes.plot(places, means, label=name, **look)
        for place, draws in zip(places, of_places, strict=True):
            axes.plot([place] * len(draws), draws, marker, ms=5, color=look["color"])
    axes.set(ylim=(-0.04, 1.04))
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def plot_grid(
    panels: Mapping[str, Sequence[Sequence[float]]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    row_name: str,
    column_name: str,
) -> Figure:
    """A table of accuracies in percent for each panel, the darker the higher."""
    figure, axes = plt.subplots(1, len(panels), figsize=(8, 2.6), squeeze=False)
    for panel, (title, values) in zip(axes[0], panels.items(), strict=True):
        panel.imshow(values, cmap=WEIGHT, vmin=0, vmax=1, aspect="auto")
        for r, row in enumerate(values):
            for c, value in enumerate(row):
                ink = "white" if value > DARK else "black"
                panel.text(
                    c, r, f"{100 * value:.0f}", ha="center", va="center", color=ink
                )
        panel.set(title=title, xlabel=column_name)
        panel.set_xticks(range(len(columns)), columns)
        panel.set_yticks(range(len(rows)), rows)
        panel.grid(False)
        panel.tick_params(length=0)
    axes[0, 0].set_ylabel(row_name)
    return figure
