"""A network is a function of (parameters, x): one set for all tasks, or one a task."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.networks.conv4 import Conv4
from labkit.networks.conv_block import (
    conv_block,
    conv_block_with_moments,
    plain_conv_block,
)
from labkit.networks.mlp import MLP
from labkit.networks.network import require_network
from labkit.randomness import seeded

WIDTH, SIZE = 5, 18


def conv4(**options):
    return Conv4(width=WIDTH, size=SIZE, **options).double()


def per_task(network, n_tasks):
    drawn = network.initial_parameters(n_tasks, generator=seeded(7))
    return {
        name: value.double() + 0.1 * torch.randn(value.shape, generator=seeded(8))
        for name, value in drawn.items()
    }


def images(*leading, seed=0):
    shape = (*leading, 1, SIZE, SIZE)
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


def textbook_conv4(network):
    """The four blocks in the order of the papers, of PyTorch's own layers."""
    layers, inputs = [], 1
    for block in range(4):
        convolution = nn.Conv2d(inputs, WIDTH, 3, padding=1, bias=False)
        normalisation = nn.BatchNorm2d(WIDTH)
        convolution.weight.data = network.get_parameter(f"conv{block}").data
        normalisation.weight.data = network.get_parameter(f"scale{block}").data
        normalisation.bias.data = network.get_parameter(f"shift{block}").data
        layers += [convolution, normalisation, nn.ReLU(), nn.MaxPool2d(2)]
        inputs = WIDTH
    return nn.Sequential(*layers, nn.Flatten()).double()


def test_conv4_is_the_textbook_network_in_training_and_evaluation():
    network, x = conv4(), images(6)
    for block in range(4):
        nn.init.normal_(network.get_parameter(f"scale{block}"), generator=seeded(1))
    textbook = textbook_conv4(network)
    torch.testing.assert_close(network(x), textbook(x))
    network(x + 1), textbook(x + 1)
    torch.testing.assert_close(network.eval()(x), textbook.eval()(x))


Arguments = tuple[Tensor, Tensor, Tensor, Tensor]


def block_arguments(groups, inputs, seed=0):
    def draw(*shape):
        source = seeded(seed + len(shape) + shape[0])
        return torch.randn(shape, generator=source, dtype=torch.float64)

    x, weight = draw(3, groups * inputs, 7, 6), draw(groups * WIDTH, inputs, 3, 3)
    scale, shift = draw(groups * WIDTH), draw(groups * WIDTH, 1).squeeze(1)
    assert (scale < 0).any() and (scale > 0).any()
    return tuple(value.requires_grad_() for value in (x, weight, scale, shift))


@pytest.mark.parametrize(("groups", "inputs"), [(1, 1), (1, 4), (2, 1), (2, 4)])
def test_the_fast_block_and_its_plain_twin_agree_to_the_second_derivative(
    groups, inputs
):
    arguments: Arguments = block_arguments(groups, inputs)
    results = []
    for block in (plain_conv_block, conv_block):
        out, (mean, var) = block(*arguments, groups)
        total = (out.sin().sum() + (mean * var).sum()).square()
        first = torch.autograd.grad(total, arguments, create_graph=True)
        change = torch.stack([gradient.cos().sum() for gradient in first]).sum()
        second = torch.autograd.grad(change, arguments)
        results.append((out, mean, var, *first, *second))
    torch.testing.assert_close(results[1], results[0])


def test_a_block_with_the_moments_of_its_input_is_the_block():
    arguments: Arguments = block_arguments(1, 4)
    out, moments = conv_block(*arguments)
    torch.testing.assert_close(conv_block_with_moments(*arguments, moments), out)


def test_statistics_measured_on_one_batch_normalise_another():
    network, x, other = conv4(track_running_stats=False), images(6), images(2, seed=1)
    p = dict(network.named_parameters())
    with_given = p | network.batch_statistics(x, p)
    torch.testing.assert_close(network(x, with_given), network(x))
    torch.testing.assert_close(
        network(other, with_given)[:1], network(other[:1], with_given)
    )


def test_conv4_64_has_the_published_size():
    network = Conv4()
    assert network.features == 64
    assert network(torch.rand(2, 3, 1, 28, 28)).shape == (2, 3, 64)
    published_with_biases = 111_936
    biases = 4 * 64
    n_parameters = sum(p.numel() for p in network.parameters())
    assert n_parameters == published_with_biases - biases


@pytest.mark.parametrize("make", [conv4, lambda: MLP(SIZE, (7,), 3).double()])
def test_leading_axes_are_a_batch(make):
    network = make().eval()
    x = images(2, 3).squeeze(2) if isinstance(network, MLP) else images(2, 3)
    torch.testing.assert_close(
        network(x), network(x.flatten(0, 1)).unflatten(0, (2, 3))
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("track", [True, False])
def test_conv4_with_a_set_of_parameters_a_task_is_a_loop_over_tasks(training, track):
    network = conv4(track_running_stats=track).train(training)
    parameters, x = per_task(network, 3), images(3, 4)
    together = network(x, parameters)
    for t in range(3):
        own = {name: value[t] for name, value in parameters.items()}
        alone = conv4(track_running_stats=track).train(training)(x[t], own)
        torch.testing.assert_close(together[t], alone)


def test_mlp_with_a_set_of_parameters_a_task_is_a_loop_over_tasks():
    network = MLP(2, (7, 6), 3).double()
    parameters = per_task(network, 3)
    x = torch.randn(3, 4, 2, dtype=torch.float64, generator=seeded(0))
    for t in range(3):
        own = {name: value[t] for name, value in parameters.items()}
        hidden = F.relu(x[t] @ own["weight0"].T + own["bias0"])
        hidden = F.relu(hidden @ own["weight1"].T + own["bias1"])
        expected = hidden @ own["weight2"].T + own["bias2"]
        torch.testing.assert_close(network(x, parameters)[t], expected)


def test_running_statistics_move_by_the_mean_over_tasks():
    network, x = conv4(), images(3, 4)
    parameters = per_task(network, 3)
    moved = []
    for t in range(3):
        alone = conv4()
        alone(x[t], {name: value[t] for name, value in parameters.items()})
        moved.append(alone.mean2)
    network(x, parameters)
    torch.testing.assert_close(network.mean2, torch.stack(moved).mean(0))


def test_only_batch_statistics_let_companions_change_an_output():
    x = images(5)
    inductive = conv4().eval()
    torch.testing.assert_close(inductive(x)[0], inductive(x[:1])[0])
    assert not inductive.uses_batch_statistics
    transductive = conv4(track_running_stats=False).eval()
    assert (transductive(x)[0] - transductive(x[:2])[0]).abs().max() > 1e-3
    assert transductive.uses_batch_statistics


@pytest.mark.parametrize("make", [Conv4, MLP])
def test_initialisation_depends_on_the_seed_alone(make):
    before = torch.get_rng_state()
    one, same, other = (next(make(seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_an_ordinary_module_is_told_what_a_network_is():
    require_network(conv4())
    with pytest.raises(TypeError, match=r"Linear is no labkit.*functional_call"):
        require_network(nn.Linear(2, 3))


def test_conv4_refuses_an_image_too_small_to_halve():
    with pytest.raises(ValueError, match="at least 16 pixels"):
        Conv4(size=15)
