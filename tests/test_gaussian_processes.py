"""Gaussian-process tasks and their exact answer, against dense textbook formulas."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from labkit.gaussian import coverage, log_likelihood, moments
from labkit.learners.oracles.gaussian_process import GaussianProcess
from labkit.objective import task_losses
from labkit.randomness import seeded
from labkit.tasks.gaussian_processes import (
    GaussianProcesses,
    Kernel,
    cholesky,
    with_noise,
)

FAMILIES = ["rbf", "matern52", "periodic"]
every_family = pytest.mark.parametrize("family", FAMILIES)


def by_hand(family, r, lengthscale, scale, period):
    """The kernels for plain numbers."""
    if family == "rbf":
        return scale**2 * math.exp(-(r**2) / (2 * lengthscale**2))
    if family == "matern52":
        a = math.sqrt(5) * r / lengthscale
        return scale**2 * (1 + a + a**2 / 3) * math.exp(-a)
    sine = math.sin(math.pi * r / period)
    return scale**2 * math.exp(-2 * sine**2 / lengthscale**2)


def drawn(family, n_tasks=3, seed=0):
    """A kernel for each task, and an episode of it in double precision."""
    tasks, g = GaussianProcesses(family), seeded(seed)
    kernel = tasks.kernels(n_tasks, generator=g)
    e = tasks.observe(kernel, generator=g)
    sides = (e.support_x, e.support_y, e.query_x, e.query_y)
    return kernel, [side.double() for side in sides]


@every_family
def test_kernels_are_the_formulas(family):
    kernel, (x, _, other, _) = drawn(family)
    covariance = kernel(x, other)
    assert covariance.shape == (3, 1, x.shape[1], other.shape[1])
    for t in range(3):
        h = kernel.lengthscale[t, 0], kernel.scale[t, 0], kernel.period[t, 0]
        for i, j in ((0, 0), (2, 1)):
            r = abs(float(x[t, i, 0] - other[t, j, 0]))
            expected = by_hand(family, r, *(float(value) for value in h))
            assert covariance[t, 0, i, j] == pytest.approx(expected, rel=1e-6)


@every_family
def test_a_kernel_is_symmetric_positive_and_largest_at_no_distance(family):
    kernel, (x, *_) = drawn(family)
    covariance = kernel(x, x)[:, 0]
    torch.testing.assert_close(covariance, covariance.mT)
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, kernel.scale.double().square() + 0 * diagonal)
    assert torch.linalg.eigvalsh(covariance).min() > -1e-12


def test_the_period_of_a_periodic_kernel_is_its_period():
    kernel, (x, *_) = drawn("periodic")
    shifted = x + kernel.period.double().unsqueeze(-1)
    torch.testing.assert_close(kernel(x, shifted), kernel(x, x))


def test_hyperparameters_inputs_and_sizes_are_those_of_the_protocol():
    tasks, g = GaussianProcesses(), seeded(0)
    kernel = tasks.kernels(20_000, generator=g)
    for values, low, high in (
        (kernel.lengthscale, 0.1, 0.6),
        (kernel.scale, 0.1, 1.0),
        (kernel.period, 0.1, 0.5),
    ):
        assert values.shape == (20_000, 1)
        assert low <= values.min() < low + 1e-3 and high - 1e-3 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=5e-3)
    episodes = [tasks.sample(2, generator=g) for _ in range(2000)]
    support = [e.support_x.shape[1] for e in episodes]
    query = [e.query_x.shape[1] for e in episodes]
    assert (min(support), max(support)) == (3, 46)
    assert min(query) == 3
    assert max(s + q for s, q in zip(support, query, strict=True)) == 49
    x = torch.cat([e.support_x.flatten() for e in episodes])
    assert -2 <= x.min() < -1.99 and 1.99 < x.max() <= 2


@every_family
def test_values_have_the_covariance_of_the_kernel_plus_noise(family):
    """100,000 functions at the same three points, within five standard errors."""
    tasks, n = GaussianProcesses(family, noise=0.3), 100_000
    kernel = Kernel(family, *(torch.full((n, 1), h) for h in (0.5, 0.8, 0.4)))
    x = torch.tensor([-0.2, 0.0, 0.3])[None, :, None].expand(n, -1, -1)
    y = tasks.values(kernel, x, generator=seeded(0))[..., 0].double()
    expected = with_noise(kernel(x, x)[0, 0].double(), 0.3)
    assert y.mean(0).abs().max() < 5 * (expected[0, 0] / n) ** 0.5
    measured = y.mT @ y / n
    assert (measured - expected).abs().max() < 5 * expected[0, 0] * (2 / n) ** 0.5


def test_one_seed_gives_the_same_tasks():
    first, again = (GaussianProcesses().sample(4, generator=seeded(3)) for _ in "ab")
    assert torch.equal(first.support_y, again.support_y)
    assert torch.equal(first.query_x, again.query_x)


@every_family
def test_the_oracle_is_the_textbook_posterior(family):
    """Rasmussen & Williams (2006), eq. 2.25 and 2.26, by a dense inverse."""
    kernel, (x, y, query, _) = drawn(family)
    oracle = GaussianProcess(kernel, noise=0.02)
    state = oracle.adapt(x, y)
    mean, covariance = oracle.posterior(state, query)
    inverse = torch.linalg.inv(with_noise(kernel(x, x)[:, 0], 0.02))
    across = kernel(query, x)[:, 0]
    torch.testing.assert_close(mean[:, 0], (across @ inverse @ y)[..., 0])
    expected = kernel(query, query)[:, 0] - across @ inverse @ across.mT
    torch.testing.assert_close(covariance[:, 0], with_noise(expected, 0.02))
    m, s = moments(oracle.predict(state, query))
    torch.testing.assert_close(m[..., 0], mean[:, 0])
    variance = covariance[:, 0].diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(s[..., 0].square(), variance)


@every_family
def test_the_evidence_and_the_joint_likelihood_are_those_of_torch(family):
    kernel, (x, y, query, query_y) = drawn(family)
    oracle = GaussianProcess(kernel, noise=0.02)
    state = oracle.adapt(x, y)

    def log_density(at, values):
        covariance = with_noise(kernel(at, at)[:, 0], 0.02)
        normal = MultivariateNormal(torch.zeros_like(values[..., 0]), covariance)
        return normal.log_prob(values[..., 0])

    before = log_density(x, y)
    torch.testing.assert_close(state.log_evidence[:, 0], before)
    after = log_density(torch.cat([x, query], 1), torch.cat([y, query_y], 1))
    joint = oracle.joint_log_likelihood(state, query, query_y)
    torch.testing.assert_close(joint, (after - before) / query.shape[1])


@every_family
def test_reading_one_example_more_gives_the_state_of_reading_all(family):
    kernel, (x, y, _, _) = drawn(family)
    oracle = GaussianProcess(kernel, noise=0.02)
    state = oracle.adapt(x[:, :1], y[:, :1])
    for i in range(1, x.shape[1]):
        state = oracle.adapt(x[:, i : i + 1], y[:, i : i + 1], state)
    at_once = oracle.adapt(x, y)
    for one_by_one, together in zip(state, at_once, strict=True):
        torch.testing.assert_close(one_by_one, together, rtol=1e-7, atol=1e-7)


def test_many_candidates_are_weighed_by_bayes_rule():
    """Two kernels, of which the support is far likelier under one."""
    kernel = Kernel("rbf", *torch.tensor([[[0.2, 0.5]], [[1.0, 1.0]], [[1.0, 1.0]]]))
    _, (x, y, query, _) = drawn("rbf", n_tasks=4, seed=1)
    mixture = GaussianProcess(kernel, noise=0.02)
    state = mixture.adapt(x, y)
    alone = [
        GaussianProcess(Kernel("rbf", *(h[:, k : k + 1] for h in hyper)), 0.02)
        for hyper in [(kernel.lengthscale, kernel.scale, kernel.period)]
        for k in (0, 1)
    ]
    states = [one.adapt(x, y) for one in alone]
    evidence = torch.stack([s.log_evidence[:, 0] for s in states], -1)
    weights = evidence.exp() / evidence.exp().sum(-1, keepdim=True)
    m, s = moments(mixture.predict(state, query))
    means = torch.stack(
        [moments(o.predict(t, query))[0] for o, t in zip(alone, states, strict=True)]
    )
    scales = torch.stack(
        [moments(o.predict(t, query))[1] for o, t in zip(alone, states, strict=True)]
    )
    w = weights.mT[..., None, None]
    expected = (w * means).sum(0)
    second = (w * (means.square() + scales.square())).sum(0)
    torch.testing.assert_close(m, expected)
    torch.testing.assert_close(
        s.square(), second - expected.square(), atol=1e-9, rtol=1e-6
    )


@every_family
def test_who_knows_the_kernel_is_calibrated_and_beats_who_knows_another(family):
    tasks, g = GaussianProcesses(family), seeded(7)
    kernel = tasks.kernels(300, generator=g)
    e = tasks.observe(kernel, generator=g)
    wrong = Kernel(family, kernel.lengthscale * 2, kernel.scale, kernel.period)
    right, mistaken = (
        task_losses(GaussianProcess(k, 0.02), e, log_likelihood).mean()
        for k in (kernel, wrong)
    )
    assert right > mistaken
    covered = task_losses(GaussianProcess(kernel, 0.02), e, coverage)
    error = covered.std().item() / 300**0.5
    assert covered.mean().item() == pytest.approx(0.95, abs=4 * error)


def test_candidates_cover_the_ranges_and_leave_an_unused_period_alone():
    rbf = GaussianProcesses().candidates(4)
    assert rbf.lengthscale.shape == (1, 16)
    assert rbf.lengthscale.unique().tolist() == pytest.approx(
        [0.1625, 0.2875, 0.4125, 0.5375]
    )
    assert GaussianProcesses("periodic").candidates(4).period.unique().numel() == 4


def test_a_failed_factor_is_nan_and_the_others_are_not_touched():
    good, bad = torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    factors = cholesky(torch.stack([good, bad]))
    assert torch.equal(factors[0], good)
    assert factors[1].isnan().all()


def test_the_oracle_names_a_covariance_it_cannot_factorise():
    kernel = Kernel.single("rbf", 1.0, 1.0)
    x = torch.zeros(1, 3, 1)
    with pytest.raises(ValueError, match="not positive definite"):
        GaussianProcess(kernel, noise=0.0).adapt(x, x)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lengthscale": (0.6, 0.1)}, "lengthscale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"noise": 0.0}, "noise"),
        ({"support": (3, 47)}, "leave 3 points"),
    ],
)
def test_impossible_protocols_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        GaussianProcesses(**wrong)
