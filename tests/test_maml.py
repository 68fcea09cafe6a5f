"""MAML's meta-gradient, against a closed form, finite differences and a plain loop."""

import pytest
import torch
from torch.func import functional_call

from labkit.device import generator
from labkit.episode import Episode
from labkit.learners.maml import MAML
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import cross_entropy, meta_loss, squared_error

T = 3


def draw(*shape, seed):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def regression(support=4, query=5):
    return Episode(
        *(draw(T, n, 1, seed=i) for i, n in enumerate((support, support, query, query)))
    )


def characters(size=16):
    y = torch.eye(3, dtype=torch.float64).repeat(2, 1).expand(T, -1, -1)
    x = draw(T, 6, 1, size, size, seed=1).abs()
    return Episode(x, y, x + 0.1 * draw(*x.shape, seed=2), y)


def on_sinusoids(**options):
    settings = {"loss": squared_error, "inner_steps": 2, "inner_rate": 0.1} | options
    return MAML(MLP(1, (6, 5), 1, seed=3), **settings).double()


def on_characters(**options):
    network = WithHead(Conv4(size=16, width=3, track_running_stats=False), 3)
    settings = {"loss": cross_entropy, "inner_steps": 2, "inner_rate": 0.3} | options
    return MAML(network, **settings).double()


CASES = [(on_sinusoids, regression, squared_error)]
CASES += [(on_characters, characters, cross_entropy)]


def meta_gradient(learner, episode, loss):
    learner.zero_grad()
    meta_loss(learner, episode, loss).backward()
    return [p.grad.clone() for p in learner.parameters()]


@pytest.mark.parametrize(("make", "sample", "loss"), CASES)
@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_is_that_of_a_python_loop_over_tasks(
    make, sample, loss, first_order
):
    learner, episode = make(first_order=first_order), sample()
    gradient = meta_gradient(learner, episode, loss)

    learner.zero_grad()
    network = learner.network
    own = dict(network.named_parameters())
    for t in range(T):
        one = episode[t : t + 1]
        fast = own
        for _ in range(learner.inner_steps):
            inner = loss(functional_call(network, fast, one.support_x), one.support_y)
            steps = torch.autograd.grad(
                inner.sum(), list(fast.values()), create_graph=not first_order
            )
            fast = {
                name: value - learner.inner_rate * step
                for (name, value), step in zip(fast.items(), steps, strict=True)
            }
        outer = loss(functional_call(network, fast, one.query_x), one.query_y)
        (outer.sum() / T).backward()
    for ours, parameter in zip(gradient, own.values(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("make", "sample", "loss"), CASES)
def test_meta_gradient_is_that_of_central_differences(make, sample, loss):
    learner, episode = make(), sample()
    gradient = meta_gradient(learner, episode, loss)
    directions = [draw(*p.shape, seed=i) for i, p in enumerate(learner.parameters())]
    h, values = 1e-6, {}
    with torch.no_grad():
        for sign in (1, -1):
            for p, direction in zip(learner.parameters(), directions, strict=True):
                p += sign * h * direction
            values[sign] = meta_loss(learner, episode, loss)
            for p, direction in zip(learner.parameters(), directions, strict=True):
                p -= sign * h * direction
    slope = sum((g * d).sum() for g, d in zip(gradient, directions, strict=True))
    difference = (values[1] - values[-1]) / (2 * h)
    torch.testing.assert_close(slope, difference, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_of_a_linear_model_has_a_closed_form(first_order):
    """With f(x) = w·x and mean squared error, one inner step is linear in w.

    On the support, ∇L = 2/S Xᵀ(Xw − y), so w' = (I − αH) w + 2α/S Xᵀy with
    H = 2/S XᵀX, and the meta-gradient is (I − αH) times the query gradient at w'. First
    order leaves the factor I − αH out.
    """
    alpha, D = 0.1, 3
    learner = MAML(
        MLP(D, (), 1),
        loss=squared_error,
        inner_steps=1,
        inner_rate=alpha,
        first_order=first_order,
    ).double()
    learner.network.bias0.data.zero_()
    X, Q = draw(1, 4, D, seed=1), draw(1, 5, D, seed=2)
    # With centred inputs and targets the bias stays at zero.
    X, Q = X - X.mean(1, keepdim=True), Q - Q.mean(1, keepdim=True)
    y, z = draw(1, 4, 1, seed=3), draw(1, 5, 1, seed=4)
    y, z = y - y.mean(1, keepdim=True), z - z.mean(1, keepdim=True)
    gradient = meta_gradient(learner, Episode(X, y, Q, z), squared_error)[0][0]

    w = learner.network.weight0.detach()[0]
    X, y, Q, z = X[0], y[0, :, 0], Q[0], z[0, :, 0]
    factor = torch.eye(D, dtype=torch.float64) - alpha * 2 / 4 * X.T @ X
    adapted = factor @ w + alpha * 2 / 4 * X.T @ y
    of_query = 2 / 5 * Q.T @ (Q @ adapted - z)
    expected = of_query if first_order else factor @ of_query
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-12)


def test_evaluation_under_no_grad_adapts_the_same_and_keeps_no_graph():
    learner, episode = on_sinusoids(), regression()
    with_graph = learner.adapt(episode.support_x, episode.support_y)
    with torch.no_grad():
        without = learner.adapt(episode.support_x, episode.support_y)
        prediction = learner.predict(without, episode.query_x)
    for name, value in with_graph.items():
        torch.testing.assert_close(without[name], value)
    assert not prediction.requires_grad
    assert all(p.grad is None for p in learner.parameters())


def test_the_support_loss_falls_with_every_inner_step():
    episode, losses = regression(), []
    for inner_steps in range(4):
        learner = on_sinusoids(inner_steps=inner_steps)
        adapted = learner.adapt(episode.support_x, episode.support_y)
        fitted = learner.predict(adapted, episode.support_x)
        losses.append(squared_error(fitted, episode.support_y))
    assert (torch.stack(losses).diff(dim=0) < 0).all()


def test_batch_statistics_make_the_learner_transductive():
    assert on_characters().normalisation == "transductive"
    assert on_sinusoids().normalisation == "inductive"


def test_a_training_step_never_waits_for_the_device():
    """Tensors without data cannot be looked at: any hidden synchronisation raises."""
    with torch.device("meta"):
        x, y = torch.rand(2, 5, 1, 16, 16), torch.rand(2, 5, 3)
    learner = on_characters().float().to("meta")
    meta_loss(learner, Episode(x, y, x, y), cross_entropy).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())
