"""Two layers of attention and nothing else (Elhage et al. 2021; Reddy 2024).

The prompt is x_1, y_1, …, x_S, y_S, x, a token each, and the answer is read at x:

    h ← tokens + positions;  h ← h + Attention(h);  h ← h + Attention(h);  logits = h A

with one head a layer, no layer normalisation, no bias and no hidden layer. Apart from
the softmax all of it is linear, so that what a token takes from another is written in
the attention weights, and there is nothing else to look at. θ' is the cache: the keys
and values of the 2S tokens of the support, in both layers.

How such a network answers from its context is in `labkit.measures.induction`.

Normalisation: inductive. Deviations: Reddy (2024) reads the answer through three more
layers, and marks positions by one-hot vectors beside the tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from labkit.arguments import require_whole
from labkit.learner import Learner
from labkit.randomness import seeded

KeysAndValues = tuple[Tensor, Tensor]
"""Of one layer, both [T, L, width]."""


class AttentionOnly(Learner):
    """Answer from the weights, from the context, or from both.

    Args:
        inputs: the lengths of the vectors x and y.
        labels: the lengths of the vectors x and y.
        shot: the longest support that it can read.

    Raises:
        ValueError: a longer support.
    """

    def __init__(
        self, inputs: int, labels: int, *, shot: int, width: int = 64, seed: int = 0
    ) -> None:
        super().__init__()
        require_whole(1, inputs=inputs, labels=labels, shot=shot, width=width)
        generator = seeded(seed, "AttentionOnly")

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator) / width**0.5)

        self.embed_x, self.embed_y = drawn(inputs, width), drawn(labels, width)
        self.positions = drawn(2 * shot + 1, width)
        self.first = Head(*(drawn(width, width) for _ in range(3)))
        self.second = Head(*(drawn(width, width) for _ in range(3)))
        self.answer = drawn(width, labels)

    def adapt(
        self, support_x: Float[Tensor, "T S D"], support_y: Float[Tensor, "T S C"]
    ) -> tuple[KeysAndValues, KeysAndValues]:
        h = self.prompt(support_x, support_y)
        first = self.first.remember(h)
        h = h + self.first(h, first, _causal(h))[0]
        return first, self.second.remember(h)

    def predict(
        self,
        adapted: tuple[KeysAndValues, KeysAndValues],
        query_x: Float[Tensor, "T Q D"],
    ) -> Float[Tensor, "T Q C"]:
        first, second = adapted
        h = query_x @ self.embed_x + self.positions[first[0].shape[1]]
        h = h + self.first.peek(h, first)
        h = h + self.second.peek(h, second)
        return h @ self.answer

    def attention(
        self,
        support_x: Float[Tensor, "T S D"],
        support_y: Float[Tensor, "T S C"],
        query_x: Float[Tensor, "T 1 D"],
    ) -> tuple[Float[Tensor, "T 1 C"], Float[Tensor, "T layers L L"]]:
        """The answer of one pass over the whole sequence, and who reads whom in it:
        at [t, l, i, j], how much of token j goes to token i in layer l."""
        query = query_x @ self.embed_x + self.positions[2 * support_x.shape[1]]
        h = torch.cat([self.prompt(support_x, support_y), query], dim=1)
        heard, first = self.first(h, self.first.remember(h), _causal(h))
        h = h + heard
        heard, second = self.second(h, self.second.remember(h), _causal(h))
        h = h + heard
        return h[:, -1:] @ self.answer, torch.stack([first, second], dim=1)

    def prompt(
        self, x: Float[Tensor, "T S D"], y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T L width"]:
        """The tokens x_1, y_1, …, x_S, y_S in their places."""
        room = len(self.positions) // 2
        if x.shape[1] > room:
            raise ValueError(
                f"The support has {x.shape[1]} examples, and this learner has places "
                f"for shot={room}. Show it fewer, or train one with a larger shot."
            )
        pairs = torch.stack([x @ self.embed_x, y @ self.embed_y], dim=2)
        return pairs.flatten(1, 2) + self.positions[: 2 * x.shape[1]]


class Head(nn.Module):
    """softmax(h Q (h K)ᵀ / √width) h V, with square matrices."""

    def __init__(self, query: nn.Parameter, key: nn.Parameter, value: nn.Parameter):
        super().__init__()
        self.query, self.key, self.value = query, key, value

    def forward(
        self,
        h: Float[Tensor, "T L width"],
        memory: KeysAndValues,
        sees: Bool[Tensor, "L L"],
    ) -> tuple[Float[Tensor, "T L width"], Float[Tensor, "T L L"]]:
        """What the tokens hear from each other, and the weights with which they do."""
        keys, values = memory
        logits = self.ask(h) @ keys.mT
        weights = logits.masked_fill(~sees, -torch.inf).softmax(-1)
        return weights @ values, weights

    def peek(
        self, h: Float[Tensor, "T Q width"], memory: KeysAndValues
    ) -> Float[Tensor, "T Q width"]:
        """What tokens hear that come next, each from itself and from those before."""
        keys, values = memory
        asks, (own_key, own_value) = self.ask(h), self.remember(h)
        itself = (asks * own_key).sum(-1, keepdim=True)
        weights = torch.cat([asks @ keys.mT, itself], dim=-1).softmax(-1)
        return weights[..., :-1] @ values + weights[..., -1:] * own_value

    def ask(self, h: Float[Tensor, "T L width"]) -> Float[Tensor, "T L width"]:
        return h @ self.query / h.shape[-1] ** 0.5

    def remember(self, h: Float[Tensor, "T L width"]) -> KeysAndValues:
        return h @ self.key, h @ self.value


def _causal(h: Float[Tensor, "T L width"]) -> Bool[Tensor, "L L"]:
    L = h.shape[1]
    return torch.ones(L, L, dtype=torch.bool, device=h.device).tril()
