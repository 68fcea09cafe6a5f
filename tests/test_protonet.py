"""Prototypical Networks: equations 1 and 2 of Snell et al. (2017), and their views."""

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learners.baselines.nearest_centroid import NearestCentroid
from labkit.learners.matching import MatchingNet
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.objective import cross_entropy, meta_loss
from labkit.randomness import seeded

T, C, D = 2, 3, 4
DISTANCES = ["squared_euclidean", "cosine"]


def protonet(distance="squared_euclidean"):
    return ProtoNet(MLP(D, (8,), D), distance).double().eval()


def episode(shot=2, query=3, seed=0):
    def side(examples, seed):
        shape = (T, C * examples, D)
        x = torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
        y = F.one_hot(torch.arange(C).repeat(examples), C).double()
        return x, y.expand(T, -1, -1).clone()

    return Episode(*side(shot, seed), *side(query, seed + 1))


@pytest.mark.parametrize("distance", DISTANCES)
def test_logits_are_equations_1_and_2_by_the_loop(distance):
    learner, e = protonet(distance), episode()
    logits = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
    for t in range(T):
        for k in range(C):
            of_class = e.support_x[t][e.support_y[t, :, k] == 1]
            c = learner.network(of_class).mean(0)
            for i, x in enumerate(e.query_x[t]):
                f = learner.network(x)
                if distance == "cosine":
                    expected = 10 * f @ c / (f.norm() * c.norm())
                else:
                    expected = -((f - c) ** 2).sum()
                torch.testing.assert_close(
                    logits[t, i, k], expected, atol=1e-6, rtol=1e-6
                )


def test_squared_euclidean_is_a_linear_classifier_up_to_a_constant_of_the_query():
    """−‖f − c‖² = 2c·f − ‖c‖² − ‖f‖²: w = 2c, b = −‖c‖² (Snell et al. 2017, eq. 8)."""
    learner, e = protonet(), episode()
    c = learner.adapt(e.support_x, e.support_y)
    f = learner.network(e.query_x)
    linear = f @ (2 * c).mT - c.square().sum(-1).unsqueeze(1)
    difference = learner.predict(c, e.query_x) - linear
    of_the_query_only = -f.square().sum(-1, keepdim=True).expand_as(difference)
    torch.testing.assert_close(difference, of_the_query_only, atol=1e-6, rtol=0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_order_of_the_support_does_not_matter(distance):
    learner, e = protonet(distance), episode()
    order = torch.randperm(e.support_x.shape[1], generator=seeded(3))
    torch.testing.assert_close(
        learner.adapt(e.support_x[:, order], e.support_y[:, order]),
        learner.adapt(e.support_x, e.support_y),
    )


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize(
    "make",
    [ProtoNet, NearestCentroid, lambda network: MatchingNet(network, "cosine")],
    ids=["prototypes", "centroids", "matching"],
)
def test_the_stated_normalisation_is_what_evaluation_does(make, track):
    learner = make(Conv4(size=16, width=4, track_running_stats=track)).eval()
    support_x, query_x = (
        torch.rand(1, n, 1, 16, 16, generator=seeded(n)) for n in (3, 6)
    )
    prototypes = learner.adapt(support_x, torch.eye(3).unsqueeze(0))
    alone = learner.predict(prototypes, query_x[:, :2])
    in_company = learner.predict(prototypes, query_x)[:, :2]
    companions_matter = (alone - in_company).abs().max() > 1e-3
    assert companions_matter == (learner.normalisation == "transductive")
    assert learner.normalisation == ("inductive" if track else "transductive")


def test_a_class_without_support_is_named_in_evaluation():
    learner, e = protonet(), episode()
    e.support_y[1, :, 0] = 0
    with pytest.raises(ValueError, match="no support example"):
        learner.adapt(e.support_x, e.support_y)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_training_step_never_waits_for_the_device(distance):
    """Tensors without data cannot be looked at: any hidden synchronisation raises."""
    with torch.device("meta"):
        x, y = torch.rand(1, 5, 1, 28, 28), torch.rand(1, 5, 5)
    learner = ProtoNet(Conv4(), distance).to("meta").train()
    loss = meta_loss(learner, Episode(x, y, x, y), cross_entropy)
    loss.backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


def test_a_gradient_step_lowers_the_loss_of_the_episode():
    learner, e = protonet().train(), episode()
    before = meta_loss(learner, e, cross_entropy)
    before.backward()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter -= 0.01 * parameter.grad
    assert meta_loss(learner, e, cross_entropy) < before
