"""What stays fast when differentiated twice computes what PyTorch computes."""

import pytest
import torch
from torch.autograd import gradgradcheck
from torch.nn import functional as F

from labkit.networks.bilinear import as_columns, convolve, patches, pool
from labkit.randomness import seeded

B, H, W = 2, 5, 6


def draw(*shape, seed=0):
    values = torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
    return values.requires_grad_()


def arguments(groups, inputs=2, outputs=3):
    x = draw(B, groups * inputs, H, W)
    return x, draw(groups * outputs, inputs, 3, 3, seed=1)


def to_the_second_derivative(function, *inputs):
    out = function(*inputs)
    first = torch.autograd.grad(out.sin().square().sum(), inputs, create_graph=True)
    change = torch.stack([gradient.cos().sum() for gradient in first]).sum()
    return [out, *first, *torch.autograd.grad(change, inputs)]


@pytest.mark.parametrize(
    ("groups", "inputs"),
    [(1, 2), (3, 2), pytest.param(2, B * H * W + 1, id="few pixels")],
)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_convolve_is_conv2d(groups, inputs, memory):
    x, weight = arguments(groups, inputs)

    def plain(x, weight):
        return F.conv2d(x, weight, padding=1, groups=groups)

    def fast(x, weight):
        return convolve(x.contiguous(memory_format=memory), weight, groups)

    torch.testing.assert_close(
        to_the_second_derivative(fast, x, weight),
        to_the_second_derivative(plain, x, weight),
    )


def test_patches_times_columns_is_conv2d_and_patches_are_those_of_unfold():
    groups = 3
    x, weight = arguments(groups)

    def plain(x, weight):
        return F.conv2d(x, weight, padding=1, groups=groups)

    def fast(x, weight):
        product = patches(x, groups) @ as_columns(weight, groups)
        return product.unflatten(1, (B, H, W)).permute(1, 0, 4, 2, 3).flatten(1, 2)

    torch.testing.assert_close(
        to_the_second_derivative(fast, x, weight),
        to_the_second_derivative(plain, x, weight),
    )
    one_channel = x[:, :1]
    unfolded = F.unfold(one_channel, 3, padding=1).mT.flatten(0, 1)
    torch.testing.assert_close(patches(one_channel, 1)[0], unfolded)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_pool_is_max_pool2d(memory):
    x = draw(B, 3, 7, 6)
    torch.testing.assert_close(
        to_the_second_derivative(lambda x: pool(x.contiguous(memory_format=memory)), x),
        to_the_second_derivative(lambda x: F.max_pool2d(x, 2), x),
    )


def test_second_derivatives_are_those_of_finite_differences():
    x, weight = arguments(groups=2, inputs=1, outputs=2)
    assert gradgradcheck(lambda x, weight: convolve(x, weight, 2), (x, weight))
    assert gradgradcheck(lambda x: patches(x, 2), (x,))
    assert gradgradcheck(lambda x: pool(x).square(), (x,))


def test_half_precision_chosen_by_autocast_reaches_every_derivative():
    x, weight = (value.detach().float().requires_grad_() for value in arguments(2))
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(x, weight, 2)
        loss = y.square().sum()
        (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
        gradient.square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert gradient.dtype == weight.grad.dtype == x.grad.dtype == torch.float32
