"""Two trainings of one fingerprint are one training."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from labkit import fingerprint
from labkit.learners.maml import MAML
from labkit.learners.protonet import ProtoNet
from labkit.networks.mlp import MLP
from labkit.networks.network import Network
from labkit.objective import cross_entropy, squared_error
from labkit.randomness import seeded
from labkit.tasks.sinusoids import Sinusoids
from labkit.training import cosine, halving


def maml(**options):
    settings: dict[str, Any] = {"inner_steps": 1, "inner_rate": 0.1}
    settings |= {"loss": squared_error} | options
    return MAML(MLP(), **settings)


def frozen():
    learner = maml()
    learner.network.weight0.requires_grad_(False)
    return learner


def test_a_learner_of_other_weights_is_the_same_learner():
    first, other = maml(), maml()
    nn.init.zeros_(other.network.weight0)
    assert fingerprint.of_learner(first) == fingerprint.of_learner(other)


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (maml(inner_steps=2), "learner.inner_steps"),
        (maml(inner_rate=0.2), "learner.inner_rate"),
        (maml(first_order=True), "learner.first_order"),
        (maml(loss=cross_entropy), "learner.loss"),
        (frozen(), "learner.network.weight0"),
        (maml().double(), "learner.network.bias1"),
        (ProtoNet(MLP()), "learner"),
    ],
)
def test_a_learner_made_otherwise_differs_in_that_part(other, part):
    one, another = fingerprint.of_learner(maml()), fingerprint.of_learner(other)
    assert one[part] != another[part]


def weighted(prediction, target, weight=1.0):
    return weight * squared_error(prediction, target)


class Power:
    def __init__(self, exponent):
        self.exponent = exponent

    def __call__(self, step):
        return step**self.exponent


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (squared_error, cross_entropy),
        (torch.sin, torch.cos),
        (partial(weighted, weight=2.0), partial(weighted, weight=3.0)),
        (partial(weighted, weight=2.0), weighted),
        (halving(10), halving(20)),
        (cosine(10), cosine(20)),
        (lambda step: 0.5, lambda step: 0.25),
        (lambda step: step + 1.0, lambda step: step - 1.0),
        (Power(1), Power(2)),
        (Power(1).__call__, Power(2).__call__),
        (Sinusoids(5, 10), Sinusoids(10, 10)),
        (torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])),
        (torch.zeros(3).numpy(), torch.ones(3).numpy()),
        ([1, 2], [1, 3]),
        ({"a": {1, 2}}, {"a": {1, 3}}),
        ("x" * 1000, "x" * 999 + "y"),
        (MLP(seed=0), MLP(seed=1)),
        (nn.Dropout(0.1), nn.Dropout(0.2)),
    ],
)
def test_values_made_otherwise_differ_and_the_same_are_the_same(one, another):
    assert fingerprint.of("it", one) == fingerprint.of("it", one)
    assert fingerprint.of("it", one) != fingerprint.of("it", another)


def test_what_refers_to_itself_or_has_no_content_is_no_trouble():
    class Knot:
        def __init__(self):
            self.itself, self.drawn, self.of = self, seeded(0), torch

    found = fingerprint.of("tasks", Knot())
    assert found["tasks.of"] == "torch"
    assert found["tasks.drawn"].endswith("Generator")
    assert "tasks.itself" not in found


def test_a_subclass_says_what_it_is_derived_from():
    assert fingerprint.lineage(MLP()).endswith(fingerprint.lineage(Network()))
