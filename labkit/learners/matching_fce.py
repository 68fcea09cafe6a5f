"""Matching Networks with fully conditional embeddings (Vinyals et al. 2016, App. A).

The support embeddings g see each other, through a bidirectional LSTM over the support
in the order in which it is given (App. A.2):

    g(x_i, S) = →h_i + ←h_i + g'(x_i)

The query embedding f sees the support, through an LSTM that looks at it K times
(App. A.1, eq. 3–6), starting from h_0 = c_0 = 0 and ending with f(x̂, S) = h_K:

    r_{k−1} = Σ_i softmax_i(h_{k−1} · g(x_i)) g(x_i)                   (eq. 5, 6)
    ĥ_k, c_k = LSTM(f'(x̂), [h_{k−1}, r_{k−1}], c_{k−1})                (eq. 3)
    h_k = ĥ_k + f'(x̂)                                                  (eq. 4)

Classification, loss and normalisation are those of `matching`. The result depends on
the order of the support. The paper does not print K; here it is 5 by default.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit.arguments import require_whole
from labkit.learners.distances import Distance
from labkit.learners.matching import LabelledSupport, MatchingNet
from labkit.networks.network import Network
from labkit.randomness import seeded


class MatchingNetFCE(MatchingNet):
    """Matching with embeddings that depend on the whole support set.

    Args:
        K: the number of looks of a query at the support; 0 leaves f' as it is.
        seed: of the initial weights of both LSTMs.
    """

    def __init__(
        self,
        network: Network,
        distance: Distance = "cosine",
        *,
        K: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(network, distance)
        require_whole(0, K=K)
        self.K = K
        D = network.features
        with torch.device("meta"):  # no draw from the global generator
            self.over_support = nn.LSTM(D, D, batch_first=True, bidirectional=True)
            # [h, r] is the hidden state of eq. 3. A cell whose input is [f', r] and
            # whose hidden state is h computes the same sums: W_f f' + W_r r + W_h h.
            self.over_looks = nn.LSTMCell(2 * D, D)
        generator = seeded(seed, "MatchingNetFCE")
        for lstm in (self.over_support, self.over_looks):
            lstm.to_empty(device="cpu")
            for parameter in lstm.parameters():
                nn.init.uniform_(parameter, -(D**-0.5), D**-0.5, generator=generator)

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Any:
        alone = self.network(support_x)
        forward, backward = self.over_support(alone)[0].chunk(2, dim=-1)
        return LabelledSupport(forward + backward + alone, support_y)

    def log_attention(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q S"]:
        queries = self.look(self.network(query_x), adapted.embeddings)
        return self.similarity(queries, adapted.embeddings).log_softmax(-1)

    def look(
        self, alone: Float[Tensor, "T Q D"], support: Float[Tensor, "T S D"]
    ) -> Float[Tensor, "T Q D"]:
        """attLSTM: f'(x̂) and g(S) → f(x̂, S). Eq. 3–6."""
        if self.K == 0:
            return alone
        h, c = torch.zeros_like(alone), torch.zeros_like(alone)
        for _ in range(self.K):
            read = (h @ support.mT).softmax(-1) @ support
            inputs = torch.cat([alone, read], dim=-1)
            cell = self.over_looks(
                inputs.flatten(0, 1), (h.flatten(0, 1), c.flatten(0, 1))
            )
            h, c = (state.view_as(alone) for state in cell)
            h = h + alone
        return h
