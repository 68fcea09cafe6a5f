"""Pictures of learners that remember: the stream they read, and what they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from labkit.episode import Episode
from labkit.evaluation import Evaluation
from labkit.figures.matching import WEIGHT
from labkit.figures.style import COLOURS, INK, PAPER, curve


def plot_stream(
    episode: Episode, logits: Float[Tensor, "T L C"], steps: int = 14
) -> Figure:
    """The first task's first steps: what is read at each, and what is answered.

    Above a drawing stands the label read with it, which is that of the drawing before;
    below it the answer, struck through where it is wrong, with the true label beside.
    """
    labels = episode.support_y[0].argmax(-1).tolist()
    answers = logits[0].argmax(-1).tolist()
    figure, axes = plt.subplots(figsize=(0.6 * steps + 1.4, 1.9))
    drawings = episode.support_x[0, :steps, 0].detach().cpu()
    for t, (drawing, label, answer) in enumerate(
        zip(drawings, labels, answers, strict=False)
    ):
        draw(axes, drawing, t, answer == label)
        read = ascii_uppercase[labels[t - 1]] if t else "–"
        axes.text(t, 0.75, read, ha="center", va="center")
        said = ascii_uppercase[answer]
        said += "" if answer == label else f" ≠ {ascii_uppercase[label]}"
        axes.text(t, -0.75, said, ha="center", va="center", fontsize="small")
    for height, name in ((0.75, "label read"), (0, "drawing"), (-0.75, "answer")):
        axes.text(-0.75, height, name, ha="right", va="center", fontsize="small")
    axes.set(xlim=(-2.4, steps - 0.4), ylim=(-1.1, 1.1), aspect="equal")
    axes.set_axis_off()
    return figure


def plot_by_presentation(
    axes: Axes,
    curves: Mapping[str, Sequence[Evaluation]],
    *,
    ceiling: float,
    chance: float,
) -> None:
    """Accuracy at the first, second, ... presentation, with 95% intervals.

    Args:
        ceiling: at the first presentation, by elimination.
    """
    markers = iter("os^Dv")
    for name, evaluations in curves.items():
        places = range(1, len(evaluations) + 1)
        curve(axes, places, evaluations, marker=next(markers), label=name)
    presentations = range(1, max(map(len, curves.values())) + 1)
    axes.plot([0.7, 1.3], [ceiling, ceiling], color=INK, label="ceiling at the first")
    axes.axhline(chance, ls=":", color=INK, label="chance")
    axes.set(xlabel="presentation of the class", ylabel="accuracy", ylim=(0, 1))
    axes.set_xticks(presentations)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def plot_memory(
    episode: Episode,
    logits: Float[Tensor, "T L C"],
    writes: Float[Tensor, "shown slots"],
    reads: Float[Tensor, "shown slots"],
    curves: Mapping[str, Sequence[Evaluation]],
    *,
    ceiling: float,
) -> Figure:
    """The slots of a memory through the first task of an episode, and the accuracy.

    Args:
        writes: the weights of all heads at each step, added up; as many steps and slots
            as are to be shown. A slot is named after the drawing of the step at which
            most was first written to it.
        reads: the weights of all heads at each step, added up; as many steps and slots
            as are to be shown. A slot is named after the drawing of the step at which
            most was first written to it.
    """
    steps, slots = writes.shape
    classes = episode.support_y.shape[-1]
    labels = episode.support_y[0].argmax(-1).tolist()
    answers = logits[0].argmax(-1).tolist()
    named = [ascii_uppercase[labels[t]] for t in writes.argmax(0).tolist()]
    figure = plt.figure(figsize=(7.4, 10))
    grid = figure.add_gridspec(4, 1, height_ratios=(0.5, 2.4, 2.4, 1.8))
    strip = figure.add_subplot(grid[0])
    for t, drawing in enumerate(episode.support_x[0, :steps, 0].detach().cpu()):
        draw(strip, drawing, t, answers[t] == labels[t])
        strip.text(t, 1, ascii_uppercase[labels[t]], ha="center", va="center")
    strip.set(xlim=(-0.5, steps - 0.5), ylim=(-0.6, 1.5), aspect="equal")
    strip.set_axis_off()
    for row, (name, weights) in enumerate({"written": writes, "read": reads}.items()):
        panel = figure.add_subplot(grid[row + 1])
        panel.imshow(
            weights.detach().cpu().T.numpy(),
            cmap=WEIGHT,
            vmin=0,
            vmax=1,
            aspect="auto",
            origin="lower",
            extent=(-0.5, steps - 0.5, -0.5, slots - 0.5),
        )
        panel.grid(False)
        panel.set(ylabel=f"slot {name}", xlim=(-0.5, steps - 0.5))
        panel.set_xticks(range(0, steps, 5), [str(t + 1) for t in range(0, steps, 5)])
        panel.set_yticks(range(slots), named, fontsize="x-small")
    panel.set_xlabel("step of the stream")
    below = figure.add_subplot(grid[3])
    plot_by_presentation(below, curves, ceiling=ceiling, chance=1 / classes)
    below.legend(loc="center right", ncols=2, fontsize="small")
    return figure


def draw(axes: Axes, drawing: Float[Tensor, "H W"], t: int, right: bool) -> None:
    """The drawing of step t at x = t, framed by whether it was answered rightly."""
    box = (t - 0.45, t + 0.45, -0.45, 0.45)
    axes.imshow(drawing.numpy(), cmap=PAPER, vmin=0, vmax=1, extent=box)
    colour = COLOURS["green" if right else "orange"]
    axes.add_patch(
        Rectangle((t - 0.45, -0.45), 0.9, 0.9, fill=False, ec=colour, lw=1.8)
    )
