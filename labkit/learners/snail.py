"""SNAIL (Mishra et al. 2018): θ' is what a causal network keeps of a sequence.

The support is read as a sequence of tokens (x_t, y_t); a query is one token more,
(x*, no label). Two kinds of layers take turns (section 3 and figure 2), each adding
its output to its input as further features:

    temporal convolution   causal, two taps, dilation 1, 2, 4, ...: each layer doubles
                           what can be seen, and log2 of the length reach everything
    attention              causal, one head: any token of the past, by its content

A token sees the past only, so that what was read need not be read again: θ' is what
later taps will ask for, and the keys and values of every token. A query sees no other
query. The answer depends on the order of the support.

Deviations: the last layer gives a Gaussian, bounded as in `cnp`, where the paper has
classes and actions; one block of convolutions between two attentions, narrower than the
paper's, which has two between three for Omniglot; an input of its own says whether a
token has a label. Normalisation: inductive.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_real, require_whole
from labkit.gaussian import bounded
from labkit.learner import Learner
from labkit.networks.mlp import MLP
from labkit.randomness import spawn

Cache = tuple[Tensor, ...]
"""What one layer keeps of the tokens it has read, each [T, tokens, features]."""


class SNAIL(Learner):
    """Predict from causal convolutions and causal attention over the support.

    Args:
        width: how many features a convolution adds; an attention adds twice as many.
        longest: how many tokens the convolutions span.
        smallest: the smallest standard deviation it can predict.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        *,
        width: int = 16,
        longest: int = 50,
        smallest: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_whole(1, inputs=inputs, outputs=outputs, width=width)
        require_whole(2, longest=longest)
        require_real(above=0.0, smallest=smallest)
        self.outputs, self.smallest = outputs, smallest
        block = [2**i for i in range(math.ceil(math.log2(longest)))]
        features = 4 * width
        self.embed = MLP(
            inputs + outputs + 1, (features,), features, seed=spawn(seed, "embed")
        )
        self.layers = nn.ModuleList()
        for dilation in (0, *block, 0):  # 0 stands for an attention
            layer_seed = spawn(seed, f"layer {len(self.layers)}")
            if dilation:
                convolution = Convolution(features, width, dilation, seed=layer_seed)
                self.layers.append(convolution)
                features += width
            else:
                self.layers.append(
                    CausalAttention(features, 2 * width, seed=layer_seed)
                )
                features += 2 * width
        self.to_output = MLP(features, (), 2 * outputs, seed=spawn(seed, "output"))

    def adapt(
        self,
        support_x: Float[Tensor, "T S X"],
        support_y: Float[Tensor, "T S C"],
        state: list[Cache] | None = None,
    ) -> list[Cache]:
        """Read on from the last token. One more costs O(n), in the attentions."""
        labelled = torch.ones_like(support_y[..., :1])
        tokens = torch.cat([support_x, support_y, labelled], dim=-1)
        return self._read(tokens, state, alone=False)[1]

    def predict(
        self, adapted: list[Cache], query_x: Float[Tensor, "T Q X"]
    ) -> Float[Tensor, "T Q CC"]:
        """A Gaussian for each query, as if it were the only token after the support."""
        no_label = query_x.new_zeros(*query_x.shape[:2], self.outputs + 1)
        tokens = torch.cat([query_x, no_label], dim=-1)
        features, _ = self._read(tokens, adapted, alone=True)
        return bounded(self.to_output(features), self.smallest)

    def _read(
        self,
        tokens: Float[Tensor, "T n X"],
        state: list[Cache] | None,
        *,
        alone: bool,
    ) -> tuple[Float[Tensor, "T n F"], list[Cache]]:
        x = self.embed(tokens)
        caches = []
        for i, layer in enumerate(self.layers):
            x, cache = layer(x, None if state is None else state[i], alone)
            caches.append(cache)
        return x, caches


class Convolution(nn.Module):
    """Two taps, now and `dilation` tokens ago, through a gated activation:
    tanh(a) · sigmoid(b), of `width` features, beside the input."""

    def __init__(self, inputs: int, width: int, dilation: int, *, seed: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = MLP(inputs, (), 4 * width, seed=seed)

    def forward(
        self, x: Float[Tensor, "T n D"], cache: Cache | None, alone: bool
    ) -> tuple[Float[Tensor, "T n E"], Cache]:
        """The wider features, and the cache for the tokens to come.

        Args:
            alone: each token is the next one, and not the one after its neighbour.
        """
        now, later = self.taps(x).chunk(2, dim=-1)
        if cache is None:  # before the first token there are zeros
            cache = (torch.zeros_like(later[:, :1]).expand(-1, self.dilation, -1),)
        so_far = torch.cat([*cache, later], dim=1)
        ago = so_far[:, :1] if alone else so_far[:, : x.shape[1]]
        a, b = (now + ago).chunk(2, dim=-1)
        out = torch.cat([x, torch.tanh(a) * torch.sigmoid(b)], dim=-1)
        return out, (so_far[:, -self.dilation :],)


class CausalAttention(nn.Module):
    """One head of attention to the past and to oneself, beside the input."""

    def __init__(self, inputs: int, width: int, *, seed: int) -> None:
        super().__init__()
        self.width = width
        self.project = MLP(inputs, (), 3 * width, seed=seed)

    def forward(
        self, x: Float[Tensor, "T n D"], cache: Cache | None, alone: bool
    ) -> tuple[Float[Tensor, "T n E"], Cache]:
        """The wider features, and the cache for the tokens to come.

        Args:
            alone: a token sees those of the cache and itself, and no neighbour.
        """
        query, keys, values = self.project(x).chunk(3, dim=-1)
        if cache is not None:
            keys, values = (
                torch.cat([old, new], dim=1)
                for old, new in zip(cache, (keys, values), strict=True)
            )
        n, m = x.shape[1], keys.shape[1]
        visible = x.new_ones(n, m).tril(m - n)
        if alone:
            visible[:, m - n :] = torch.eye(n, dtype=x.dtype, device=x.device)
        read = F.scaled_dot_product_attention(
            query, keys, values, attn_mask=visible.bool()
        )
        return torch.cat([x, read], dim=-1), (keys, values)
