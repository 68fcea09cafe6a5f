"""What adapting costs, against counts by hand."""

import pytest
import torch

from labkit.episode import Episode
from labkit.learners.anil import ANIL
from labkit.learners.in_context import InContext
from labkit.learners.maml import MAML
from labkit.learners.protonet import ProtoNet
from labkit.measures.price import price
from labkit.networks.mlp import MLP
from labkit.networks.transformer import Transformer
from labkit.networks.with_head import WithHead
from labkit.objective import squared_error
from labkit.randomness import seeded

IN, WIDTH, OUT, SUPPORT = 3, 8, 2, 5
FLOAT = 4


def task(n_tasks=1):
    x = torch.randn(n_tasks, SUPPORT, IN, generator=seeded(0))
    y = torch.eye(OUT)[torch.arange(SUPPORT) % OUT].expand(n_tasks, -1, -1)
    return Episode(x, y, x, y)


def adapted_by(kind):
    network = WithHead(MLP(IN, (), WIDTH), OUT)
    learner = kind(network, loss=squared_error, inner_steps=1, inner_rate=0.1)
    return price(learner, task())


def test_prototypes_are_one_vector_a_class_after_two_products():
    found = price(ProtoNet(MLP(IN, (), WIDTH)), task())
    assert found.bytes == OUT * WIDTH * FLOAT
    assert found.operations == 2 * SUPPORT * IN * WIDTH + 2 * OUT * SUPPORT * WIDTH


def test_maml_leaves_all_weights_and_anil_those_of_the_head():
    body, head = WIDTH * (IN + 1), OUT * (WIDTH + 1)
    assert adapted_by(MAML).bytes == (body + head) * FLOAT
    assert adapted_by(ANIL).bytes == head * FLOAT
    assert adapted_by(ANIL).operations < adapted_by(MAML).operations


def test_a_cache_is_keys_and_values_of_every_token_in_every_layer():
    learner = InContext(Transformer(width=WIDTH, layers=3, heads=2), IN, OUT)
    keys_and_values, tokens = 2, 2 * SUPPORT
    assert price(learner, task()).bytes == 3 * keys_and_values * tokens * WIDTH * FLOAT


def test_a_prompt_costs_its_linear_layers_and_its_attention():
    learner = InContext(Transformer(width=WIDTH, layers=3, heads=2), IN, OUT)
    tokens = 2 * SUPPORT
    embedding = SUPPORT * (IN + OUT) * WIDTH
    linear = tokens * 12 * WIDTH**2  # three maps in, one out, and 4 + 4 of the MLP
    attention = 2 * tokens**2 * WIDTH  # who reads whom, and what is read
    products = embedding + 3 * (linear + attention)
    assert price(learner, task()).operations == 2 * products


def test_the_price_is_of_one_task():
    with pytest.raises(ValueError, match="one task, not of 2"):
        price(ProtoNet(MLP(IN, (), WIDTH)), task(2))
