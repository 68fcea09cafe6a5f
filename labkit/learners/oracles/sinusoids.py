"""The exact answer to sinusoid tasks: the learner that already knows what to learn.

A sin(x − φ) = a sin x + b cos x with a = A cos φ and b = −A sin φ. In the two features
sin x and cos x every task is linear: θ' = (a, b) is least squares on the support, and
two points determine it, unless their inputs are a multiple of π apart. How close a
learned method comes is how much of this it has found out by itself.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.learner import Learner


class SinusoidOracle(Learner):
    """θ' = the coefficients of sin x and cos x that fit the support best.

    Where one point leaves them open, they are the smallest that fit.
    """

    def adapt(
        self, support_x: Float[Tensor, "T S 1"], support_y: Float[Tensor, "T S 1"]
    ) -> Float[Tensor, "T 2 1"]:
        return torch.linalg.pinv(_features(support_x)) @ support_y

    def predict(
        self, adapted: Float[Tensor, "T 2 1"], query_x: Float[Tensor, "T Q 1"]
    ) -> Float[Tensor, "T Q 1"]:
        return _features(query_x) @ adapted


def _features(x: Float[Tensor, "T n 1"]) -> Float[Tensor, "T n 2"]:
    return torch.cat([x.sin(), x.cos()], dim=-1)
