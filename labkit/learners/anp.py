"""Attentive neural processes (Kim et al. 2019): θ' is every example, to be looked up.

Where a conditional neural process gives every query the mean of the representations,
here a query gathers those that matter to it (section 3 and figure 2):

    r_1, ..., r_n = self-attention of h(x_1, y_1), ..., h(x_n, y_n)
    r* = attention of q(x*) over the keys q(x_i) and the values r_i
    φ = g(x*, r*), the mean and deviation of a Gaussian at x*

This is the deterministic path of the paper alone; it has a second path, through one
random variable z for all queries. Without it the likelihood is exact, and predictions
at several queries are independent given θ'. h, q and g are multilayer perceptrons; the
attention is the block of the baselines of Nguyen & Grover (2022), whose "CANP" this is
but for a second, pooled encoder (`labkit.networks.attention`). Deviation at least
`smallest`, loss and queries: as in `cnp`. Normalisation: inductive.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_real
from labkit.gaussian import bounded
from labkit.learner import Learner
from labkit.networks.attention import Attention
from labkit.networks.mlp import MLP
from labkit.randomness import spawn


class Examples(NamedTuple):
    """θ': where each example is, what it says alone, and what in its company."""

    keys: Float[Tensor, "T S D"]
    alone: Float[Tensor, "T S D"]
    values: Float[Tensor, "T S D"]


class ANP(Learner):
    """Predict from the representations that a query attends to.

    Args:
        width: of every hidden layer, and of keys and values.
        smallest: the smallest standard deviation it can predict.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        *,
        width: int = 128,
        heads: int = 8,
        smallest: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_real(above=0.0, smallest=smallest)
        self.smallest = smallest
        seeds = partial(spawn, seed)
        self.encoder = MLP(inputs + outputs, (width,), width, seed=seeds("encoder"))
        self.among_examples = Attention(width, heads, seed=seeds("among examples"))
        self.locate = MLP(inputs, (width,), width, seed=seeds("locate"))
        self.from_query = Attention(width, heads, seed=seeds("from query"))
        self.decoder = MLP(
            inputs + width, (width,) * 2, 2 * outputs, seed=seeds("decoder")
        )

    def adapt(
        self,
        support_x: Float[Tensor, "T S X"],
        support_y: Float[Tensor, "T S C"],
        state: Examples | None = None,
    ) -> Examples:
        """Look at all examples again, old and new, each in the light of all others.

        Self-attention lets a new example change what the old ones say, so one more
        costs O(n²), like reading all n afresh; only h and q need not be repeated.
        """
        keys = self.locate(support_x)
        alone = self.encoder(torch.cat([support_x, support_y], dim=-1))
        if state is not None:
            keys = torch.cat([state.keys, keys], dim=1)
            alone = torch.cat([state.alone, alone], dim=1)
        return Examples(keys, alone, self.among_examples(alone, alone, alone))

    def predict(
        self, adapted: Examples, query_x: Float[Tensor, "T Q X"]
    ) -> Float[Tensor, "T Q CC"]:
        """A Gaussian for each query, O(n) to compute."""
        read = self.from_query(self.locate(query_x), adapted.keys, adapted.values)
        return bounded(self.decoder(torch.cat([query_x, read], -1)), self.smallest)
