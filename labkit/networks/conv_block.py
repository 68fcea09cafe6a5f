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

from labkit.networks.bilinear import (
    as_columns,
    convolve,
    patches,
    pool,
    spread,
)

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
    weight = weight * sign[:, None, None, None]
    if _few_channels(weight, groups):
        rows, columns = patches(x, groups), as_columns(weight, groups)
        mean, var = _moments_of_product(rows, columns)
        x = _product_pooled(rows, columns, x.shape)
    else:
        x, mean, var = _PoolAndMoments.apply(convolve(x, weight, groups))
    gain = scale * sign * (var + EPSILON).rsqrt()
    offset = shift - gain * mean
    x = (x * gain[:, None, None]).add_(offset[:, None, None]).relu_()
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
    weight = weight * gain[:, None, None, None]
    if _few_channels(weight, groups):
        columns = as_columns(weight, groups)
        x = _product_pooled(patches(x, groups), columns, x.shape)
    else:
        x = pool(convolve(x, weight, groups))
    offset = shift - gain * mean
    return x.add(offset[:, None, None]).relu_()


def _few_channels(weight: Float[Tensor, "O I_of_group 3 3"], groups: int) -> bool:
    """Whether a neighbourhood has fewer numbers than the output has channels.

    Then the convolution is better done as the product of all neighbourhoods with the
    weights. The gradient of the weights is a product too, 2 ms for 75 drawings where
    the kernel takes 9; the moments of the output follow from those of the few inputs;
    and the output is channels-last, whereas the strides of a one-channel image fit
    both orders and the kernel chooses channels-first, slow from there on.
    """
    return weight[0].numel() < len(weight) // groups


def _product_pooled(
    rows: Float[Tensor, "G n P"],
    columns: Float[Tensor, "G P O_of_group"],
    shape: torch.Size,
) -> Float[Tensor, "B O H_half W_half"]:
    """The pooled convolution of an input of that shape [B, I, H, W]."""
    B, _, H, W = shape
    y = (rows @ columns).view(len(rows) * B, H, W, -1).permute(0, 3, 1, 2)
    pooled = pool(y).permute(0, 2, 3, 1).unflatten(0, (-1, B))
    return pooled.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def _moments_of_product(
    rows: Float[Tensor, "G n P"], columns: Float[Tensor, "G P O_of_group"]
) -> Moments:
    """Mean and variance of each column of rows @ columns, without computing it.

    A linear map W takes a mean m to W m and a covariance Σ to W Σ Wᵀ.
    """
    # In full precision: the weights may cancel what most patches have in common.
    # Tensors without data ("meta") know no autocast to be disabled.
    with torch.autocast("cpu" if rows.is_meta else rows.device.type, enabled=False):
        mean = rows.mean(1, keepdim=True)
        centred = rows - mean
        covariance = centred.mT @ centred / rows.shape[1]
        var = (columns * (covariance @ columns)).sum(1)
        return (mean @ columns).flatten(), var.flatten()


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
        of_x = spread(of_pooled, x, places)
        return of_x.addcmul_(x, a[:, None, None]).add_(b[:, None, None])
