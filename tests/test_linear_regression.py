"""Linear regression tasks, and what is best on them: closed forms and naive loops."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from labkit.evaluation import evaluate
from labkit.experiments import find, records
from labkit.experiments.experiment import SMOKE_TASKS, run
from labkit.experiments.linear_regression import DRAWS, of_pool
from labkit.experiments.linear_regression import EXPERIMENTS as LINEAR_REGRESSION
from labkit.learners.linear_attention import LinearAttention, gradient_descent_weights
from labkit.learners.oracles.linear import (
    DiscreteBayes,
    LeastSquares,
    NearestNeighbours,
    OneGradientStep,
    Ridge,
)
from labkit.objective import meta_loss, squared_error
from labkit.randomness import seeded
from labkit.tasks.linear_regression import (
    Gaussian,
    LinearRegression,
    Pool,
    Sparse,
    best_rate,
    least_squares_error,
    one_step_error,
)

T, S, Q, D = 4, 7, 3, 5
NOISE = 0.5


def episode(shot=S, prior=None, noise=NOISE):
    tasks = LinearRegression(prior or Gaussian(D), shot, Q, noise)
    drawn = tasks.sample(T, generator=seeded(0))
    return type(drawn)(*(tensor.double() for tensor in vars(drawn).values()))


def error(learner, tasks, n_tasks=20_000):
    return evaluate(
        learner, tasks, score=squared_error, n_tasks=n_tasks, tasks_per_batch=5000
    )


# The tasks


@pytest.mark.parametrize(("inputs", "square"), [("normal", 1.0), ("uniform", 1 / 3)])
def test_inputs_and_targets_have_the_moments_they_should(inputs, square):
    tasks = LinearRegression(Gaussian(D), 20, 1, NOISE, inputs, input_scale=2.0)
    drawn = tasks.sample(5000, generator=seeded(1))
    assert drawn.support_x.square().mean() == pytest.approx(4 * square, rel=0.02)
    expected = 4 * square * D + NOISE**2
    assert drawn.support_y.square().mean() == pytest.approx(expected, rel=0.05)
    assert (drawn.support_x.abs() <= 2).all() == (inputs == "uniform")


def test_without_noise_support_and_query_lie_on_one_plane_through_zero():
    drawn = episode(shot=D, noise=0.0)
    weights = torch.linalg.solve(drawn.support_x, drawn.support_y)
    torch.testing.assert_close(
        drawn.query_x @ weights, drawn.query_y, atol=1e-4, rtol=1e-4
    )


def test_sparse_weights_have_so_many_entries_and_the_same_length_in_the_mean():
    weights = Sparse(D, nonzero=2).draw(20_000, generator=seeded(0))
    assert ((weights != 0).sum(-1) == 2).all()
    assert (weights != 0).float().mean(0) == pytest.approx([0.4] * D, abs=0.02)
    assert weights.square().sum(-1).mean() == pytest.approx(D, rel=0.03)


def test_a_pool_is_drawn_once_and_all_of_it_is_used():
    pool = Pool(D, size=6, seed=3)
    drawn = pool.draw(500, generator=seeded(1))
    again = pool.draw(500, generator=seeded(2))
    assert len(drawn.unique(dim=0)) == 6
    assert torch.equal(drawn.unique(dim=0), again.unique(dim=0))
    assert torch.equal(drawn.unique(dim=0), pool.weights().unique(dim=0))
    assert not torch.equal(pool.weights(), replace(pool, seed=4).weights())


@pytest.mark.parametrize("seed", [0, 1])
def test_new_tasks_are_not_those_of_a_pool_with_the_same_seed(seed):
    pool = Pool(D, size=8, seed=seed).weights()
    new = Gaussian(D).draw(8, generator=seeded(seed))
    assert not torch.isclose(pool.unsqueeze(1), new).any()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Sparse(D, 0), "nonzero=0 must be between 1 and dimension=5"),
        (lambda: Pool(D, 0), "at least one task"),
        (lambda: LinearRegression(Gaussian(D), -1), "shot=-1"),
        (lambda: LinearRegression(Gaussian(D), 1, noise=-1.0), "noise=-1.0"),
        (lambda: Ridge(0.0), "LeastSquares"),
        (lambda: DiscreteBayes(torch.zeros(2, D), 0.0), "must be positive"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# The oracles, each beside a loop over tasks


@pytest.mark.parametrize("shot", [0, 2, S])
def test_least_squares_is_the_smallest_solution_of_each_task(shot):
    e = episode(shot)
    adapted = LeastSquares().adapt(e.support_x, e.support_y)
    for t in range(T):
        x, y = e.support_x[t], e.support_y[t]
        expected = torch.linalg.lstsq(x, y, driver="gelsd").solution
        torch.testing.assert_close(adapted[t], expected)


@pytest.mark.parametrize("shot", [0, 2, S])
def test_ridge_minimises_its_objective(shot):
    """‖y − Xw‖² + σ²‖w‖² has slope zero at w."""
    e = episode(shot)
    w = Ridge(NOISE).adapt(e.support_x, e.support_y).requires_grad_()
    misfit = (e.support_y - e.support_x @ w).square().sum()
    objective = misfit + NOISE**2 * w.square().sum()
    (slope,) = torch.autograd.grad(objective, w)
    assert slope.abs().max() < 1e-10


@pytest.mark.parametrize("shot", [0, 2, S])
def test_discrete_bayes_is_bayes_rule_by_the_loop(shot):
    pool = Pool(D, size=9).weights().double()
    e = episode(shot)
    learner = DiscreteBayes(pool, NOISE)
    predicted = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
    for t in range(T):
        likelihoods = []
        for w in pool:
            misfits = e.support_y[t, :, 0] - e.support_x[t] @ w
            likelihoods.append(
                math.prod(math.exp(-(m**2) / 2 / NOISE**2) for m in misfits.tolist())
            )
        posterior = torch.tensor(likelihoods).double() / sum(likelihoods)
        expected = sum(p * w for p, w in zip(posterior, pool, strict=True))
        torch.testing.assert_close(predicted[t, :, 0], e.query_x[t] @ expected)


@pytest.mark.parametrize("shot", [0, 2, S])
def test_nearest_neighbours_are_found_by_the_loop(shot):
    e = episode(shot)
    learner = NearestNeighbours(3)
    predicted = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
    for t in range(T):
        for q, x in enumerate(e.query_x[t]):
            order = (e.support_x[t] - x).norm(dim=-1).argsort()[:3]
            expected = e.support_y[t][order].mean() if shot else torch.tensor(0.0)
            assert predicted[t, q, 0] == pytest.approx(expected.item())


def test_one_gradient_step_is_one_step_along_the_gradient():
    e = episode()
    w = torch.zeros(T, D, 1, dtype=torch.float64, requires_grad=True)
    loss = (e.support_x @ w - e.support_y).square().sum(1) / (2 * S)
    (slope,) = torch.autograd.grad(loss.sum(), w)
    adapted = OneGradientStep(0.7).adapt(e.support_x, e.support_y)
    torch.testing.assert_close(adapted, -0.7 * slope)


# What theory says about their errors


@pytest.mark.parametrize(
    ("examples", "noise"),
    [(0, 0.0), (3, 0.0), (6, 0.0), (0, NOISE), (2, NOISE), (12, NOISE)],
)
def test_least_squares_errs_as_the_formula_says(examples, noise):
    tasks = LinearRegression(Gaussian(6), examples, 1, noise)
    found = error(LeastSquares(), tasks)
    expected = least_squares_error(examples, 6, noise)
    assert abs(found.mean - expected) < 2 * found.ci95 + 1e-6


def test_least_squares_with_noise_has_no_finite_error_near_as_many_examples_as_inputs():
    assert [least_squares_error(k, 6, 0.5) for k in (5, 6, 7)] == [math.inf] * 3
    assert least_squares_error(6, 6) == 0


@pytest.mark.parametrize("inputs", ["normal", "uniform"])
def test_one_step_errs_as_the_formula_says_and_least_at_the_best_rate(inputs):
    tasks = LinearRegression(Gaussian(10), 10, 1, inputs=inputs)
    rate = best_rate(10, 10, inputs)
    for factor in (0.5, 1.0, 1.5):
        found = error(OneGradientStep(factor * rate), tasks)
        expected = one_step_error(factor * rate, 10, 10, inputs)
        assert abs(found.mean - expected) < 2 * found.ci95
        assert expected >= one_step_error(rate, 10, 10, inputs)


def test_the_setting_of_von_oswald_et_al():
    """d = N = 10, x uniform in (−1, 1): by hand, η* = 10/6.6 and 10/3 (1 − 1/1.98)."""
    rate = best_rate(10, 10, "uniform")
    assert rate == pytest.approx(10 / 6.6)
    assert one_step_error(rate, 10, 10, "uniform") == pytest.approx(1.6498, abs=1e-4)
    assert one_step_error(0.0, 10, 10, "uniform") == pytest.approx(10 / 3)


@pytest.mark.parametrize("examples", [2, 10])
def test_each_posterior_mean_is_best_where_its_prior_is_true(examples):
    pool = Pool(D, size=16)
    of_pool, ridge = DiscreteBayes(pool.weights(), NOISE), Ridge(NOISE)
    for prior, best, other in (
        (pool, of_pool, ridge),
        (Gaussian(D), ridge, of_pool),
    ):
        tasks = LinearRegression(prior, examples, 1, NOISE)
        least = error(best, tasks, 5000).mean
        assert least < error(other, tasks, 5000).mean
        for rival in (LeastSquares(), OneGradientStep(), NearestNeighbours()):
            assert least < error(rival, tasks, 5000).mean


# Linear attention


def test_constructed_weights_take_the_step_of_gradient_descent():
    """Proposition 1 of von Oswald et al. (2023), to rounding in double precision."""
    e = episode()
    layer = LinearAttention(D).double()
    layer.load_state_dict(gradient_descent_weights(D, rate=0.7, examples=S))
    step = OneGradientStep(0.7)
    torch.testing.assert_close(
        layer.predict(layer.adapt(e.support_x, e.support_y), e.query_x),
        step.predict(step.adapt(e.support_x, e.support_y), e.query_x),
        atol=1e-12,
        rtol=1e-12,
    )


def test_linear_attention_is_attention_without_a_softmax():
    """Each query's token collects values, weighted by key · query, token by token."""
    e = episode()
    layer = LinearAttention(D, seed=1).double()
    predicted = layer.predict(layer.adapt(e.support_x, e.support_y), e.query_x)
    tokens = torch.cat([e.support_x, e.support_y], dim=-1)
    for t in range(T):
        for q in range(Q):
            token = F.pad(e.query_x[t, q], (0, 1))
            collected = sum(
                (layer.key @ one) @ (layer.query @ token) * (layer.value @ one)
                for one in tokens[t]
            )
            expected = (layer.project @ collected)[-1]
            torch.testing.assert_close(predicted[t, q, 0], expected)


def test_another_example_adds_a_term_to_the_matrix():
    e = episode()
    layer = LinearAttention(D, seed=1).double()
    first = layer.adapt(e.support_x[:, :4], e.support_y[:, :4])
    rest = layer.adapt(e.support_x[:, 4:], e.support_y[:, 4:])
    torch.testing.assert_close(layer.adapt(e.support_x, e.support_y), first + rest)


def test_a_training_step_of_linear_attention_never_waits_for_the_device():
    with torch.device("meta"):
        x, y = torch.rand(2, 6, D), torch.rand(2, 6, 1)
    layer = LinearAttention(D).to("meta")
    drawn = type(episode())(x, y, x, y)
    meta_loss(layer, drawn, squared_error).backward()
    assert all(p.grad.shape == p.shape for p in layer.parameters())


# The experiments

TRAINED = [n for n in LINEAR_REGRESSION if n in records.recorded()]


@pytest.mark.parametrize("name", ["linear-regression", of_pool(16, 1)])
def test_an_experiment_runs_from_tasks_to_errors(name):
    cpu = torch.device("cpu")
    record = run(name, find(name), seed=3, device=cpu, smoke=True)
    assert {figure.unit for figure in record.results} == {"squared error"}
    assert {figure.n_tasks for figure in record.results} == {SMOKE_TASKS}
    seen = [f.tasks for f in record.results if f.tasks.startswith("seen")]
    assert bool(seen) == ("pool" in name)


def test_draws_differ_in_pool_and_weights_and_in_nothing_else():
    first, second = (LINEAR_REGRESSION[of_pool(16, draw)] for draw in DRAWS)
    assert replace(second, draw=0) == first
    x, y = torch.ones(1, 2, 3), torch.ones(1, 2, 1)
    answers = [one.learner(one.seed_of(0)).stream(x, y) for one in (first, second)]
    assert not torch.equal(*answers)
    pool = first.seen(1).prior
    assert isinstance(pool, Pool) and pool.weights().shape == (16, 3)


@pytest.mark.parametrize("name", TRAINED)
def test_a_checkpoint_still_gives_its_recorded_errors(name):
    experiment, record = find(name), records.read(name)
    learner = records.load_weights(experiment.learner(), name)
    figure = record.results[0]
    tasks = experiment.evaluations()[figure.tasks]()
    again = experiment.evaluate(
        learner, tasks, n_tasks=figure.n_tasks, seed=figure.seed
    )
    assert again.mean == pytest.approx(figure.mean, rel=1e-3)


def test_the_transformer_errs_within_a_tenth_of_bayes_at_twice_the_dimension():
    """1.08 times as much, over 20,000 tasks of 16 queries."""
    experiment = LINEAR_REGRESSION["linear-regression-longer"]
    learner = records.load_weights(experiment.learner(), "linear-regression-longer")
    tasks = experiment.new(2 * experiment.dimension, query=16)
    ours, least = (
        error(learner, tasks, 2000),
        error(Ridge(experiment.noise), tasks, 2000),
    )
    assert least.mean < ours.mean < 1.1 * least.mean
