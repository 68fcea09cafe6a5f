"""A transformer that reads examples as sequences of tokens (Brown et al. 2020): θ' is
its cache, and an answer is written token by token.

The support is a prompt of x and y in turn, each a fixed number of tokens,

    x_1¹ … x_1ʷ y_1¹ … y_1ᵖ   x_2¹ … x_2ʷ y_2¹ … y_2ᵖ   …   x¹ … xʷ

and the output at each token is a distribution of the next. An answer takes the most
likely token p times, and reads each before the next (greedy decoding). No weight
changes: few-shot learning "without any gradient updates" is section 2 there.

Loss, to be given to `meta_train` as its objective: `prefix_loss` of `in_context`, with
`token_cross_entropy`: the mean over tasks, over all S + Q examples, each after those
before it, and over the p tokens of its y. Tokens of an x are not predicted.
Normalisation: inductive. Deviations: where a token stands is said by two more vectors
than the network's own, for the number of its example and the place in it; the matrix
that embeds tokens also scores them (Press and Wolf 2017).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.device import generator as seeded
from labkit.learners.learner import Learner
from labkit.networks.transformer import Transformer, length


class InContextTokens(Learner):
    """Write the y of a query's x, given examples of both.

    tokens: how many different ones there are, V.
    words, places: how many tokens an x and a y have.

    Raises:
        ValueError: a prompt longer than the network's context.
    """

    def __init__(
        self,
        network: Transformer,
        *,
        tokens: int,
        words: int,
        places: int,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.words, self.places = network, words, places
        self.length = words + places - 1  # the last token of a y is not read
        examples = -(-network.context // self.length)
        self.embedding = nn.Parameter(torch.empty(tokens, network.width))
        self.within = nn.Parameter(torch.empty(self.length, network.width))
        self.number = nn.Parameter(torch.empty(examples, network.width))
        generator = seeded(seed)
        for vectors in (self.embedding, self.within, self.number):
            nn.init.normal_(vectors, std=network.width**-0.5, generator=generator)

    def adapt(
        self,
        support_x: Int64[Tensor, "T S words"],
        support_y: Int64[Tensor, "T S places"],
        state: Tensor | None = None,
    ) -> Tensor:
        """The cache of the prompt, or, with `state`, that cache and these examples."""
        read = length(state) // self.length
        return self.network.read(self.prompt(support_x, support_y, read), state)[1]

    def predict(
        self, adapted: Tensor, query_x: Int64[Tensor, "T Q words"]
    ) -> Int64[Tensor, "T Q places"]:
        """The tokens of each query's y. Each query goes on from a copy of the cache."""
        T, Q, _ = query_x.shape
        read = length(adapted) // self.length
        cache = adapted.repeat_interleave(Q, dim=0)
        said, at = query_x.flatten(0, 1).unsqueeze(1), 0
        written: list[Tensor] = []
        while len(written) < self.places:
            h, cache = self.network.read(self.embed(said, at, read), cache)
            written.append(self.logits(h[:, -1]).argmax(-1))
            at += said.shape[-1]
            said = written[-1].view(T * Q, 1, 1)
        return torch.stack(written, dim=-1).view(T, Q, self.places)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """`stream`, for those who call it with other weights than the learner's own."""
        return self.stream(x, y)

    def stream(
        self, x: Int64[Tensor, "T S words"], y: Int64[Tensor, "T S places"]
    ) -> Float[Tensor, "T S places V"]:
        """The logits of all tokens of y_1, …, y_S in one pass: each from the examples
        before it, and from its own x and the true tokens of its own y before it."""
        per_example = self.network(self.prompt(x, y)).unflatten(1, (-1, self.length))
        return self.logits(per_example[:, :, self.words - 1 :])

    def prompt(
        self,
        x: Int64[Tensor, "T S words"],
        y: Int64[Tensor, "T S places"],
        read: int = 0,
    ) -> Float[Tensor, "T L width"]:
        """The tokens of x_1, y_1, …, x_S, y_S, after so many examples already read."""
        return self.embed(torch.cat([x, y[..., :-1]], dim=-1), 0, read)

    def embed(
        self, tokens: Int64[Tensor, "T S n"], at: int, read: int
    ) -> Float[Tensor, "T L width"]:
        """Vectors of tokens that stand at `at` and after in S examples, which come
        after so many already read."""
        _, S, n = tokens.shape
        self.network.require_room((read + S - 1) * self.length + at + n)
        where = self.number[read : read + S, None] + self.within[at : at + n]
        h = F.embedding(tokens, self.embedding) + where
        return h.flatten(1, 2) * self.network.width**0.5

    def logits(self, h: Float[Tensor, "... width"]) -> Float[Tensor, "... V"]:
        return h @ self.embedding.T


def token_cross_entropy(
    logits: Float[Tensor, "T S places V"], target: Int64[Tensor, "T S places"]
) -> Float[Tensor, " T"]:
    """Mean over examples and places of −log softmax(logits) at the true token."""
    losses = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none")
    return losses.view_as(target).mean(dim=(1, 2))
