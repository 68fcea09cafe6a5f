"""Convolution and pooling that stay fast however often they are differentiated.

PyTorch differentiates a grouped convolution twice by a loop over its groups, and
max-pooling by leaving the channels-last order. The functions here are linear in each
argument and closed under differentiation: the derivatives of each are among them, and
none is slower than the first. `tests/test_bilinear.py` holds them to `F.conv2d`,
`F.unfold` and `F.max_pool2d`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def convolve(
    x: Float[Tensor, "B I H W"], weight: Float[Tensor, "O I_of_group 3 3"], groups: int
) -> Float[Tensor, "B O H W"]:
    """`F.conv2d(x, weight, padding=1, groups=groups)`.

    y = C(x, w) is linear in x and in w. Its transposes, I for the input and W for the
    weights, are too, and the derivatives of all three are the three themselves:

        C(x, w)  has the derivatives  I(·, w)  by x  and  W(x, ·)  by w
        I(g, w)                       C(·, w)  by g  and  W(·, g)  by w
        W(x, g)                       I(g, ·)  by x  and  C(x, ·)  by g
    """
    if groups == 1:
        return F.conv2d(x, weight, padding=1)  # which PyTorch differentiates well
    if x[:, 0].numel() >= weight.shape[1]:
        weight = weight.contiguous(memory_format=torch.channels_last)  # like x: faster
        return _Convolution.apply(x, weight, groups)
    # Fewer pixels than channels: the kernels spend most of the time on reordering the
    # weights, and the product of the patches takes half as long.
    B, _, H, W = x.shape
    product = patches(x, groups) @ as_columns(weight, groups)
    rows = product.unflatten(1, (B, H, W)).permute(1, 2, 3, 0, 4).flatten(3)
    return rows.permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, groups: int) -> Tensor:
        y = F.conv2d(x, weight, padding=1, groups=groups)
        ctx.save_for_backward(x.to(y.dtype), weight.to(y.dtype))  # as autocast chose
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        by_x, by_weight, _ = ctx.needs_input_grad
        return (
            _InputTranspose.apply(g, weight, x, ctx.groups) if by_x else None,
            _WeightTranspose.apply(x, g, weight, ctx.groups) if by_weight else None,
            None,
        )


class _InputTranspose(torch.autograd.Function):
    """I(g, w), of the shape of x."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.groups = groups
        return _transposes(g, x, weight, groups, [True, False])[0]

    @staticmethod
    def backward(
        ctx: Any, u: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        g, weight = ctx.saved_tensors
        by_g, by_weight = ctx.needs_input_grad[:2]
        return (
            _Convolution.apply(u, weight, ctx.groups) if by_g else None,
            _WeightTranspose.apply(u, g, weight, ctx.groups) if by_weight else None,
            None,
            None,
        )


class _WeightTranspose(torch.autograd.Function):
    """W(x, g), of the shape of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, weight: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(x, g)
        ctx.groups = groups
        return _transposes(g, x, weight, groups, [False, True])[1]

    @staticmethod
    def backward(
        ctx: Any, v: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, g = ctx.saved_tensors
        by_x, by_g = ctx.needs_input_grad[:2]
        return (
            _InputTranspose.apply(g, v, x, ctx.groups) if by_x else None,
            _Convolution.apply(x, v, ctx.groups) if by_g else None,
            None,
            None,
        )


def _transposes(
    g: Tensor, x: Tensor, weight: Tensor, groups: int, wanted: list[bool]
) -> tuple[Any, Any]:
    """(I(g, w), W(x, g)), None in place of one that is not wanted."""
    one, zero = [1, 1], [0, 0]
    return torch.ops.aten.convolution_backward(
        g, x, weight, None, one, one, one, False, zero, groups, [*wanted, False]
    )[:2]


def patches(x: Float[Tensor, "B I H W"], groups: int) -> Float[Tensor, "G n P"]:
    """For each group of channels the 3 × 3 neighbourhood of each of the n = B · H · W
    pixels, zero beyond the border: P = 9 · I / G numbers, by row, column and channel.
    """
    return _Patches.apply(x, groups)


def as_columns(
    weight: Float[Tensor, "O I_of_group 3 3"], groups: int
) -> Float[Tensor, "G P O_of_group"]:
    """The weights in the order of `patches`: `patches @ columns` is the convolution."""
    return weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int) -> Tensor:
        ctx.shape, ctx.groups = x.shape, groups
        B, _, H, W = x.shape
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        image, row, column, channel = padded.stride()
        channels = x.shape[1] // groups
        pixels = (B, H, W), (image, row, column)
        window = (3, 3, channels), (row, column, channel)
        group = (groups,), (channels * channel,)
        if channels > 1 or groups == 1:
            return _copy(padded, group, pixels, window).view(groups, -1, 9 * channels)
        # A row of pixels is copied faster than nine single numbers, if the product with
        # the weights is slower for it: that pays for small products.
        return _copy(padded, group, window, pixels).view(groups, 9, -1).mT

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, None]:
        return _PatchesTranspose.apply(u, ctx.shape, ctx.groups), None


def _copy(x: Tensor, *axes: tuple[tuple[int, ...], tuple[int, ...]]) -> Tensor:
    """A view of x by axes of (sizes, strides), copied to memory in that order."""
    sizes, strides = (sum(parts, ()) for parts in zip(*axes, strict=True))
    return x.as_strided(sizes, strides).contiguous()


class _PatchesTranspose(torch.autograd.Function):
    """Every number added to the pixel that it was copied from."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, shape: torch.Size, groups: int) -> Tensor:
        ctx.groups = groups
        B, channels, H, W = shape
        windows = u.reshape(groups, B, H, W, 3, 3, -1).permute(4, 5, 1, 2, 3, 0, 6)
        padded = u.new_zeros(B, H + 2, W + 2, groups, channels // groups)
        for row in range(3):
            for column in range(3):
                padded[:, row : row + H, column : column + W] += windows[row, column]
        return padded[:, 1:-1, 1:-1].flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> tuple[Tensor, None, None]:
        return _Patches.apply(x, ctx.groups), None, None


def pool(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H_half W_half"]:
    """`F.max_pool2d(x, 2)`."""
    return _Pool.apply(x)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        ctx.save_for_backward(x, places)
        return pooled

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return spread(g, *ctx.saved_tensors)


def spread(
    g: Float[Tensor, "B C H_half W_half"],
    x: Float[Tensor, "B C H W"],
    places: Int[Tensor, "B C H_half W_half"],
) -> Float[Tensor, "B C H W"]:
    """Every number at the place its maximum came from, in a tensor like x of zeros."""
    return _Spread.apply(g, x, places)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            g, x, [2, 2], [2, 2], [0, 0], [1, 1], False, places
        )

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _collect(u, places), None, None


def _collect(
    u: Float[Tensor, "B C H W"], places: Int[Tensor, "B C H_half W_half"]
) -> Float[Tensor, "B C H_half W_half"]:
    """The numbers at those places: the transpose of `spread`."""
    rows = u.permute(0, 2, 3, 1).flatten(1, 2)
    chosen = rows.gather(1, places.permute(0, 2, 3, 1).flatten(1, 2))
    return chosen.unflatten(1, places.shape[2:]).permute(0, 3, 1, 2)
