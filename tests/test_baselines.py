"""The baselines a sceptic asks for: each one the simple thing that it says it is."""

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.evaluation import evaluate
from labkit.experiments.classifier import train_classifier
from labkit.learners.baselines.fine_tuning import FineTuning
from labkit.learners.baselines.nearest_centroid import NearestCentroid
from labkit.learners.baselines.nearest_neighbour import NearestNeighbour
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import accuracy, cross_entropy, squared_error
from labkit.randomness import seeded
from labkit.tasks.characters import CharacterSet, FewShot
from tests.tensors import draw

T, S, Q = 2, 6, 4


def blobs(n_classes=12, size=16):
    """A class is a place and its drawings are noisy squares there."""
    images = torch.randint(0, 60, (n_classes, 20, size, size), generator=seeded(0))
    for k in range(n_classes):
        row, column = 4 * (k // 4), 4 * (k % 4)
        images[k, :, row : row + 4, column : column + 4] += 190
    return CharacterSet(
        images.to(torch.uint8),
        torch.zeros(n_classes, dtype=torch.int64),
        tuple(f"blob{k}" for k in range(n_classes)),
        ("blobs",),
    )


def test_nearest_neighbour_is_the_loop_over_pairs():
    x, q = draw(T, S, 1, 3, 3), draw(T, Q, 1, 3, 3, seed=1)
    y = F.one_hot(torch.arange(S) % 3, 3).double().expand(T, -1, -1)
    learner = NearestNeighbour()
    prediction = learner.predict(learner.adapt(x, y), q)
    for t in range(T):
        for i in range(Q):
            distances = [(q[t, i] - x[t, j]).norm() for j in range(S)]
            nearest = min(range(S), key=distances.__getitem__)
            assert torch.equal(prediction[t, i], y[t, nearest])


def test_nearest_centroid_is_the_loop_over_classes():
    learner = NearestCentroid(MLP(3, (5,), 4)).double().eval()
    x, q = draw(T, S, 3), draw(T, Q, 3, seed=1)
    labels = torch.arange(S) % 2
    y = F.one_hot(labels, 2).double().expand(T, -1, -1)
    prediction = learner.predict(learner.adapt(x, y), q)
    for t in range(T):
        z = learner.network(x[t])
        z = z / z.norm(dim=-1, keepdim=True)
        for i in range(Q):
            f = learner.network(q[t, i])
            f = f / f.norm()
            for k in range(2):
                expected = -((f - z[labels == k].mean(0)) ** 2).sum()
                torch.testing.assert_close(prediction[t, i, k], expected)


def test_an_ordinary_classifier_learns_its_classes_and_serves_new_ones():
    blobs_seen, blobs_new = blobs(12), FewShot(blobs(16), way=5, shot=1, query=5)
    network = Conv4(size=16, width=16)
    classifier = train_classifier(network, blobs_seen, steps=60, batch_size=32)
    assert classifier.body is network
    x = blobs_seen.images[:, 0].unsqueeze(1).float() / 255
    assert (classifier(x).argmax(-1) == torch.arange(12)).float().mean() > 0.8
    score = evaluate(NearestCentroid(network), blobs_new, score=accuracy, n_tasks=20)
    assert score.mean > 0.8


def tuning(network, loss, **options):
    settings = {"steps": 5, "rate": 0.1} | options
    return FineTuning(network, loss=loss, **settings).double().eval()


@pytest.mark.parametrize("from_scratch", [True, False])
def test_fine_tuning_is_gradient_descent_on_each_task_alone(from_scratch):
    network = MLP(2, (5,), 1)
    learner = tuning(network, squared_error, from_scratch=from_scratch)
    x, y = draw(T, S, 2), draw(T, S, 1, seed=1)
    with torch.no_grad():
        adapted = learner.adapt(x, y)
    drawn = network.initial_parameters(T, generator=seeded(0, "fine-tuning"))
    for t in range(T):
        alone = MLP(2, (5,), 1).double()
        for name, parameter in alone.named_parameters():
            own = network.get_parameter(name)
            parameter.data = drawn[name][t].double() if from_scratch else own.clone()
        optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (alone(x[t]) - y[t]).square().mean().backward()
            optimizer.step()
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(adapted[name][t], parameter.data)


def test_fine_tuning_starts_every_task_elsewhere_and_the_same_each_time():
    learner = tuning(MLP(2, (5,), 1), squared_error, steps=0)
    x, y = draw(T, S, 2), draw(T, S, 1, seed=1)
    once, again = learner.adapt(x, y), learner.adapt(x, y)
    assert torch.equal(once["weight0"], again["weight0"])
    assert not torch.equal(once["weight0"][0], once["weight0"][1])


def test_fine_tuning_with_batch_statistics_is_inductive():
    """Queries are normalised by the support's statistics, so companions are nothing."""
    network = WithHead(Conv4(size=16, width=4, track_running_stats=False), 3)
    learner = tuning(network, cross_entropy)
    x, q = draw(T, S, 1, 16, 16).abs(), draw(T, Q, 1, 16, 16, seed=1).abs()
    y = F.one_hot(torch.arange(S) % 3, 3).double().expand(T, -1, -1)
    adapted = learner.adapt(x, y)
    torch.testing.assert_close(
        learner.predict(adapted, q)[:, :2], learner.predict(adapted, q[:, :2])
    )
    assert learner.normalisation == "inductive"


def test_fine_tuning_from_scratch_refuses_running_statistics_of_other_weights():
    with pytest.raises(ValueError, match="track_running_stats=False"):
        tuning(WithHead(Conv4(size=16, width=8), 5), cross_entropy)


def test_fine_tuning_learns_from_the_support_alone():
    network = WithHead(Conv4(size=16, width=8, track_running_stats=False), 5)
    learner = FineTuning(network, loss=cross_entropy, steps=20, rate=0.3)
    tasks = FewShot(blobs(16), way=5, shot=5, query=5)
    before = [p.clone() for p in learner.parameters()]
    score = evaluate(learner, tasks, score=accuracy, n_tasks=10)
    assert score.mean > 0.6
    assert all(
        torch.equal(p, q) for p, q in zip(learner.parameters(), before, strict=True)
    )


def test_fine_tuning_keeps_no_graph():
    learner = tuning(MLP(2, (5,), 1), squared_error)
    episode = Episode(draw(T, S, 2), draw(T, S, 1), draw(T, Q, 2), draw(T, Q, 1))
    adapted = learner.adapt(episode.support_x, episode.support_y)
    assert not any(value.requires_grad for value in adapted.values())
