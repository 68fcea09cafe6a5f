"""Convolution, batch normalisation, ReLU and max-pooling, quickly and plainly.

`conv_block` computes what its plain twin computes, in half the time on a CPU;
`tests/test_networks.py` holds the two to the same values and to the same first and
second derivatives.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5  # added to variances: PyTorch's default

Moments = tuple[Float[Tensor, " O"], Float[Tensor, " O"]]
"""Mean and biased variance of each channel."""


def plain_conv_block(
    x: Float[Tensor, "B I H W"],
    weight: Float[Tensor, "O I_of_group 3 3"],
    scale: Float[Tensor, " O"],
    shift: Float[Tensor, " O"],
    groups: int = 1,
) -> tuple[Float[Tensor, "B O H_half W_half"], Moments]:
    """The block in the order of the papers, normalised by the statistics of x."""
    x = F.conv2d(x, weight, padding=1, groups=groups)
    moments = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    x = F.batch_norm(x, None, None, scale, shift, training=True, eps=EPSILON)
    return F.max_pool2d(F.relu(x), 2), moments


def conv_block(
    x: Float[Tensor, "B I H W"],
    weight: Float[Tensor, "O I_of_group 3 3"],
    scale: Float[Tensor, " O"],
    shift: Float[Tensor, " O"],
    groups: int = 1,
) -> tuple[Float[Tensor, "B O H_half W_half"], Moments]:
    """The same, pooled before it is normalised, so that a quarter is left to be.

    Normalisation is x ↦ gain · x + offset in each channel; where the gain is positive
    it commutes with taking the largest of four. A channel of negative scale is
    convolved with the opposite weights, which makes its gain positive and changes
    nothing else. The moments are still those of the whole image.
    """
    sign = torch.where(scale < 0, -1.0, 1.0).to(scale.dtype)
    x = _convolve(x, weight * sign[:, None, None, None], groups)
    x, mean, var = _PoolAndMoments.apply(x)
    gain = scale * sign * (var + EPSILON).rsqrt()
    offset = shift - gain * mean
    x = F.relu(torch.addcmul(offset[:, None, None], x, gain[:, None, None]))
    return x, (mean * sign, var)


def conv_block_with_moments(
    x: Float[Tensor, "B I H W"],
    weight: Float[Tensor, "O I_of_group 3 3"],
    scale: Float[Tensor, " O"],
    shift: Float[Tensor, " O"],
    moments: Moments,
    groups: int = 1,
) -> Float[Tensor, "B O H_half W_half"]:
    """The block normalised by given moments, which fold into weights and a bias."""
    mean, var = moments
    gain = scale * (var + EPSILON).rsqrt()
    x = _convolve(x, weight * gain[:, None, None, None], groups)
    x = F.max_pool2d(x, 2)
    return F.relu(x + (shift - gain * mean)[:, None, None])


def _convolve(
    x: Float[Tensor, "B I H W"], weight: Float[Tensor, "O I_of_group 3 3"], groups: int
) -> Float[Tensor, "B O H W"]:
    """3 × 3 convolution. With one group of few channels it is one matrix product.

    Then a row of 9 · I numbers is the neighbourhood of a pixel, and the gradient of the
    weights is a matrix product too, 2 ms for 75 drawings where the kernel takes 9. The
    product is also channels-last, whereas the strides of a one-channel image fit both
    orders and the convolution chooses channels-first, which is slow from here on.
    """
    B, channels, H, W = x.shape
    outputs = weight.shape[0]
    if groups > 1 or 9 * channels > outputs:
        return F.conv2d(x, weight, padding=1, groups=groups)
    padded = F.pad(x, (1, 1, 1, 1))
    image, channel, row, column = padded.stride()
    neighbourhoods = padded.as_strided(
        (B, H, W, channels, 3, 3), (image, row, column, channel, row, column)
    )
    rows = neighbourhoods.reshape(B * H * W, 9 * channels) @ weight.flatten(1).T
    return rows.view(B, H, W, outputs).permute(0, 3, 1, 2)


class _PoolAndMoments(torch.autograd.Function):
    """Max-pooling of x, and the mean and variance of each channel of x.

    Together, because their gradients meet in one array as large as x, and to fill a
    large new array costs more than to compute what goes into it. ∂mean/∂x = 1/n and
    ∂var/∂x = 2 (x − mean)/n, so they add a · x + b with one a and b a channel. All of
    it is differentiable operations, and can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        if x.device.type == "cpu":  # as var_mean below, in a twentieth of its time
            mean, var = torch.batch_norm_update_stats(exact, None, None, 0.0)
        else:
            var, mean = torch.var_mean(exact, (0, 2, 3), correction=0)
        ctx.save_for_backward(x, places, mean)
        return pooled, mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, places, mean = ctx.saved_tensors
        of_pooled, of_mean, of_var = gradients
        n = x.numel() // x.shape[1]
        a = of_var * (2 / n)
        b = of_mean / n - a * mean
        of_x = torch.ops.aten.max_pool2d_with_indices_backward(
            of_pooled, x, [2, 2], [2, 2], [0, 0], [1, 1], False, places
        )
        return of_x.addcmul_(x, a[:, None, None]).add_(b[:, None, None])
