"""The pictures of prompts in words show the words and the numbers they were given."""

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.text import Annotation

from labkit.evaluation import Evaluation
from labkit.figures.prompts import (
    MONOSPACE,
    PART_COLOURS,
    plot_by_shots,
    plot_changes,
    plot_prices,
    plot_prompt,
    plot_rows,
)
from labkit.figures.style import COLOURS, INK
from labkit.randomness import seeded
from labkit.tasks.languages.changes import lines
from labkit.tasks.languages.grammar import FEW_WORDS, OBJECT, SUBJECT, VERB
from labkit.tasks.languages.invented import draw_languages
from labkit.tasks.languages.rules import named
from tests.pictures import half_lengths

mpl.use("agg")


def of(*means):
    return [Evaluation(mean, 0.01, 100, 0, "inductive") for mean in means]


def drawn(shot=3, seed=0):
    source = seeded(seed)
    grammar = draw_languages(2, generator=source)
    return grammar, grammar.episode(shot, 1, FEW_WORDS, generator=source)


def read_line(axes, row, size):
    """What is written in a row, letter by letter where it stands."""
    line = ""
    for text in axes.texts:
        if isinstance(text, Annotation) and text.xy[1] == row:
            column = round(text.xyann[0] / MONOSPACE / size)
            line = line.ljust(column) + text.get_text()
    return line


@pytest.mark.parametrize("seed", range(5))
def test_a_prompt_is_written_as_text_says_and_a_query_without_its_answer(seed):
    grammar, episode = drawn(seed=seed)
    _, axes = plt.subplots()
    plot_prompt(axes, grammar, episode, task=1, size=9)
    examples = lines(episode.support_x[1], episode.support_y[1])
    for row, (x, y) in enumerate(examples):
        assert read_line(axes, -row, 9) == f"{x} → {y}"
    ((query, _),) = lines(episode.query_x[1], episode.query_y[1])
    assert read_line(axes, -3, 9) == f"{query} → ?"


def test_a_part_has_one_colour_on_both_sides_and_signs_have_none():
    rule = named("function call", 1, device=torch.device("cpu"))
    episode = rule.episode(1, 1, FEW_WORDS, generator=seeded(1))
    _, axes = plt.subplots()
    plot_prompt(axes, rule, episode)
    first = [t for t in axes.texts if isinstance(t, Annotation) and t.xy[1] == 0]
    arrow = [text.get_text() for text in first].index("→")
    answer = [text for text in first[arrow + 1 :] if text.get_text() != "s"]
    colours = [text.get_color() for text in answer]
    assert [text.get_text() for text in answer][1::2] == ["(", ",", ")"]
    verb, subject, object_ = (PART_COLOURS[p] for p in (VERB, SUBJECT, OBJECT))
    assert colours == [verb, INK, subject, INK, object_, INK]
    assert first[0].get_color() == subject


def test_a_row_has_an_example_a_curve_and_its_end_in_words():
    grammars = {"one": drawn()[0], "two": drawn(seed=1)[0]}
    curves = {"one": of(0.0, 0.5), "two": of(0.1, 0.75)}
    figure = plot_rows(grammars, curves, generator=seeded(0))
    left, right = figure.axes[2:]
    assert "two" in [text.get_text() for text in left.texts]
    assert " → " in read_line(left, 0, 8)
    (line,) = right.containers
    assert line[0].get_xydata().tolist() == [[0, 0.1], [1, 0.75]]
    assert right.texts[0].get_text() == "75.0 ± 1.0%"


def test_curves_stand_at_their_numbers_of_examples():
    _, axes = plt.subplots()
    plot_by_shots(axes, {"ours": ([0, 1], of(0.0, 0.5)), "known": ([4], of(0.9))})
    assert [line[0].get_xydata().tolist() for line in axes.containers] == [
        [[0, 0], [1, 0.5]],
        [[4, 0.9]],
    ]
    assert axes.get_legend_handles_labels()[1] == ["ours", "known"]


def test_changes_are_rows_and_a_line_marks_no_change():
    changed = dict(zip(["none", "half"], of(0.9, 0.4), strict=True))
    figure = plot_changes({"languages": changed, "rules": changed})
    for panel in figure.axes:
        points, dashed = panel.containers[0][0], panel.lines[-1]
        assert points.get_xydata().tolist() == [[0.9, 0], [0.4, 1]]
        assert dashed.get_xdata() == [0.9, 0.9]
        assert half_lengths(panel.containers[0]) == pytest.approx([0.01, 0.01])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["none", "half"]


def test_prices_stand_at_their_bytes_with_their_names():
    prices = [("prototypes", 640, 0.95, 0.01), ("all weights", 114_452, 0.92, 0.01)]
    figure = plot_prices(dict.fromkeys(["accuracy", "error", "nats", "exact"], prices))
    panel = figure.axes[0]
    points = [line[0].get_xydata()[0].tolist() for line in panel.containers]
    assert points == [[640, 0.95], [114_452, 0.92]]
    assert half_lengths(panel.containers[0]) == pytest.approx([0.01])
    assert [text.get_text() for text in panel.texts] == ["prototypes", "all weights"]
    assert (panel.get_xscale(), panel.get_ylabel()) == ("log", "accuracy")
    assert panel.containers[0][0].get_color() == COLOURS["blue"]
