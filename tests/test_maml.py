"""MAML's meta-gradient, against a closed form, finite differences and a plain loop."""

from typing import Any

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.evaluation import evaluate
from labkit.learners.inner_loop import gradient_descent
from labkit.learners.maml import MAML, multi_step_loss
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import cross_entropy, meta_loss, squared_error
from labkit.tasks.sinusoids import Sinusoids
from labkit.training import NonFiniteLossError, meta_train
from tests.tensors import draw

T = 3


def regression(support=4, query=5):
    return Episode(
        *(draw(T, n, 1, seed=i) for i, n in enumerate((support, support, query, query)))
    )


def characters(size=16):
    y = torch.eye(3, dtype=torch.float64).repeat(2, 1).expand(T, -1, -1)
    x = draw(T, 6, 1, size, size, seed=1).abs()
    return Episode(x, y, x + 0.1 * draw(*x.shape, seed=2), y)


def on_sinusoids(**options):
    network = MLP(1, (6, 5), 1, seed=3)
    settings: dict[str, Any] = {
        "loss": squared_error,
        "inner_steps": 2,
        "inner_rate": 0.1,
    }
    return MAML(network, **(settings | options)).double()


def on_characters(**options):
    network = WithHead(Conv4(size=16, width=3, track_running_stats=False), 3)
    settings: dict[str, Any] = {
        "loss": cross_entropy,
        "inner_steps": 2,
        "inner_rate": 0.3,
    }
    return MAML(network, **(settings | options)).double()


def clipped(**options):
    return on_sinusoids(inner_clip_norm=0.5, **options)


def transductive(**options):
    return on_characters(normalisation="transductive", **options)


CASES = [
    pytest.param(on_sinusoids, regression, squared_error, id="sinusoids"),
    pytest.param(on_characters, characters, cross_entropy, id="inductive"),
    pytest.param(transductive, characters, cross_entropy, id="transductive"),
]


def meta_gradient(learner, episode, loss, objective=meta_loss):
    learner.zero_grad()
    objective(learner, episode, loss).backward()
    return [p.grad.clone() for p in learner.parameters()]


def plain_network(learner, parameters, x, support):
    """The learner's network of PyTorch's functions, normalised by the statistics of
    the support, or by those of x itself."""
    if isinstance(learner.network, MLP):
        return functional_call(learner.network, parameters, x)
    p = {name.removeprefix("body."): value for name, value in parameters.items()}
    sides = [x, x if learner.normalisation == "transductive" else support]
    for block in range(4):
        sides = [F.conv2d(side, p[f"conv{block}"], padding=1) for side in sides]
        mean = sides[1].mean((0, 2, 3), keepdim=True)
        var = sides[1].var((0, 2, 3), unbiased=False, keepdim=True)
        scale, shift = (
            p[f"{name}{block}"].view(-1, 1, 1) for name in ("scale", "shift")
        )
        sides = [(side - mean) / (var + 1e-5).sqrt() for side in sides]
        sides = [F.max_pool2d(F.relu(side * scale + shift), 2) for side in sides]
    return F.linear(sides[0].flatten(1), p["weight"], p["bias"])


@pytest.mark.parametrize(("make", "sample", "loss"), CASES)
@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_is_that_of_a_python_loop_over_tasks(
    make, sample, loss, first_order
):
    learner, episode = make(first_order=first_order), sample()
    gradient = meta_gradient(learner, episode, loss)

    learner.zero_grad()
    own = dict(learner.network.named_parameters())
    for t in range(T):
        one = episode[t : t + 1]
        support, query = one.support_x[0], one.query_x[0]
        fast = own
        for _ in range(learner.inner_steps):
            predicted = plain_network(learner, fast, support, support)
            steps = torch.autograd.grad(
                loss(predicted[None], one.support_y).sum(),
                list(fast.values()),
                create_graph=not first_order,
            )
            fast = {
                name: value - learner.inner_rate * step
                for (name, value), step in zip(fast.items(), steps, strict=True)
            }
        predicted = plain_network(learner, fast, query, support)
        (loss(predicted[None], one.query_y).sum() / T).backward()
    for ours, parameter in zip(gradient, own.values(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "sample", "loss"), [*CASES, (clipped, regression, squared_error)]
)
@pytest.mark.parametrize("objective", [meta_loss, multi_step_loss])
def test_meta_gradient_is_that_of_central_differences(make, sample, loss, objective):
    learner, episode = make(), sample()
    gradient = meta_gradient(learner, episode, loss, objective)
    directions = [draw(*p.shape, seed=i) for i, p in enumerate(learner.parameters())]
    h, values = 1e-7, {}
    with torch.no_grad():
        for sign in (1, -1):
            for p, direction in zip(learner.parameters(), directions, strict=True):
                p += sign * h * direction
            values[sign] = objective(learner, episode, loss)
            for p, direction in zip(learner.parameters(), directions, strict=True):
                p -= sign * h * direction
    slope = sum((g * d).sum() for g, d in zip(gradient, directions, strict=True))
    difference = (values[1] - values[-1]) / (2 * h)
    torch.testing.assert_close(slope, difference, atol=1e-7, rtol=1e-5)


class Linear(MLP):
    """f(x) = w·x: an MLP without hidden layers, and without its bias."""

    def initial_parameters(self, *tasks, generator):
        drawn = super().initial_parameters(*tasks, generator=generator)
        return {"weight0": drawn["weight0"]}

    def forward(self, x, parameters=None):
        p = dict(self.named_parameters()) if parameters is None else parameters
        return x @ p["weight0"].mT


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("inner_steps", [1, 4])
def test_meta_gradient_of_a_linear_model_has_a_closed_form(inner_steps, first_order):
    """With f(x) = w·x and mean squared error, K inner steps are linear in w.

    On the support (X, y), ∇L = 2/S Xᵀ(Xw − y). With H = 2/S XᵀX, its Hessian, a step is

        w ↦ (I − αH) w + 2α/S Xᵀy

    and the Jacobian of K steps is (I − αH)ᴷ, which is symmetric. The meta-gradient is
    that matrix times the query gradient at θ'; first order leaves the matrix out.
    """
    alpha, D = 0.1, 3
    learner = MAML(
        Linear(D, (), 1),
        loss=squared_error,
        inner_steps=inner_steps,
        inner_rate=alpha,
        first_order=first_order,
    ).double()
    X, y, Z, v = (draw(1, n, d, seed=n + d) for n in (4, 5) for d in (D, 1))
    gradient = meta_gradient(learner, Episode(X, y, Z, v), squared_error)[0][0]

    X, y, Z, v = X[0], y[0, :, 0], Z[0], v[0, :, 0]
    eye, hessian = torch.eye(D, dtype=torch.float64), 2 / 4 * X.T @ X
    adapted = learner.network.get_parameter("weight0").detach()[0]
    for _ in range(inner_steps):
        adapted = (eye - alpha * hessian) @ adapted + alpha * 2 / 4 * X.T @ y
    of_query = 2 / 5 * Z.T @ (Z @ adapted - v)
    jacobian = torch.linalg.matrix_power(eye - alpha * hessian, inner_steps)
    expected = of_query if first_order else jacobian @ of_query
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-12)


def test_first_order_points_elsewhere():
    """Here by 33 degrees, in a linear model by as much as I − αH turns a vector."""
    second, first = (
        torch.cat(
            [g.flatten() for g in meta_gradient(learner, regression(), squared_error)]
        )
        for learner in (on_sinusoids(), on_sinusoids(first_order=True))
    )
    angle = torch.rad2deg(torch.cosine_similarity(second, first, dim=0).acos())
    assert 25 < angle < 40


def test_vmap_through_pytorchs_batch_norm_is_wrong_where_the_task_axis_is_right():
    """A known trap: `grad(vmap(grad))` through `F.batch_norm` in training mode gives a
    meta-gradient that is off by up to 1% here, in double precision, and no warning. The
    learner's is that of a loop over the very same function."""
    learner, episode = transductive(inner_steps=1), characters()
    ours = meta_gradient(learner, episode, cross_entropy)

    def loss_on(p, x, y):
        for block in range(4):
            x = F.conv2d(x, p[f"body.conv{block}"], padding=1)
            scale, shift = p[f"body.scale{block}"], p[f"body.shift{block}"]
            x = F.batch_norm(x, None, None, scale, shift, training=True)
            x = F.max_pool2d(F.relu(x), 2)
        logits = F.linear(x.flatten(1), p["weight"], p["bias"])
        return cross_entropy(logits[None], y[None]).sum()

    def query_loss(p, x, y, query_x, query_y):
        steps = grad(loss_on)(p, x, y)
        fast = {
            name: value - learner.inner_rate * steps[name] for name, value in p.items()
        }
        return loss_on(fast, query_x, query_y)

    own = {name: p.detach() for name, p in learner.network.named_parameters()}
    tasks = [episode.support_x, episode.support_y, episode.query_x, episode.query_y]
    batched = vmap(query_loss, in_dims=(None, 0, 0, 0, 0))
    by_vmap = grad(lambda p: batched(p, *tasks).mean())(own)
    loops = [grad(query_loss)(own, *one) for one in zip(*tasks, strict=True)]
    errors = {}
    for (name, found), axis in zip(by_vmap.items(), ours, strict=True):
        by_loop = sum(one[name] for one in loops) / T
        torch.testing.assert_close(axis, by_loop, atol=1e-10, rtol=1e-10)
        errors[name] = ((found - by_loop).norm() / by_loop.norm()).item()
    assert all(errors[f"body.conv{block}"] > 1e-3 for block in range(4))


def test_evaluation_under_no_grad_adapts_the_same_and_keeps_no_graph():
    learner, episode = on_sinusoids(), regression()
    with_graph = learner.adapt(episode.support_x, episode.support_y)
    with torch.no_grad():
        without = learner.adapt(episode.support_x, episode.support_y)
        prediction = learner.predict(without, episode.query_x)
    for name, value in with_graph.items():
        torch.testing.assert_close(without[name], value)
    assert not prediction.requires_grad
    assert not any(value.requires_grad for value in without.values())
    assert all(p.grad is None for p in learner.parameters())


def test_a_clipped_step_is_as_long_as_allowed_and_points_the_same_way():
    episode, rate, longest = regression(), 0.1, 0.05
    moved = {}
    for clip in (None, longest, 1e6):
        learner = on_sinusoids(inner_steps=1, inner_clip_norm=clip)
        start, adapted = learner.path(episode.support_x, episode.support_y)
        moved[clip] = torch.cat(
            [(adapted[name] - start[name]).flatten(1) for name in start], dim=1
        )
    lengths = moved[longest].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, rate * longest))
    along = torch.cosine_similarity(moved[longest], moved[None], dim=1)
    torch.testing.assert_close(along, torch.ones_like(along))
    torch.testing.assert_close(moved[1e6], moved[None])


def test_clipping_counts_a_parameter_that_is_a_single_number():
    x, y = draw(T, 5, 1, seed=0), 100 + draw(T, 5, 1, seed=1)
    longest = 0.05
    *_, theta = gradient_descent(
        lambda x, theta: theta["slope"][:, None, None] * x + theta["bias"][..., None],
        {"slope": x.new_zeros(T), "bias": x.new_zeros(T, 1)},
        x,
        y,
        loss=squared_error,
        steps=1,
        rate=1.0,
        second_order=False,
        clip_norm=longest,
    )
    moved = torch.stack([theta["slope"], theta["bias"][:, 0]])
    torch.testing.assert_close(moved.norm(dim=0), x.new_full((T,), longest))


def test_without_inner_steps_every_objective_is_joint_training():
    learner, episode = on_sinusoids(inner_steps=0), regression()
    joint = squared_error(learner.network(episode.query_x), episode.query_y).mean()
    for objective in (meta_loss, multi_step_loss):
        torch.testing.assert_close(objective(learner, episode, squared_error), joint)


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_the_multi_step_loss_is_the_mean_of_the_losses_after_every_step(inner_steps):
    learner, episode = on_sinusoids(inner_steps=inner_steps), regression()
    found = multi_step_loss(learner, episode, squared_error)
    after = []
    for learner.inner_steps in range(1, inner_steps + 1):
        after.append(meta_loss(learner, episode, squared_error))
    torch.testing.assert_close(found, torch.stack(after).mean())


def test_the_path_leads_from_the_start_to_the_adapted_weights():
    learner, episode = on_characters(inner_steps=3), characters()
    path = learner.path(episode.support_x, episode.support_y)
    assert len(path) == 1 + 3
    for k, theta in enumerate(path):
        learner.inner_steps = k
        adapted = learner.adapt(episode.support_x, episode.support_y)
        for name, value in adapted.items():
            torch.testing.assert_close(theta[name], value)
    for name, own in learner.network.named_parameters():
        assert torch.equal(path[0][name], own.expand(T, *own.shape))


def test_the_support_loss_falls_with_every_inner_step():
    learner, episode = on_sinusoids(inner_steps=4), regression()
    losses = [
        squared_error(learner.predict(theta, episode.support_x), episode.support_y)
        for theta in learner.path(episode.support_x, episode.support_y)
    ]
    assert (torch.stack(losses).diff(dim=0) < 0).all()


@pytest.mark.parametrize("training", [True, False])
def test_only_the_transductive_learner_lets_companions_change_a_prediction(training):
    """The same weights, judged both ways."""
    learner, episode = on_characters().train(training), characters()
    first, changes = episode.query_x[:, :1], {}
    for learner.normalisation in ("inductive", "transductive"):
        adapted = learner.adapt(episode.support_x, episode.support_y)
        alone = learner.predict(adapted, first)
        in_company = learner.predict(adapted, episode.query_x)[:, :1]
        changes[learner.normalisation] = (alone - in_company).abs().max()
        again = evaluate(learner, One(episode), n_tasks=2)
        assert again.normalisation == learner.normalisation
    assert changes["inductive"] < 1e-12
    assert changes["transductive"] > 1e-2


class One:
    """The same few tasks, whenever asked."""

    def __init__(self, episode):
        self.episode = episode

    def sample(self, n_tasks, *, generator):
        return self.episode[:n_tasks]


def test_running_statistics_normalise_evaluation_alone():
    network = WithHead(Conv4(size=16, width=3), 3)
    learner = MAML(network, loss=cross_entropy, inner_steps=1, inner_rate=0.3).double()
    episode = characters()
    trained = learner.adapt(episode.support_x, episode.support_y)
    assert "body.mean0" in trained
    assert network.get_buffer("body.mean0").abs().min() > 0
    evaluated = learner.eval().adapt(episode.support_x, episode.support_y)
    assert "body.mean0" not in evaluated
    companions = learner.predict(evaluated, episode.query_x)[:, :1]
    alone = learner.predict(evaluated, episode.query_x[:, :1])
    torch.testing.assert_close(alone, companions)


@pytest.mark.parametrize(("make", "sample", "loss"), CASES)
def test_chunks_of_tasks_change_no_gradient(make, sample, loss):
    learner, episode = make(), sample()
    whole = meta_gradient(learner, episode, loss)
    learner.zero_grad()
    for chunk in episode.chunks(2):
        (chunk.n_tasks / T * meta_loss(learner, chunk, loss)).backward()
    for p, expected in zip(learner.parameters(), whole, strict=True):
        torch.testing.assert_close(p.grad, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("objective", [meta_loss, multi_step_loss])
def test_a_training_step_never_waits_for_the_device(objective):
    """Tensors without data cannot be looked at: any hidden synchronisation raises."""
    with torch.device("meta"):
        x, y = torch.rand(2, 5, 1, 16, 16), torch.rand(2, 5, 3)
    learner = on_characters().float().to("meta")
    objective(learner, Episode(x, y, x, y), cross_entropy).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


def test_a_loss_that_no_parameter_can_change_is_refused_by_name():
    def constant(prediction, target):
        return squared_error(prediction.detach(), target)

    learner, episode = on_sinusoids(loss=constant), regression()
    with pytest.raises(ValueError, match="does not depend on weight0"):
        learner.adapt(episode.support_x, episode.support_y)


def test_a_parameter_the_network_does_not_use_is_refused_by_name():
    learner, episode = on_sinusoids(), regression()
    learner.network.register_parameter("idle", torch.nn.Parameter(draw(2, seed=0)))
    with pytest.raises(ValueError, match="does not depend on idle"):
        learner.adapt(episode.support_x, episode.support_y)


def test_a_loss_that_averages_over_tasks_is_refused():
    learner, episode = on_sinusoids(loss=torch.nn.functional.mse_loss), regression()
    with pytest.raises(ValueError, match="one number for each of"):
        learner.adapt(episode.support_x, episode.support_y)
    learner = on_sinusoids()
    with pytest.raises(ValueError, match="one number for each of"):
        meta_loss(learner, episode, torch.nn.functional.mse_loss)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="inner_steps=-1"):
        on_sinusoids(inner_steps=-1)


def test_a_network_without_batch_statistics_cannot_be_transductive():
    with pytest.raises(ValueError, match="track_running_stats=False"):
        on_sinusoids(normalisation="transductive")


def test_an_inner_loop_that_diverges_stops_the_training():
    learner = on_sinusoids(inner_rate=1e6, inner_steps=20).float()
    with pytest.raises(NonFiniteLossError, match="at step 0"):
        meta_train(learner, Sinusoids(), loss=squared_error, steps=2)


@pytest.mark.parametrize("objective", [meta_loss, multi_step_loss])
def test_a_frozen_parameter_does_not_adapt_and_gets_no_meta_gradient(objective):
    learner, episode = on_sinusoids(), regression()
    own = learner.network.weight1
    own.requires_grad_(False)
    adapted = learner.adapt(episode.support_x, episode.support_y)
    assert torch.equal(adapted["weight1"], own.expand(T, *own.shape))
    assert not torch.equal(adapted["weight0"][0], learner.network.weight0)
    objective(learner, episode, squared_error).backward()
    assert own.grad is None
    assert all(p.grad is not None for p in learner.parameters() if p is not own)
    with torch.no_grad():
        evaluated = learner.adapt(episode.support_x, episode.support_y)
    assert torch.equal(evaluated["weight1"], adapted["weight1"])


def test_a_learner_whose_every_parameter_is_frozen_is_told_so():
    learner, episode = on_sinusoids().requires_grad_(False), regression()
    with pytest.raises(ValueError, match="nothing can adapt"):
        learner.adapt(episode.support_x, episode.support_y)
