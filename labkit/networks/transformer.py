"""A causal transformer, plain: that of GPT-2 (Radford et al. 2019) at any size.

    x ← tokens + positions;   x ← x + Attention(norm(x));   x ← x + MLP(norm(x));   ...

Attention is that of Vaswani et al. (2017), section 3.2, in which a token reads itself
and those before it; the normalisation comes before each sublayer, and once more at the
end (Radford et al., section 2.3). Tokens come in as vectors and leave as vectors: what
they stand for, and how an answer is read off them, is the learner's business.

What a token needs of those before it are their keys and values, and these never change
again. So they can be kept: `read` takes such a cache and continues the sequence.

Deviation: weights start at 1/√inputs, which at GPT-2's width is near its 0.02, and at
a width of 64 is not; those that write into the sum of the layers are scaled down by
√(2 · layers), as there. No dropout.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.networks.network import Network, Parameters
from labkit.randomness import seeded

KeysAndValues = tuple[Tensor, Tensor]
"""Of one layer, both [T, heads, L, width / heads]."""


class Transformer(Network):
    """Sequences [T, L, width] → [T, L, width]: output l depends on the inputs up to l.

    A cache is one tensor [T, layers, 2, heads, L, width / heads]: the keys and the
    values of the L tokens read so far, in all layers.

    Args:
        context: the longest sequence it can read; there is a learned vector for each
            place.

    Raises:
        ValueError: a width that the heads do not divide, or more tokens than `context`.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        context: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_whole(1, width=width, layers=layers, heads=heads, context=context)
        if width % heads:
            raise ValueError(f"width={width} cannot be divided among heads={heads}.")
        self.width, self.heads, self.context = width, heads, context
        self.features = width
        self.positions = nn.Parameter(torch.empty(context, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.initialise(layers, generator=seeded(seed, "Transformer"))

    def forward(
        self, x: Float[Tensor, "T L width"], parameters: Parameters | None = None
    ) -> Float[Tensor, "T L width"]:
        """The outputs of whole sequences. Parameters given are one set for all."""
        if parameters is not None:
            return self.call_with(parameters, x)
        self.require_room(x.shape[1])
        h, _ = self._through(x + self.positions[: x.shape[1]], None, None)
        return h

    def read(
        self, x: Float[Tensor, "T L width"], cache: Tensor | None = None
    ) -> tuple[Float[Tensor, "T L width"], Tensor]:
        """The outputs of the next L tokens, and the cache that holds these too."""
        past, L = length(cache), x.shape[1]
        self.require_room(past + L)
        places = torch.ones(L, past + L, dtype=torch.bool, device=x.device)
        h, new = self._through(
            x + self.positions[past : past + L], cache, places.tril(past)
        )
        added = torch.stack([torch.stack(pair, 1) for pair in new], 1)
        return h, added if cache is None else torch.cat([cache, added], dim=-2)

    def peek(
        self, x: Float[Tensor, "T Q width"], cache: Tensor | None = None
    ) -> Float[Tensor, "T Q width"]:
        """The outputs of Q tokens that each come next, none of them seeing another."""
        past, Q = length(cache), x.shape[1]
        self.require_room(past + 1)
        itself = torch.eye(Q, dtype=torch.bool, device=x.device)
        before = itself.new_ones(Q, past)
        h, _ = self._through(
            x + self.positions[past], cache, torch.cat([before, itself], dim=1)
        )
        return h

    def _through(
        self,
        h: Float[Tensor, "T L width"],
        cache: Tensor | None,
        sees: Bool[Tensor, "L K"] | None,
    ) -> tuple[Float[Tensor, "T L width"], list[KeysAndValues]]:
        """All layers. Token l reads key k, first the cached and then the new, where
        `sees` says so; without it, the keys up to its own."""
        new = []
        for number, block in enumerate(self.blocks):
            past = None if cache is None else cache[:, number].unbind(1)
            h, kept = block(h, past, sees)
            new.append(kept)
        return self.norm(h), new

    def require_room(self, tokens: int) -> None:
        if tokens > self.context:
            raise ValueError(
                f"The sequence has {tokens} tokens, and this transformer reads at most "
                f"context={self.context}. Shorten the prompt, or train one with a "
                "larger context."
            )

    def initialise(self, layers: int, *, generator: torch.Generator) -> None:
        nn.init.normal_(self.positions, std=0.02, generator=generator)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                into_the_sum = name.endswith(("write", "mlp.2"))
                scale = (2 * layers) ** -0.5 if into_the_sum else 1.0
                set_linear(module, scale, generator=generator)


class Block(nn.Module):
    """Attention to the tokens before, then a small network on each token by itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = unset_linear(width, 3 * width)
        self.write = unset_linear(width, width)
        self.mlp = nn.Sequential(
            unset_linear(width, 4 * width), nn.GELU(), unset_linear(4 * width, width)
        )

    def forward(
        self,
        h: Float[Tensor, "T L width"],
        past: KeysAndValues | None,
        sees: Bool[Tensor, "L K"] | None,
    ) -> tuple[Float[Tensor, "T L width"], KeysAndValues]:
        projected = self.query_key_value(self.norm1(h))
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in projected.chunk(3, dim=-1)
        )
        keys, values = key, value
        if past is not None:
            keys, values = (
                torch.cat(pair, dim=2) for pair in zip(past, (key, value), strict=True)
            )
        heard = F.scaled_dot_product_attention(
            query, keys, values, attn_mask=sees, is_causal=sees is None
        )
        h = h + self.write(heard.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm2(h)), (key, value)


def unset_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without values, so that none come from the global generator."""
    return nn.utils.skip_init(nn.Linear, inputs, outputs)


def set_linear(layer: nn.Linear, scale: float, *, generator: torch.Generator) -> None:
    """Weights from N(0, scale² / inputs), biases zero."""
    std = scale * layer.in_features**-0.5
    nn.init.normal_(layer.weight, std=std, generator=generator)
    nn.init.zeros_(layer.bias)


def length(cache: Tensor | None) -> int:
    """How many tokens a cache holds."""
    return 0 if cache is None else cache.shape[-2]
