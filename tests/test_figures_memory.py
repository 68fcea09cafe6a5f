"""Pictures of streams and memories: letters, frames and cells are where they should."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.evaluation import Evaluation
from labkit.figures.memory import plot_by_presentation, plot_memory, plot_stream
from labkit.figures.style import COLOURS
from tests.pictures import half_lengths, points, ys

LABELS = F.one_hot(torch.tensor([[0, 1, 1, 0]]), 2).float()
ANSWERS = F.one_hot(torch.tensor([[0, 0, 1, 0]]), 2).float()  # the second is wrong


def episode():
    drawings = torch.rand(1, 4, 1, 8, 8)
    return Episode(drawings, LABELS, drawings[:, :1], LABELS[:, :1])


def frames(axes):
    return [patch.get_edgecolor()[:3] for patch in axes.patches]


def score(mean):
    return Evaluation(mean, 0.01, 100, 0, "inductive")


def test_a_stream_shows_the_label_before_and_the_answer():
    (axes,) = plot_stream(episode(), ANSWERS, steps=4).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts[:8] == ["–", "A", "A", "A ≠ B", "B", "B", "B", "A"]
    right, wrong = to_rgb(COLOURS["green"]), to_rgb(COLOURS["orange"])
    assert frames(axes) == [right, wrong, right, right]


def test_accuracy_is_drawn_from_the_first_presentation_on():
    _, axes = plt.subplots()
    plot_by_presentation(
        axes, {"one": [score(0.4), score(0.9)]}, ceiling=0.75, chance=0.5
    )
    (bars,) = axes.containers
    assert isinstance(bars, ErrorbarContainer)
    assert half_lengths(bars) == pytest.approx([0.01, 0.01])
    assert points(bars.lines[0]) == [[1, 0.4], [2, 0.9]]
    assert any(ys(line) == [0.75, 0.75] for line in axes.lines)


def test_a_memory_has_a_column_for_each_step_and_a_row_for_each_slot():
    writes, reads = torch.zeros(3, 5), torch.zeros(3, 5)
    writes[1, 2], reads[2, 2] = 1, 1
    figure = plot_memory(
        episode(), ANSWERS, writes, reads, {"MANN": [score(0.4)]}, ceiling=0.7
    )
    strip, above, below, _ = figure.axes
    assert len(strip.patches) == 3
    for panel, step in ((above, 1), (below, 2)):
        cells = np.asarray(panel.images[0].get_array())
        assert cells.shape == (5, 3)
        assert cells[2, step] == 1
        assert cells.sum() == 1
