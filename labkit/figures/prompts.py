"""Pictures of prompts in words: what is asked and answered, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from labkit.episode import Episode
from labkit.evaluation import Evaluation
from labkit.figures.style import COLOURS, INK, curve
from labkit.tasks.languages.grammar import (
    FEW_WORDS,
    NUMBER,
    OBJECT,
    SUBJECT,
    VERB,
    Grammar,
)
from labkit.tasks.languages.vocabulary import END, TOKENS

PART_COLOURS = {
    SUBJECT: COLOURS["blue"],
    NUMBER: COLOURS["purple"],
    VERB: COLOURS["orange"],
    OBJECT: COLOURS["green"],
}
"""Of the four parts of an English sentence, and of what each becomes."""

MONOSPACE = 0.602
"""The width of a letter of DejaVu Sans Mono, as a share of the font size."""

Price = tuple[str, int, float, float]
"""A name, the bytes of θ', a score and the half-width of its interval."""


def plot_prompt(
    axes: Axes, grammar: Grammar, episode: Episode, *, task: int = 0, size: int = 9
) -> None:
    """The support of a task, a line an example, and the first query without its answer.

    What stands for the same part of a sentence has the same colour on both sides.
    """
    lines = [*zip(episode.support_x[task], episode.support_y[task], strict=True)]
    for row, (x, y) in enumerate(lines):
        _write(axes, -row, _line(grammar, task, x.tolist(), y.tolist()), size)
    query = _line(grammar, task, episode.query_x[task, 0].tolist(), [])
    _write(axes, -len(lines), [*query, ("?", INK)], size)
    axes.set(ylim=(-len(lines) - 0.5, 0.5))
    axes.set_axis_off()


def plot_rows(
    grammars: Mapping[str, Grammar],
    curves: Mapping[str, Sequence[Evaluation]],
    *,
    generator: torch.Generator,
) -> Figure:
    """A row for each kind of task: a drawn example of its first grammar in colour, and
    the share of exact answers after 0, 1, 2, … examples, the last of them in words."""
    figure, rows = plt.subplots(
        len(grammars),
        2,
        figsize=(8, 0.62 * len(grammars) + 0.5),
        width_ratios=(5, 3),
        squeeze=False,
    )
    for (left, right), (name, grammar) in zip(rows, grammars.items(), strict=True):
        episode = grammar.episode(1, 1, FEW_WORDS, generator=generator)
        x, y = episode.support_x[0, 0].tolist(), episode.support_y[0, 0].tolist()
        _write(left, 0, _line(grammar, 0, x, y), 8)
        left.text(0, 1, name, weight="bold", va="center", size=9)
        left.set(ylim=(-0.6, 1.6))
        left.set_axis_off()
        last = curves[name][-1]
        curve(right, range(len(curves[name])), curves[name], lw=1.5)
        right.text(
            1.03,
            last.mean,
            last.percent(),
            transform=right.get_yaxis_transform(),
            va="center",
            size=8,
        )
        right.set(ylim=(-0.08, 1.08), yticks=(0, 1), yticklabels=("0", "100%"))
        right.tick_params(labelsize=8, labelbottom=right is rows[-1, 1])
    rows[-1, 1].set_xlabel("examples in the prompt")
    return figure


def plot_by_shots(
    axes: Axes,
    curves: Mapping[str, tuple[Sequence[int], Sequence[Evaluation]]],
) -> None:
    """The share of exact answers by the number of examples, a line for each name."""
    for marker, (name, (shots, evaluations)) in zip(
        "os^D", curves.items(), strict=False
    ):
        curve(axes, shots, evaluations, label=name, marker=marker, ms=4)
    axes.set(xlabel="examples in the prompt", ylabel="exact answers", ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def plot_changes(panels: Mapping[str, Mapping[str, Evaluation]]) -> Figure:
    """What each change of a prompt does to the share of exact answers.

    Args:
        panels: kind of task -> change -> evaluation, the same changes in all; the first
            is no change, and a line marks it.
    """
    changes = list(next(iter(panels.values())))
    figure, axes = plt.subplots(
        1, len(panels), sharey=True, squeeze=False, figsize=(8, 0.34 * len(changes) + 1)
    )
    places = range(len(changes))
    for panel, (title, measured) in zip(axes[0], panels.items(), strict=True):
        of = [measured[change] for change in changes]
        panel.errorbar(
            [e.mean for e in of],
            places,
            xerr=[e.ci95 for e in of],
            fmt="o",
            capsize=3,
        )
        panel.axvline(of[0].mean, color=INK, lw=1, ls="--", zorder=0)
        panel.set(title=title, xlabel="exact answers", xlim=(-0.03, 1.03))
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_yticks(places, changes)
    axes[0, 0].invert_yaxis()
    return figure


def plot_prices(panels: Mapping[str, Sequence[Price]]) -> Figure:
    """Bytes of θ' on a logarithmic axis against a score, a panel for each kind of task.

    Args:
        panels: what is measured -> the methods measured by it, four of these.
    """
    figure, axes = plt.subplots(2, 2, figsize=(8, 6))
    for panel, (measure, prices) in zip(axes.flat, panels.items(), strict=True):
        for name, size, score, ci95 in prices:
            panel.errorbar(size, score, yerr=ci95, fmt="o", color=COLOURS["blue"])
            panel.annotate(
                name,
                (size, score + ci95),
                (0, 5),
                textcoords="offset points",
                ha="center",
                size=9,
            )
        sizes = [size for _, size, _, _ in prices]
        panel.set(xscale="log", xlabel="bytes of θ′", ylabel=measure)
        panel.set_xlim(min(sizes) / 6, max(sizes) * 6)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.margins(y=0.25)
    return figure


Written = Sequence[tuple[str, str]]
"""Pieces of a line, each with its colour."""


def _line(grammar: Grammar, task: int, x: list[int], y: list[int]) -> Written:
    """An example of this task in pieces."""
    slots = grammar.slots[task].tolist()
    english = _pieces(x, [SUBJECT, NUMBER, VERB, OBJECT])
    return [*english, (" → ", INK), *_pieces(y, slots[: len(y)])]


def _pieces(tokens: list[int], slots: list[int]) -> Written:
    """The words and affixes of a sentence, spelled and spaced as `text` does."""
    pieces, joined = [], True
    for number, slot in zip(tokens, slots, strict=True):
        token = TOKENS[number]
        if token == END:
            continue
        space = "" if joined or token.startswith("-") else " "
        joined = token.endswith("-") and token != "-"
        word = space + token.removeprefix("-").removesuffix("-")
        pieces.append((word, PART_COLOURS.get(slot, INK)))
    return pieces


def _write(axes: Axes, row: int, pieces: Written, size: int) -> None:
    """A line of text in several colours."""
    column = 0
    for words, colour in pieces:
        indent = len(words) - len(words.lstrip())
        axes.annotate(
            words.strip(),
            (0, row),
            ((column + indent) * MONOSPACE * size, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            family="monospace",
            size=size,
            color=colour,
            va="center",
        )
        column += len(words)
