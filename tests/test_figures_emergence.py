"""The pictures of emergence show the numbers they were given."""

import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from labkit.figures.emergence import (
    plot_draws,
    plot_emergence,
    plot_grid,
    plot_reading,
    plot_sequences,
)
from labkit.figures.style import COLOURS
from labkit.measures.induction import matches
from labkit.randomness import seeded
from labkit.tasks.bursty import Bursty
from tests.pictures import points, ys

TASKS = Bursty(classes=64, labels=16, dimension=16, shot=4, test="new classes")


def episode(tasks=TASKS):
    return tasks.sample(1, generator=seeded(0))


def frames(axes):
    return [patch.get_edgecolor()[:3] for patch in axes.patches]


def test_a_sequence_shows_items_with_labels_and_frames_those_that_match():
    e = episode()
    (axes,) = plot_sequences({"new classes": e}).axes
    assert len(axes.images) == 5
    assert axes.images[2].get_array().flatten().tolist() == e.support_x[0, 2].tolist()
    texts = [text.get_text() for text in axes.texts]
    labels = [str(label) for label in e.support_y[0].argmax(-1).tolist()]
    assert texts == ["new classes", *labels, f"? = {e.query_y.argmax()}"]
    green, orange = to_rgb(COLOURS["green"]), to_rgb(COLOURS["orange"])
    assert frames(axes) == [green, green, orange]  # two copies, and the query


def test_curves_of_a_training_lie_on_one_axis():
    _, axes = plt.subplots()
    plot_emergence(
        axes, [0, 50], {"in weights": [0.0, 0.4], "induction score": [0.0, 1.0]}
    )
    assert [line.get_label() for line in axes.lines] == [
        "in weights",
        "induction score",
    ]
    assert points(axes.lines[1]) == [[0, 0], [50, 1]]


def test_reading_shows_the_first_layer_and_what_the_query_reads_in_the_second():
    e, maps = episode(), torch.rand(2, 2, 9, 9)
    figure = plot_reading({"before": maps[0], "after": maps[1]}, e)
    before, after, query_before, query_after = figure.axes
    assert before.images[0].get_array().tolist() == maps[0, 0].tolist()
    assert after.images[0].get_array().tolist() == maps[1, 0].tolist()
    assert query_before.images[0].get_array().tolist() == maps[0, 1, -1:].tolist()
    frames = [p for p in query_after.patches if isinstance(p, Rectangle)]
    framed = [frame.get_x() + 0.5 for frame in frames]
    assert framed == [2 * i + 1 for i in range(4) if matches(e)[0, i]]


def test_a_line_joins_the_means_and_every_training_has_its_mark():
    _, axes = plt.subplots()
    plot_draws(axes, [1.0, 2.0], {"new classes": [[0.2, 0.4], [1.0, 1.0]]})
    line, first, second = axes.lines
    assert ys(line) == pytest.approx([0.3, 1.0])
    assert points(first) == [[1, 0.2], [1, 0.4]]
    assert points(second) == [[2, 1.0], [2, 1.0]]


def test_a_grid_has_a_cell_in_percent_for_every_row_and_column():
    panels = {"one": [[0.0, 0.254], [0.5, 1.0]], "two": [[0.0, 0.0], [0.0, 0.0]]}
    figure = plot_grid(
        panels, ["a", "b"], ["c", "d"], row_name="letters", column_name="more"
    )
    one, _ = figure.axes
    assert [text.get_text() for text in one.texts] == ["0", "25", "50", "100"]
    assert one.get_ylabel() == "letters" and one.get_xlabel() == "more"
