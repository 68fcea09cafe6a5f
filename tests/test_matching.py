"""Matching Networks: equations 1 and 3–6 of Vinyals et al. (2016)."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from labkit.episode import Episode
from labkit.learners.distances import Similarity
from labkit.learners.matching import MatchingNet, log_of_attended_labels
from labkit.learners.matching_fce import MatchingNetFCE
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.objective import cross_entropy, meta_loss
from labkit.randomness import seeded
from tests.tensors import draw

T, C, D = 2, 3, 4


def network():
    return MLP(D, (8,), D, seed=5)


def ready(learner):
    return learner.double().eval()


def episode(shot, query=3):
    def side(examples, seed):
        shape = (T, C * examples, D)
        x = torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
        y = F.one_hot(torch.arange(C).repeat(examples), C).double()
        return x, y.expand(T, -1, -1)

    return Episode(*side(shot, 0), *side(query, 1))


def predict(learner, e):
    return learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)


def lstm_step(x, h, c, W_x, W_h, b):
    """One step of the LSTM for one vector, gates in the order of PyTorch."""
    i, f, g, o = (W_x @ x + W_h @ h + b).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def equation_1(f_query, g_support, labels, scale):
    """Probabilities of one query, by the loop over the support."""
    similarity = [scale * F.cosine_similarity(f_query, g, dim=0) for g in g_support]
    a = torch.stack(similarity).exp()
    a = a / a.sum()
    return sum(a_i * y_i for a_i, y_i in zip(a, labels, strict=True))


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_predictions_are_equation_1_by_the_loop(scale):
    learner, e = ready(MatchingNet(network())), episode(shot=2)
    learner.similarity.log_scale.data.fill_(scale).log_()
    log_probabilities = predict(learner, e)
    for t in range(T):
        g = learner.network(e.support_x[t])
        for i, x in enumerate(e.query_x[t]):
            p = equation_1(learner.network(x), g, e.support_y[t], scale)
            torch.testing.assert_close(log_probabilities[t, i].exp(), p)


@pytest.mark.parametrize("K", [0, 1, 3])
def test_full_context_embeddings_are_appendix_a_by_the_loop(K):
    learner, e = ready(MatchingNetFCE(network(), K=K)), episode(shot=2)
    w = dict(learner.over_support.named_parameters())
    cell = learner.over_looks
    log_probabilities = predict(learner, e)
    for t in range(T):
        alone = learner.network(e.support_x[t])
        g = alone.clone()
        for suffix, order in (("", range(2 * C)), ("_reverse", range(2 * C)[::-1])):
            h = c = torch.zeros(D, dtype=torch.float64)
            W_x, W_h, b_x, b_h = (
                w[f"{kind}_l0{suffix}"]
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            for i in order:
                h, c = lstm_step(alone[i], h, c, W_x, W_h, b_x + b_h)
                g[i] = g[i] + h
        W_f, W_r = cell.weight_ih.chunk(2, dim=1)
        W_h_and_r = torch.cat([cell.weight_hh, W_r], dim=1)
        for i, x in enumerate(e.query_x[t]):
            f_alone = learner.network(x)
            h = c = torch.zeros(D, dtype=torch.float64)
            for _ in range(K):
                read = (g @ h).softmax(0) @ g
                h, c = lstm_step(
                    f_alone,
                    torch.cat([h, read]),
                    c,
                    W_f,
                    W_h_and_r,
                    cell.bias_ih + cell.bias_hh,
                )
                h = h + f_alone
            f = h if K else f_alone
            p = equation_1(f, g, e.support_y[t], 10.0)
            torch.testing.assert_close(log_probabilities[t, i].exp(), p)


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
def test_matching_is_protonet_at_one_shot_and_not_at_two(distance):
    """At K = 1 a class mean is its example, and a class's attention its only term.

    At K = 2 the class probability is a sum of two exponentials, which is not the
    exponential of the mean's similarity.
    """
    matching = ready(MatchingNet(network(), distance))
    protonet = ready(ProtoNet(network(), distance))
    one, two = episode(shot=1), episode(shot=2)
    torch.testing.assert_close(
        predict(matching, one), predict(protonet, one).log_softmax(-1)
    )
    apart = predict(matching, two) - predict(protonet, two).log_softmax(-1)
    assert apart.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("make", "order_matters"), [(MatchingNet, False), (MatchingNetFCE, True)]
)
def test_only_full_context_depends_on_the_order_of_the_support(make, order_matters):
    learner, e = ready(make(network())), episode(shot=2)
    order = torch.arange(2 * C).flip(0)
    permuted = Episode(
        e.support_x[:, order], e.support_y[:, order], e.query_x, e.query_y
    )
    change = (predict(learner, permuted) - predict(learner, e)).abs().max()
    assert (change > 1e-4) == order_matters


@pytest.mark.parametrize("make", [MatchingNet, MatchingNetFCE])
def test_a_query_does_not_change_with_its_companions(make):
    learner = make(Conv4(size=16, width=4)).eval()
    support_x, query_x = (
        torch.rand(1, n, 1, 16, 16, generator=seeded(n)) for n in (3, 6)
    )
    adapted = learner.adapt(support_x, torch.eye(3).unsqueeze(0))
    torch.testing.assert_close(
        learner.predict(adapted, query_x)[:, :2],
        learner.predict(adapted, query_x[:, :2]),
    )
    assert learner.normalisation == "inductive"


def test_a_confident_mistake_has_a_finite_loss_and_a_gradient():
    learner = MatchingNet(MLP(1, (), 1), "squared_euclidean")
    learner.network.get_parameter("weight0").data.fill_(1.0)
    support_x, query_x = torch.tensor([[[0.0], [300.0]]]), torch.tensor([[[0.0]]])
    labels, wrong = torch.eye(2).unsqueeze(0), torch.tensor([[[0.0, 1.0]]])
    loss = meta_loss(learner, Episode(support_x, labels, query_x, wrong), cross_entropy)
    loss.backward()
    assert loss > 100
    gradient = learner.network.get_parameter("weight0").grad
    assert gradient.isfinite().all() and gradient.abs() > 0


def test_a_class_without_support_has_probability_zero():
    learner = MatchingNet(network()).eval()
    x = torch.randn(1, 2, D, generator=seeded(0))
    labels = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    log_probabilities = learner.predict(learner.adapt(x, labels), x)
    assert torch.equal(log_probabilities[..., 2].exp(), torch.zeros(1, 2))
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(1, 2))


@pytest.mark.parametrize("make", [MatchingNet, MatchingNetFCE])
def test_a_training_step_never_waits_for_the_device(make):
    """Tensors without data cannot be looked at: any hidden synchronisation raises."""
    with torch.device("meta"):
        x, y = torch.rand(1, 5, 1, 28, 28), torch.rand(1, 5, 5)
    learner = make(Conv4()).to("meta").train()
    meta_loss(learner, Episode(x, y, x, y), cross_entropy).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


@pytest.mark.parametrize("make", [ProtoNet, MatchingNet, MatchingNetFCE])
def test_lower_precision_changes_a_loss_little(make):
    learner = make(Conv4(size=16)).train()
    x = torch.rand(1, 5, 1, 16, 16, generator=seeded(0))
    e = Episode(x, torch.eye(5).unsqueeze(0), x + 0.1, torch.eye(5).unsqueeze(0))
    full = meta_loss(learner, e, cross_entropy)
    with torch.autocast("cpu", torch.bfloat16):
        lower = meta_loss(learner, e, cross_entropy)
    torch.testing.assert_close(lower.float(), full, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("make", [MatchingNet, MatchingNetFCE])
def test_construction_draws_nothing_from_the_global_generator(make):
    before = torch.get_rng_state()
    make(network())
    assert torch.equal(before, torch.get_rng_state())


def test_attended_labels_are_the_logarithm_of_the_sum_soft_labels_included():
    attention = (30 * draw(T, 7, 6)).log_softmax(-1)
    soft = draw(T, 6, C, seed=1).softmax(-1)
    expected = (attention.exp() @ soft).log()
    found = log_of_attended_labels(attention, soft)
    torch.testing.assert_close(found, expected)
    slopes = [
        torch.autograd.functional.jacobian(lambda a, f=f: f(a).sum(), attention)
        for f in (
            lambda a: log_of_attended_labels(a, soft),
            lambda a: (a.exp() @ soft).log(),
        )
    ]
    torch.testing.assert_close(*slopes)


def test_an_unlabelled_example_speaks_for_no_class():
    attention = torch.tensor([[[0.0, -200.0, -300.0]]])
    labels = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    found = log_of_attended_labels(attention, labels)
    assert found.tolist() == [[[-200.0, -300.0]]]


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])
def test_memory_does_not_grow_with_the_classes(distance):
    """200 classes of 10 examples: 400 queries would make 160 million terms."""
    classes, shot, query = 200, 10, 400
    learner = MatchingNet(MLP(2, (), 128), distance).train()
    x = torch.randn(1, classes * shot, 2, generator=seeded(0))
    y = torch.eye(classes).repeat(shot, 1).unsqueeze(0)
    largest = Largest()
    with largest:
        loss = meta_loss(
            learner, Episode(x, y, x[:, :query], y[:, :query]), cross_entropy
        )
        loss.backward()
    assert loss.isfinite()
    assert largest.seen <= query * classes * shot


class Largest(TorchDispatchMode):
    """The largest tensor that is made."""

    seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        for one in out if isinstance(out, tuple | list) else [out]:
            if isinstance(one, torch.Tensor):
                self.seen = max(self.seen, one.untyped_storage().nbytes() // 4)
        return out


def test_distances_by_a_product_are_those_by_differences(monkeypatch):
    queries, points = 100 + draw(T, 5, D), 100 + draw(T, 6, D, seed=1)
    similarity = Similarity("squared_euclidean")
    expected = similarity(queries, points)
    monkeypatch.setattr("labkit.learners.distances.DIFFERENCES", 0)
    torch.testing.assert_close(similarity(queries, points), expected)
