"""Sinusoid tasks, and the two answers that need no learning."""

import math

import pytest
import torch

from labkit.learners.oracles.sinusoids import SinusoidOracle
from labkit.objective import squared_error, task_losses
from labkit.randomness import seeded
from labkit.tasks.sinusoids import (
    Sinusoids,
    best_fixed_error,
    best_fixed_function,
    wave,
    zero_error,
)


def quadrature(f, points=60):
    """E[f(A, φ, x)] under p(T) by the midpoint rule, on a grid of points³."""
    middle = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    amplitude = 0.1 + 4.9 * middle
    phase = math.pi * middle
    x = -5 + 10 * middle
    return f(*torch.meshgrid(amplitude, phase, x, indexing="ij")).mean()


def test_episodes_have_the_ranges_and_shapes_of_the_paper():
    tasks = Sinusoids(shot=5, query=7)
    episode = tasks.sample(4000, generator=seeded(0))
    assert episode.support_x.shape == episode.support_y.shape == (4000, 5, 1)
    assert episode.query_x.shape == episode.query_y.shape == (4000, 7, 1)
    amplitude, phase = tasks.functions(4000, generator=seeded(0))
    for drawn, low, high in (
        (amplitude, 0.1, 5.0),
        (phase, 0.0, math.pi),
        (episode.support_x, -5.0, 5.0),
        (episode.query_x, -5.0, 5.0),
    ):
        assert low <= drawn.min() and drawn.max() <= high
        # The mean of n uniform numbers, within four standard errors.
        error = 4 * (high - low) / math.sqrt(12 * drawn.numel())
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=error)


def test_sample_is_functions_and_then_observe():
    tasks, g = Sinusoids(3, 4), seeded(5)
    amplitude, phase = tasks.functions(6, generator=g)
    episode = tasks.observe(amplitude, phase, generator=g)
    sampled = tasks.sample(6, generator=seeded(5))
    assert torch.equal(sampled.query_x, episode.query_x)
    assert torch.equal(sampled.query_y, wave(episode.query_x, amplitude, phase))
    for t in range(6):
        y = amplitude[t] * torch.sin(episode.support_x[t] - phase[t])
        assert torch.allclose(episode.support_y[t], y, atol=1e-6)


def test_predicting_zero_costs_4_25():
    error = quadrature(lambda A, phi, x: (A * torch.sin(x - phi)) ** 2)
    assert zero_error() == pytest.approx(error.item(), abs=2e-3)
    assert zero_error() == pytest.approx(4.25, abs=5e-3)


def test_the_best_fixed_function_costs_3_00():
    def squared(A, phi, x):
        return (A * torch.sin(x - phi) - best_fixed_function(x)) ** 2

    error = quadrature(squared)
    assert best_fixed_error() == pytest.approx(error.item(), abs=3e-3)
    assert best_fixed_error() == pytest.approx(3.00, abs=1e-2)


def test_no_other_fixed_function_does_better():
    direction = torch.Generator().manual_seed(0)
    coefficients = torch.randn(4, generator=direction, dtype=torch.float64)

    def error(step):
        def squared(A, phi, x):
            basis = torch.stack([x.sin(), x.cos(), x / 5, torch.ones_like(x)])
            other = torch.einsum("b,b...->...", coefficients, basis)
            return (A * torch.sin(x - phi) - best_fixed_function(x) - step * other) ** 2

        return quadrature(squared, points=30).item()

    assert error(0.0) < min(error(-0.1), error(0.1))
    # At a minimum the first-order change is nothing, to the accuracy of the grid.
    assert error(-0.1) == pytest.approx(error(0.1), abs=5e-3)


def test_the_sign_of_the_phase_changes_no_error():
    plus = quadrature(
        lambda A, phi, x: (A * torch.sin(x + phi) + best_fixed_function(x)) ** 2
    )
    assert plus.item() == pytest.approx(best_fixed_error(), abs=3e-3)


@pytest.mark.parametrize("shot", [2, 5])
def test_the_oracle_is_exact_from_two_points_on(shot):
    episode = Sinusoids(shot, query=20).sample(500, generator=seeded(1))
    losses = task_losses(SinusoidOracle(), episode, squared_error)
    assert losses.median() < 1e-10
    assert losses.mean() < 1e-4


def test_the_oracle_finds_the_coefficients_in_double_precision():
    amplitude = torch.tensor([2.0, 0.5], dtype=torch.float64)
    phase = torch.tensor([0.3, 2.5], dtype=torch.float64)
    x = torch.tensor([[[0.1], [1.0]], [[-4.0], [3.0]]], dtype=torch.float64)
    found = SinusoidOracle().adapt(x, wave(x, amplitude, phase))
    expected = torch.stack([amplitude * phase.cos(), -amplitude * phase.sin()], -1)
    assert torch.allclose(found[..., 0], expected, atol=1e-12)


def test_one_point_leaves_the_oracle_a_line_of_waves_and_it_passes_through_the_point():
    episode = Sinusoids(shot=1, query=20).sample(500, generator=seeded(2))
    oracle = SinusoidOracle()
    fitted = oracle.adapt(episode.support_x, episode.support_y)
    at_support = oracle.predict(fitted, episode.support_x)
    assert torch.allclose(at_support, episode.support_y, atol=1e-4)
    assert task_losses(oracle, episode, squared_error).mean() > 1.0


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="shot=0 and query=10"):
        Sinusoids(shot=0)
