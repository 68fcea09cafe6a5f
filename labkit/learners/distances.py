"""How near a query is to a point: all that metric-based learners compare."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Distance = Literal["squared_euclidean", "cosine"]

DIFFERENCES = 2**26
"""How many q − m to keep in memory at once; beyond, a matrix product takes their place.
"""


class Similarity(nn.Module):
    """Larger is nearer: [T, Q, D] and [T, M, D] → [T, Q, M].

    "squared_euclidean": −‖q − m‖² (Snell et al. 2017).
    "cosine": s · cos(q, m) with one learned scale s = exp(log_scale), first 10. The
    cosine alone lies in [−1, 1], and a softmax over N such numbers cannot become
    certain; the learned scale is that of Gidaris & Komodakis (2018). Vinyals et
    al. (2016), eq. 1, have none: `log_scale` fixed at 0 gives theirs.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, distance: Distance) -> None:
        super().__init__()
        if distance not in ("squared_euclidean", "cosine"):
            raise ValueError(
                f'distance={distance!r}: choose "squared_euclidean" or "cosine".'
            )
        self.distance = distance
        if distance == "cosine":
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(
        self, queries: Float[Tensor, "T Q D"], points: Float[Tensor, "T M D"]
    ) -> Float[Tensor, "T Q M"]:
        if self.distance == "cosine":
            cosine = F.normalize(queries, dim=-1) @ F.normalize(points, dim=-1).mT
            return self.log_scale.exp() * cosine
        if queries.numel() * points.shape[1] <= DIFFERENCES:
            return -(queries.unsqueeze(2) - points.unsqueeze(1)).square().sum(-1)
        # −‖q − m‖² = 2 q·m − ‖q‖² − ‖m‖², around the middle of the points, near which
        # the three numbers are small and lose little in the sum
        middle = points.mean(1, keepdim=True)
        queries, points = queries - middle, points - middle
        lengths = queries.square().sum(-1).unsqueeze(2), points.square().sum(-1)
        return 2 * queries @ points.mT - lengths[0] - lengths[1].unsqueeze(1)
