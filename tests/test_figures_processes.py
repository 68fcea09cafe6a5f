"""What the pictures of functions say, read back from the drawn figures."""

import math

import pytest
import torch
from matplotlib import pyplot as plt

from labkit.figures.sets import (
    influence,
    plot_bands,
    plot_calibration,
    plot_coverage,
    plot_influence,
)
from labkit.learners.oracles.gaussian_process import GaussianProcess
from labkit.randomness import seeded
from labkit.tasks.gaussian_processes import Kernel


@pytest.fixture
def axes():
    return plt.subplots()[1]


def standard_normal(n):
    return torch.randn(n, generator=seeded(0))


def test_a_band_is_1_96_deviations_wide_and_closes_at_the_support(axes):
    kernel = Kernel.single("rbf", 0.5, 1.0)
    x = torch.tensor([[[0.0], [100.0]]])
    support = x[:, :1], torch.tensor([[[0.7]]])
    query_y = torch.tensor([[[0.7], [3.0]]])
    inside = plot_bands(
        axes, GaussianProcess(kernel, 0.1), *support, x, query_y, "black"
    )
    assert inside == 0.5  # the point far from the support is more than 1.96 away
    corners = axes.collections[0].get_paths()[0].vertices
    at, far = (corners[corners[:, 0] == place, 1] for place in (0.0, 100.0))
    # at the support the variance is 0.1² + 1 − 1 / 1.01; far from it, that of the prior
    width = 2 * 1.96 * math.sqrt(0.01 + 1 - 1 / 1.01)
    assert at.max() - at.min() == pytest.approx(width, rel=1e-3)
    assert far.max() - far.min() == pytest.approx(2 * 1.96 * math.sqrt(1.01), rel=1e-3)


def test_influence_is_who_depends_on_whom():
    y = torch.randn(1, 4, 1, generator=seeded(0))
    assert torch.equal(influence(lambda y: y.cumsum(1), y), torch.ones(4, 4).tril())
    assert torch.equal(influence(lambda y: y.square(), y), torch.eye(4))
    assert torch.equal(influence(lambda y: y.mean(1, True), y), torch.ones(1, 4))


def test_a_square_stands_for_each_dependence(axes):
    seen = torch.cat([torch.eye(3), torch.ones(1, 3)])
    plot_influence(axes, seen, "black", "title")
    squares = {tuple(place) for place in axes.collections[0].get_offsets().tolist()}
    assert squares == {(0, 0), (1, 1), (2, 2), (0, 3), (1, 3), (2, 3)}
    assert [t.get_text() for t in axes.get_yticklabels()] == ["1", "2", "3", "query"]


@pytest.mark.parametrize(("factor", "half"), [(1.0, 0.5), (2.0, 0.264)])
def test_errors_twice_as_large_as_predicted_show_as_overconfidence(axes, factor, half):
    """P(|2z| < 0.674) = 0.264, where 0.674 is the half-width of the 50% band."""
    plot_calibration(axes, factor * standard_normal(100_000))
    promised, held = axes.lines[0].get_data()
    middle = abs(promised - 0.5).argmin()
    assert promised[middle] == pytest.approx(0.5)
    assert held[middle] == pytest.approx(half, abs=6e-3)


def test_coverage_is_counted_in_each_range_of_sureness(axes):
    errors = torch.tensor([0.0, 3.0, 0.0, 0.0, 3.0, 3.0, 0.0, 0.0])
    sureness = torch.tensor([0.02, 0.02, 0.05, 0.05, 0.2, 0.2, 0.5, 0.5])
    held = plot_coverage(axes, errors, sureness)
    assert held == [0.5, 1.0, 0.0, 1.0]
