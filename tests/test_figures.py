"""The figure style: readable on both pages, by all eyes, and the same every time."""

import io
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from labkit.evaluation import Evaluation
from labkit.figures import style
from labkit.figures.objective import plot_prediction, plot_task
from labkit.learners.oracles.sinusoids import SinusoidOracle
from labkit.randomness import seeded
from labkit.tasks.sinusoids import Sinusoids
from tests.pictures import half_lengths, xs, ys

WHITE, NEAR_BLACK = "#ffffff", "#1a1a1a"

# Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB.
SEEN_WITH = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "all cones": np.eye(3),
}


@pytest.fixture(autouse=True)
def styled():
    with mpl.rc_context():
        style.use()
        yield


def linear_rgb(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2: 1 for equal, 21 for black on white."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(weights @ linear_rgb(c) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(colour, seen_with):
    """CIELAB (D65) of a colour as it appears to such an eye."""
    rgb = np.clip(np.array(SEEN_WITH[seen_with]) @ linear_rgb(colour), 0, 1)
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    t = np.array(xyz) @ rgb / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", [style.INK, *style.COLOURS.values()])
@pytest.mark.parametrize("page", [WHITE, NEAR_BLACK])
def test_every_colour_is_readable_on_a_light_and_on_a_dark_page(colour, page):
    assert contrast(colour, page) >= 3


@pytest.mark.parametrize("eye", SEEN_WITH)
def test_lines_differ_in_colour_to_every_eye(eye):
    for one, other in combinations([style.INK, *style.COLOURS.values()], 2):
        difference = np.linalg.norm(lab(one, eye) - lab(other, eye))
        assert difference > 12, (one, other)


def test_the_same_figure_gives_the_same_bytes_whenever_it_is_drawn(monkeypatch):
    def drawn():
        figure, axes = plt.subplots()
        axes.plot([0, 1], [1, 0], label="a line", clip_on=True)
        axes.legend()
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()

    first = drawn()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert drawn() == first


def test_a_curve_has_an_interval_at_every_point():
    evaluations = [Evaluation(m, 0.1, 600, 0, "inductive") for m in (3.0, 2.0)]
    _, axes = plt.subplots()
    style.curve(axes, [1, 5], evaluations, label="learner")
    assert half_lengths(axes.containers[0]) == pytest.approx([0.1, 0.1])
    assert axes.get_legend_handles_labels()[1] == ["learner"]


def test_a_contact_sheet_has_each_drawing_where_its_row_and_column_say():
    images = torch.zeros(2, 3, 8, 6)
    images[1, 2] = 1
    _, axes = plt.subplots()
    style.contact_sheet(axes, images)
    picture = axes.images[0]
    left, right, bottom, top = picture.get_extent()
    pixels: NDArray[np.float64] = np.asarray(
        np.ma.asarray(picture.get_array()).filled(np.nan)
    )
    height, width = pixels.shape

    def at(row, column):
        y = (row - top) / (bottom - top) * height
        x = (column - left) / (right - left) * width
        return pixels[int(y), int(x)]

    assert [[at(r, c) for c in range(3)] for r in range(2)] == [[0, 0, 0], [0, 0, 1]]


def test_a_task_is_drawn_as_its_wave_its_support_and_its_queries():
    tasks, source = Sinusoids(shot=3, query=4), seeded(0)
    amplitude, phase = tasks.functions(1, generator=source)
    episode = tasks.observe(amplitude, phase, generator=source)
    _, axes = plt.subplots()
    plot_task(axes, episode, amplitude, phase, colour="C1")
    support, query = (np.asarray(dots.get_offsets()) for dots in axes.collections)
    assert (
        support.tolist()
        == torch.cat([episode.support_x, episode.support_y], -1)[0].tolist()
    )
    assert len(query) == 4
    (wave,) = axes.lines
    expected = amplitude.item() * np.sin(np.array(xs(wave)) - phase.item())
    assert ys(wave) == pytest.approx(expected, abs=1e-5)


def test_the_prediction_of_a_learner_that_knows_waves_is_the_wave():
    episode = Sinusoids(shot=3, query=4).sample(1, generator=seeded(0))
    _, axes = plt.subplots()
    plot_prediction(axes, SinusoidOracle(), episode, label="exact")
    x, y = (np.array(values) for values in axes.lines[0].get_data())
    at_support = np.interp(episode.support_x.flatten(), x, y)
    assert at_support == pytest.approx(episode.support_y.flatten().numpy(), abs=1e-2)
