"""Gaussian predictions, against torch.distributions and by counting."""

import pytest
import torch
from torch.distributions import Normal

from labkit.gaussian import (
    bounded,
    coverage,
    log_likelihood,
    moments,
    negative_log_likelihood,
)
from labkit.randomness import seeded

T, Q, C = 3, 4, 2


def drawn(*shape):
    return torch.randn(shape, generator=seeded(sum(shape)), dtype=torch.float64)


def test_the_first_half_of_a_prediction_is_the_mean_the_second_the_log_deviation():
    prediction = drawn(T, Q, 2 * C)
    mean, scale = moments(prediction)
    assert torch.equal(mean, prediction[..., :C])
    assert torch.equal(scale.log().exp(), prediction[..., C:].exp())


def test_the_likelihood_is_that_of_torch_one_number_a_task():
    prediction, target = drawn(T, Q, 2 * C), drawn(T, Q, C)
    density = Normal(prediction[..., :C], prediction[..., C:].exp()).log_prob(target)
    expected = density.sum(2).mean(1)
    torch.testing.assert_close(log_likelihood(prediction, target), expected)
    torch.testing.assert_close(negative_log_likelihood(prediction, target), -expected)


def test_no_prediction_of_a_deviation_below_a_tenth_scores_more_than_1_38():
    at_the_target = torch.tensor([[[0.7, 0.1]]]).double()
    at_the_target[..., 1].log_()
    score = log_likelihood(at_the_target, torch.tensor([[[0.7]]]).double())
    assert score.item() == pytest.approx(1.3836, abs=1e-4)


@pytest.mark.parametrize("smallest", [0.0, 0.1])
def test_bounded_deviations_stay_above_the_bound_and_can_be_anything_above(smallest):
    raw = torch.stack([drawn(1000), torch.linspace(-30, 30, 1000).double()], -1)
    prediction = bounded(raw.unsqueeze(0), smallest)
    mean, scale = moments(prediction)
    assert torch.equal(mean[0, :, 0], raw[:, 0])
    assert scale.min() == pytest.approx(smallest, abs=1e-9)
    assert (scale.diff(dim=1) >= 0).all() and scale.max() > 20
    softplus = torch.log1p(raw[500, 1].exp())
    assert scale[0, 500, 0] == pytest.approx(smallest + (1 - smallest) * softplus)


def test_low_precision_is_left_before_the_logarithm():
    raw = torch.zeros(1, 1, 2, dtype=torch.bfloat16)
    assert bounded(raw, 0.1).dtype == torch.float32


def test_coverage_counts_the_targets_within_1_96_deviations():
    prediction = torch.zeros(1, 4, 2)
    target = torch.tensor([[[0.0], [1.95], [-1.95], [1.97]]])
    assert coverage(prediction, target).tolist() == [0.75]


def test_a_true_gaussian_covers_95_in_100():
    target = drawn(1, 40_000, 1)
    covered = coverage(torch.zeros(1, 40_000, 2).double(), target)
    assert covered.item() == pytest.approx(0.95, abs=4e-3)
