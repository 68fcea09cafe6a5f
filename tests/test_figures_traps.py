"""Pictures of protocols and of seeds: marks stand at the numbers they mean."""

import pytest
from matplotlib import pyplot as plt

from labkit.evaluation import Evaluation
from labkit.figures.maml_traps import plot_growth, plot_protocols, plot_seeds
from tests.pictures import half_lengths, xs, ys


def accuracy(mean, normalisation="inductive"):
    return Evaluation(mean, 0.01, 100, 0, normalisation)


def test_each_set_of_weights_has_a_panel_and_each_accuracy_its_number():
    both = [accuracy(0.5), accuracy(0.75, "transductive")]
    results = {"one": {"a": both, "b": both}, "other": {"a": both, "b": both}}
    plot_protocols(results, chance=0.2)
    figure = plt.gcf()
    for panel, title in zip(figure.axes, results, strict=True):
        assert panel.get_title() == title
        assert [text.get_text() for text in panel.texts] == ["50", "75"] * 2
        for bars in panel.containers:
            assert half_lengths(bars) == pytest.approx([1])  # per cent
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["inductive", "transductive"]


def test_a_seed_that_broke_is_a_cross_at_the_edge():
    plot_seeds({"method": [1.0, None, 50.0]}, reference=4.0, ceiling=8.0)
    (axes,) = plt.gcf().axes
    marks = [(xs(line)[0], line.get_marker()) for line in axes.lines]
    assert marks == [(4.0, "None"), (1.0, "o"), (8.0, "x"), (8.0, "x")]


def test_costs_are_lines_over_the_steps_from_zero_up():
    _, axes = plt.subplots()
    plot_growth(axes, [1, 2], {"a": [3.0, 5.0], "b": [2.0, 2.0]}, "time (ms)")
    assert [ys(line) for line in axes.lines] == [[3.0, 5.0], [2.0, 2.0]]
    assert axes.get_ylim()[0] == 0 and axes.get_ylabel() == "time (ms)"
