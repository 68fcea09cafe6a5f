"""A prediction that knows how far it may be off: a Gaussian for each target.

Such a prediction of targets [T, Q, C] is one tensor [T, Q, 2C]: the C means and then
the C logarithms of the standard deviations. Logarithms, so that any real number is a
valid prediction; whoever bounds the deviation bounds it before it takes the logarithm.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

LOG_2_PI = math.log(2 * math.pi)
WITHIN_95 = 1.959963984540054
"""A Gaussian lies within so many standard deviations of its mean 95% of the time."""


def _require_pairs(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless there are a mean and a logarithm for each target."""
    if prediction.shape != (*target.shape[:-1], 2 * target.shape[-1]):
        raise ValueError(
            f"A prediction of targets {tuple(target.shape)} is [T, Q, 2C], C means and "
            f"then C logarithms of deviations; this one is {tuple(prediction.shape)}."
        )


def moments(
    prediction: Float[Tensor, "T Q CC"],
) -> tuple[Float[Tensor, "T Q C"], Float[Tensor, "T Q C"]]:
    """Mean and standard deviation."""
    mean, log_scale = prediction.chunk(2, dim=-1)
    return mean, log_scale.exp()


def log_likelihood(
    prediction: Float[Tensor, "T Q CC"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Mean over the queries of log N(target; mean, deviation²), in nats.

    It is a log-density per target: the C components are added up, and it is above 0
    where the density is above 1.

    Raises:
        ValueError: other shapes.
    """
    _require_pairs(prediction, target)
    mean, log_scale = prediction.chunk(2, dim=-1)
    error = (target - mean) * (-log_scale).exp()
    each = -0.5 * (error.square() + LOG_2_PI) - log_scale
    return each.sum(-1).mean(-1)


def negative_log_likelihood(
    prediction: Float[Tensor, "T Q CC"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """What training minimises: minus `log_likelihood`."""
    return -log_likelihood(prediction, target)


def coverage(
    prediction: Float[Tensor, "T Q CC"], target: Float[Tensor, "T Q C"]
) -> Float[Tensor, " T"]:
    """Fraction of the targets inside the central 95% interval predicted for them.

    A calibrated prediction scores 0.95 in the mean; less is overconfident.

    Raises:
        ValueError: other shapes.
    """
    _require_pairs(prediction, target)
    mean, scale = moments(prediction)
    inside = (target - mean).abs() <= WITHIN_95 * scale
    return inside.to(target.dtype).mean(dim=(1, 2))


def bounded(raw: Float[Tensor, "T Q CC"], smallest: float) -> Float[Tensor, "T Q CC"]:
    """A network's output as a prediction whose deviations are at least `smallest`.

    With the second half r of the output, the deviation is b + (1 − b) softplus(r),
    b = `smallest`: with b = 0.1 that of the authors' code for neural processes.
    """
    if raw.dtype.itemsize < 4:  # under autocast: logarithms need the digits
        raw = raw.float()
    mean, scale = raw.chunk(2, dim=-1)
    scale = smallest + (1 - smallest) * F.softplus(scale)
    return torch.cat([mean, scale.log()], dim=-1)
