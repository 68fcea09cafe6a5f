"""Pictures of attention: frames and figures are where the numbers say."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from labkit.episode import Episode
from labkit.figures.matching import plot_attention, plot_scales
from labkit.figures.style import COLOURS
from tests.pictures import ys

LABELS = torch.eye(2).repeat_interleave(2, 0)  # classes A, A, B, B


def frames(axes, colour):
    """The columns of the frames of one colour, from the first query to the last."""
    boxes = [patch for patch in axes.patches if not patch.get_fill()]
    mine = [b for b in boxes if b.get_edgecolor()[:3] == to_rgb(COLOURS[colour])]
    return [b.get_center()[0] for b in sorted(mine, key=lambda b: -b.get_y())]


def test_attention_frames_the_nearest_example_and_the_true_class():
    drawings = torch.rand(1, 6, 1, 8, 8)
    truth = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    episode = Episode(drawings[:, :4], LABELS[None], drawings[:, 4:], truth)
    attention = torch.tensor([[[0.1, 0.6, 0.2, 0.1], [0.3, 0.3, 0.4, 0.0]]])
    (axes,) = plot_attention(episode, attention).axes
    first, second = frames(axes, "orange")
    assert (first, second) == (1.0, 2.25)  # a gap of 0.25 between the classes
    column_a = frames(axes, "green")
    assert column_a[0] == column_a[1]
    figures = [t.get_text() for t in axes.texts if t.get_text().isdigit()]
    assert figures == ["70", "30", "60", "40"]


def test_scales_are_drawn_with_their_accuracy_and_certainty():
    truth = torch.eye(2).expand(3, 2, 2)
    votes = {0.1: truth.flip(-1), 10.0: truth}  # all wrong, then all right
    references = {"prototypes": 0.9, "nearest": 0.8}
    figure = plot_scales(votes, truth=truth, references=references, learned=5.0)
    left, right = figure.axes
    assert ys(left.lines[0]) == [0.0, 1.0]
    (band,) = left.collections  # all tasks alike: an interval of no width
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert sorted(set(heights)) == [0.0, 1.0]
    assert ys(right.lines[0]) == [1.0, 1.0]
    assert ys(right.lines[1])[0] == pytest.approx(1 / (1 + 2.718281828**-0.1))
