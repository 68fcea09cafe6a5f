"""The pictures of prompts show the numbers they were given."""

import math

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt

from labkit.evaluation import Evaluation
from labkit.figures.transformer import plot_diversity, plot_errors, plot_matrix
from tests.pictures import ys

mpl.use("agg")


def test_errors_are_drawn_by_the_number_of_examples():
    measured = [
        Evaluation(5.0, 0.1, 100, 0, "inductive"),
        Evaluation(0.5, 0.1, 9, 0, "inductive"),
    ]
    _, axes = plt.subplots()
    plot_errors(axes, [0, 10], {"transformer": measured, "ridge (Bayes)": measured})
    names = axes.get_legend_handles_labels()[1]
    assert names == ["transformer", "ridge (Bayes)"]
    for line in axes.containers:
        assert line[0].get_xydata().tolist() == [[0, 5.0], [10, 0.5]]
    assert axes.get_yscale() == "log"


def test_a_line_of_diversity_joins_the_means_and_marks_every_draw():
    panels = {
        "on new tasks": {"transformer": [[4.0, 2.0], [1.0, 1.0]]},
        "on seen tasks": {"transformer": [[0.5, 0.7], []]},
    }
    figure = plot_diversity([16, 0], panels)
    new, seen = figure.axes
    line, *marks = new.lines
    assert ys(line) == [3.0, 1.0]
    assert [ys(mark) for mark in marks] == [[4.0, 2.0], [1.0, 1.0]]
    assert [label.get_text() for label in new.get_xticklabels()] == ["16", "∞"]
    mean, nothing = ys(seen.lines[0])
    assert mean == pytest.approx(0.6) and math.isnan(nothing)


def test_a_matrix_is_coloured_evenly_about_zero():
    _, axes = plt.subplots()
    plot_matrix(axes, torch.tensor([[0.5, -2.0]]), "one row")
    assert axes.images[0].get_clim() == (-2.0, 2.0)
    assert axes.images[0].get_array().tolist() == [[0.5, -2.0]]
