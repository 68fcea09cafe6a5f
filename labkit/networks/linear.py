"""The linear layer, with one weight matrix for all tasks or one for each."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def linear(
    x: Float[Tensor, "... inputs"],
    weight: Float[Tensor, "*tasks outputs inputs"],
    bias: Float[Tensor, "*tasks outputs"],
) -> Float[Tensor, "... outputs"]:
    """x Wᵀ + b; with a task axis, W is [T, outputs, inputs] and x [T, ..., inputs]."""
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    out = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, -2), weight.mT)
    return out if x.ndim == 3 else out.unflatten(1, x.shape[1:-1])
