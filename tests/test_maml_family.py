"""ANIL, Meta-SGD and Reptile: what each shares with MAML and where it differs."""

import pytest
import torch

from labkit.episode import Episode
from labkit.learners.anil import ANIL
from labkit.learners.maml import MAML
from labkit.learners.meta_sgd import MetaSGD
from labkit.learners.reptile import reptile_loss
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import cross_entropy, meta_loss, squared_error
from labkit.randomness import seeded
from labkit.tasks.sinusoids import Sinusoids
from labkit.training import meta_train
from tests.tensors import draw

T = 3


def regression():
    return Episode(*(draw(T, n, 1, seed=i) for i, n in enumerate((4, 4, 5, 5))))


def characters():
    y = torch.eye(3, dtype=torch.float64).repeat(2, 1).expand(T, -1, -1)
    x = draw(T, 6, 1, 16, 16, seed=1).abs()
    return Episode(x, y, x + 0.1 * draw(*x.shape, seed=2), y)


def on_sinusoids(kind, **options):
    network = WithHead(MLP(1, (6,), 5, relu_last=True, seed=3), 1)
    settings = {"loss": squared_error, "inner_steps": 2, "inner_rate": 0.1} | options
    return kind(network, **settings).double()


def on_characters(kind, **options):
    network = WithHead(Conv4(size=16, width=3, track_running_stats=False), 3)
    settings = {"loss": cross_entropy, "inner_steps": 2, "inner_rate": 0.3} | options
    return kind(network, **settings).double()


CASES = [(on_sinusoids, regression), (on_characters, characters)]


def gradient_of(learner, episode):
    learner.zero_grad()
    meta_loss(learner, episode, learner.loss).backward()
    return {name: p.grad for name, p in learner.named_parameters()}


def slope_along(learner, episode, directions, h=1e-6):
    """The central difference of the meta-objective along the directions."""
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, direction in directions.items():
                learner.get_parameter(name).add_(sign * h * direction)
            values.append(meta_loss(learner, episode, learner.loss))
            for name, direction in directions.items():
                learner.get_parameter(name).sub_(sign * h * direction)
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.parametrize(("make", "sample"), CASES)
@pytest.mark.parametrize(
    ("kind", "part"),
    [(ANIL, "network.body"), (ANIL, "network.weight"), (MetaSGD, "rates")],
)
def test_meta_gradients_are_central_differences(kind, part, make, sample):
    learner, episode = make(kind), sample()
    gradient = gradient_of(learner, episode)
    directions = {
        name: draw(*p.shape, seed=i)
        for i, (name, p) in enumerate(learner.named_parameters())
        if name.startswith(part)
    }
    slope = sum((gradient[name] * d).sum() for name, d in directions.items())
    assert slope.abs() > 1e-4
    torch.testing.assert_close(
        slope, slope_along(learner, episode, directions), atol=1e-7, rtol=1e-5
    )


@pytest.mark.parametrize(("make", "sample"), CASES)
def test_the_inner_loop_of_anil_leaves_the_body_as_it_is(make, sample):
    learner, episode = make(ANIL), sample()
    *_, adapted = learner.path(episode.support_x, episode.support_y)
    for name, own in learner.network.named_parameters():
        unchanged = torch.equal(adapted[name], own.expand(T, *own.shape))
        assert unchanged == name.startswith("body.")


@pytest.mark.parametrize(("make", "sample"), CASES)
def test_anil_is_maml_with_the_gradients_of_the_body_left_out(make, sample):
    """Descent on the head of the whole network, task after task."""
    learner, episode = make(ANIL), sample()
    adapted = learner.adapt(episode.support_x, episode.support_y)
    network = learner.network
    for t in range(T):
        p = {name: own[None] for name, own in network.named_parameters()}
        x, y = episode.support_x[t : t + 1], episode.support_y[t : t + 1]
        for _ in range(learner.inner_steps):
            head = {name: p[name] for name in ("weight", "bias")}
            loss = learner.loss(network(x, p), y).sum()
            steps = torch.autograd.grad(loss, list(head.values()))
            for (name, value), step in zip(head.items(), steps, strict=True):
                p[name] = value - learner.inner_rate * step
        for name in ("weight", "bias"):
            torch.testing.assert_close(adapted[name][t], p[name][0])


def test_the_body_of_anil_learns_through_the_adaptation_of_the_head():
    """In second order the query loss reaches it through the support's features too."""
    episode = regression()
    gradient = gradient_of(on_sinusoids(ANIL), episode)
    first_order = gradient_of(on_sinusoids(ANIL, first_order=True), episode)
    learner = on_sinusoids(ANIL)
    adapted = learner.adapt(episode.support_x, episode.support_y)
    head = {name: adapted[name].detach() for name in ("weight", "bias")}
    prediction = learner.predict(adapted | head, episode.query_x)
    squared_error(prediction, episode.query_y).mean().backward()
    for name, p in learner.network.body.named_parameters():
        name = f"network.body.{name}"
        torch.testing.assert_close(first_order[name], p.grad)
        assert (gradient[name] - p.grad).norm() > 0.01 * p.grad.norm()


def test_the_learned_rates_start_as_one_and_are_followed_one_by_one():
    episode, meta_sgd = regression(), on_sinusoids(MetaSGD)
    maml = on_sinusoids(MAML)
    one_rate = maml.adapt(episode.support_x, episode.support_y)
    adapted = meta_sgd.adapt(episode.support_x, episode.support_y)
    for name, value in one_rate.items():
        torch.testing.assert_close(adapted[name], value)

    names = [name for name, _ in meta_sgd.network.named_parameters()]
    frozen = names.index("body.weight0")
    with torch.no_grad():
        meta_sgd.rates[frozen][2:] = 0
    adapted = meta_sgd.adapt(episode.support_x, episode.support_y)["body.weight0"]
    moved = (adapted - meta_sgd.network.get_parameter("body.weight0")).abs() > 0
    assert moved.any(dim=0)[:2].any()
    assert not moved[:, 2:].any()


@pytest.mark.parametrize(("make", "sample"), CASES)
def test_reptile_moves_the_start_towards_the_mean_of_the_adapted_weights(make, sample):
    """θ ← θ + ε (mean of θ' − θ), with θ' of plain SGD on each task's examples."""
    learner, episode, epsilon = make(MAML), sample(), 0.25
    own = {name: p.detach().clone() for name, p in learner.network.named_parameters()}
    x = torch.cat([episode.support_x, episode.query_x], dim=1)
    y = torch.cat([episode.support_y, episode.query_y], dim=1)
    expected = {name: (1 - epsilon) * value for name, value in own.items()}
    for t in range(T):
        alone = make(MAML).network
        sgd = torch.optim.SGD(alone.parameters(), lr=learner.inner_rate)
        for _ in range(learner.inner_steps):
            sgd.zero_grad()
            learner.loss(alone(x[t])[None], y[t][None]).sum().backward()
            sgd.step()
        for name, adapted in alone.named_parameters():
            expected[name] = expected[name] + epsilon / T * adapted.detach()

    reptile_loss(learner, episode, learner.loss).backward()
    torch.optim.SGD(learner.parameters(), lr=epsilon).step()
    for name, p in learner.network.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name])


@pytest.mark.parametrize(
    ("kind", "objective"),
    [(ANIL, meta_loss), (MetaSGD, meta_loss), (MAML, reptile_loss)],
)
def test_a_training_step_never_waits_for_the_device(kind, objective):
    """Tensors without data cannot be looked at: any hidden synchronisation raises."""
    with torch.device("meta"):
        x, y = torch.rand(2, 5, 1, 16, 16), torch.rand(2, 5, 3)
    learner = on_characters(kind).float().to("meta")
    objective(learner, Episode(x, y, x, y), cross_entropy).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


@pytest.mark.parametrize(
    ("kind", "objective"),
    [(MAML, meta_loss), (ANIL, meta_loss), (MetaSGD, meta_loss), (MAML, reptile_loss)],
)
def test_training_makes_adaptation_better(kind, objective):
    learner = on_sinusoids(kind, inner_rate=0.02).float()
    tasks = Sinusoids(shot=5, query=5)
    fixed = tasks.sample(100, generator=seeded(9))
    before = meta_loss(learner, fixed, squared_error)
    meta_train(
        learner,
        tasks,
        steps=200,
        tasks_per_step=25,
        loss=squared_error,
        objective=objective,
        learning_rate=1e-2,
    )
    after = meta_loss(learner, fixed, squared_error)
    assert after < 0.9 * before
