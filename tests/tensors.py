"""Numbers to check formulas on."""

import torch
from torch import Tensor

from labkit.randomness import seeded


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, in double precision."""
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)
