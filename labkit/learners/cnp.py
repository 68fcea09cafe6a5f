"""Conditional neural processes (Garnelo et al. 2018): θ' is a mean over the examples.

    r_i = h(x_i, y_i)                                                      (eq. 2)
    r = (r_1 + ... + r_n) / n                                              (eq. 3)
    φ = g(x*, r), the mean and deviation of a Gaussian at x*               (eq. 4)

h and g are multilayer perceptrons. The deviation is at least `smallest`, 0.1 as in the
authors' notebook (`labkit.gaussian.bounded`). Loss, to be given to `meta_train`:
`negative_log_likelihood`, averaged over the queries. Deviation: the queries are the
targets alone, where the authors also ask for the support points again. Normalisation:
inductive.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_real
from labkit.gaussian import bounded
from labkit.learner import Learner
from labkit.networks.mlp import MLP
from labkit.randomness import spawn


class Summary(NamedTuple):
    """θ': the sum of the representations, and of how many examples it is."""

    total: Float[Tensor, "T D"]
    examples: int


class CNP(Learner):
    """Predict from the mean representation of the support.

    Args:
        width: of every hidden layer, and of r.
        smallest: the smallest standard deviation it can predict.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        *,
        width: int = 128,
        smallest: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_real(above=0.0, smallest=smallest)
        self.smallest = smallest
        self.encoder = MLP(
            inputs + outputs, (width,) * 3, width, seed=spawn(seed, "encoder")
        )
        self.decoder = MLP(
            inputs + width, (width,) * 3, 2 * outputs, seed=spawn(seed, "decoder")
        )

    def adapt(
        self,
        support_x: Float[Tensor, "T S X"],
        support_y: Float[Tensor, "T S C"],
        state: Summary | None = None,
    ) -> Summary:
        """Add the new examples to the sum: eq. 2 and 3. One more costs O(1)."""
        total = self.encoder(torch.cat([support_x, support_y], dim=-1)).sum(1)
        examples = support_x.shape[1]
        if state is not None:
            total, examples = total + state.total, examples + state.examples
        return Summary(total, examples)

    def predict(
        self, adapted: Summary, query_x: Float[Tensor, "T Q X"]
    ) -> Float[Tensor, "T Q CC"]:
        """A Gaussian for each query: eq. 4."""
        mean = (adapted.total / adapted.examples).unsqueeze(1)
        inputs = torch.cat([query_x, mean.expand(-1, query_x.shape[1], -1)], dim=-1)
        return bounded(self.decoder(inputs), self.smallest)
