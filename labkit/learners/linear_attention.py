"""One layer of linear self-attention (von Oswald et al. 2023): θ' is a small matrix.

The tokens are e_i = (x_i, y_i), and a query's is (x, 0). Attention without its softmax
adds to a token (their equation 3, one head)

    P Σ_i W_V e_i (W_K e_i)ᵀ W_Q e,

and the y-entries of what is added to the query's token are the prediction. The sum does
not depend on the query: it is θ', one matrix, and adding an example adds a term to it.

`gradient_descent_weights` are weights for which that prediction is the one of linear
regression after one step of gradient descent from w = 0 (their proposition 1).

Normalisation: inductive. Deviations: queries do not attend to themselves; signs are
chosen so that the prediction needs no minus.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.learner import Learner
from labkit.randomness import seeded


class LinearAttention(Learner):
    """Predict y from x and the examples before it in one matrix product after another.

    Args:
        inputs: the lengths of the vectors x and y.
        outputs: the lengths of the vectors x and y.
    """

    def __init__(self, inputs: int, outputs: int = 1, *, seed: int = 0) -> None:
        super().__init__()
        require_whole(1, inputs=inputs, outputs=outputs)
        self.outputs = outputs
        size, generator = inputs + outputs, seeded(seed, "LinearAttention")
        self.key, self.query, self.value, self.project = (
            nn.Parameter(torch.randn(size, size, generator=generator) / 4 / size**0.5)
            for _ in range(4)
        )

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T D D"]:
        """Σ_i W_V e_i (W_K e_i)ᵀ."""
        tokens = torch.cat([support_x, support_y], dim=-1)
        return (tokens @ self.value.mT).mT @ (tokens @ self.key.mT)

    def predict(
        self, adapted: Float[Tensor, "T D D"], query_x: Float[Tensor, "T Q d"]
    ) -> Float[Tensor, "T Q C"]:
        tokens = F.pad(query_x, (0, self.outputs))
        added = tokens @ self.query.mT @ adapted.mT @ self.project.mT
        return added[..., -self.outputs :]


def gradient_descent_weights(
    inputs: int, outputs: int = 1, *, rate: float, examples: int
) -> dict[str, Tensor]:
    """Weights with which `LinearAttention` takes one step of gradient descent.

    From W = 0, a step of size η on 1/(2N) Σ_i ‖W x_i − y_i‖² leads to

        W' = η/N Σ_i y_i x_iᵀ,      so that W' x = η/N Σ_i y_i (x_i · x).

    Keys and queries keep the x of a token, values keep its y, and P is η/N.
    """
    keep_x = torch.ones(inputs + outputs, dtype=torch.float64)
    keep_x[inputs:] = 0
    keep_y = 1 - keep_x
    return {
        "key": keep_x.diag(),
        "query": keep_x.diag(),
        "value": keep_y.diag(),
        "project": rate / examples * keep_y.diag(),
    }
