"""Attention as a layer: every query reads from a set of keys and values.

Multihead attention of Vaswani et al. (2017), section 3.2.2, inside the block of the
attentive baselines of Lee et al. (2020) and Nguyen & Grover (2022) (`attention.py` of
their code): a residual to the query and a layer normalisation, then one residual
linear layer with ReLU and a second normalisation,

    h = norm(W_q q + heads),   out = norm(h + relu(W_o h)).

Deviation: their logits are divided by the square root of the whole width, ours by that
of a head, as in Vaswani et al.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.networks.mlp import MLP
from labkit.randomness import spawn


class Attention(nn.Module):
    """Queries [T, n, D] read keys and values [T, m, D]; the output is [T, n, D].

    Raises:
        ValueError: a width that the heads do not divide.
    """

    def __init__(self, width: int, heads: int = 8, *, seed: int = 0) -> None:
        super().__init__()
        require_whole(1, width=width, heads=heads)
        if width % heads:
            raise ValueError(f"width={width} cannot be divided among heads={heads}.")
        self.heads = heads
        self.to_query, self.to_key, self.to_value, self.to_output = (
            MLP(width, (), width, seed=spawn(seed, part))
            for part in ("query", "key", "value", "output")
        )
        self.norm_read, self.norm_output = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self,
        queries: Float[Tensor, "T n D"],
        keys: Float[Tensor, "T m D"],
        values: Float[Tensor, "T m D"],
    ) -> Float[Tensor, "T n D"]:
        query = self.to_query(queries)
        read = F.scaled_dot_product_attention(
            self._split(query),
            self._split(self.to_key(keys)),
            self._split(self.to_value(values)),
        )
        hidden = self.norm_read(query + read.transpose(1, 2).flatten(2))
        return self.norm_output(hidden + F.relu(self.to_output(hidden)))

    def _split(self, x: Float[Tensor, "T n D"]) -> Float[Tensor, "T H n d"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
