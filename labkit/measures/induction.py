"""The induction head (Olsson et al. 2022): written down, and looked for in a network.

It needs two layers of attention, as those of `labkit.learners.attention_only`. In the
first a label looks at the token before it and notes which item that was; in the second
the query looks for the labels that noted an item like itself, and says what they say.
`induction_weights` do exactly that. The two scores say how far other weights do.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from labkit.episode import Episode


def matches(episode: Episode) -> Bool[Tensor, "T S"]:
    """Which items of the support have the label of the (one) query."""
    return (episode.support_y * episode.query_y).sum(-1) > 0


def previous_token_score(maps: Float[Tensor, "T layers L L"]) -> Float[Tensor, " T"]:
    """How much of a label's attention in the first layer is on its own item, the token
    before it: the mean over the labels of the support. From 0 to 1."""
    return maps[:, 0].diagonal(-1, dim1=-2, dim2=-1)[:, 0::2].mean(-1)


def induction_score(
    maps: Float[Tensor, "T layers L L"], matches: Bool[Tensor, "T S"]
) -> Float[Tensor, " T"]:
    """How much more of the query's attention in the second layer is on the labels of
    the m items that match it than on as many of the other S − m labels, in the mean:

        Σ_matching a_i − m / (S − m) · Σ_other a_i.

    It is 1 if all attention is on the right labels, and 0 if it is elsewhere or the
    same on all labels. Some items must match, and some not.
    """
    labels = maps[:, 1, -1, 1::2]
    matching = (labels * matches).sum(-1)
    m, S = matches.sum(-1), matches.shape[-1]
    return matching - m / (S - m) * (labels.sum(-1) - matching)


def induction_weights(
    inputs: int, labels: int, *, shot: int, sharpness: float = 1e3
) -> dict[str, Tensor]:
    """Weights of an induction head, for `AttentionOnly` of width 2 D + C + 2 shot + 1.

    A token has four parts: its item, its label, the item before it, its place. Layer 1
    looks one place back and copies the item there to "the item before"; layer 2 looks
    where "the item before" is like the item here, and copies the label, which is the
    answer. The sharpness is that of the softmax.
    """
    places = 2 * shot + 1
    sizes = (inputs, labels, inputs, places)
    width = sum(sizes)
    item, label, before, place = torch.eye(width, dtype=torch.float64).split(sizes)
    back = torch.eye(places, dtype=torch.float64).roll(-1, dims=1)
    back[0] = 0  # nothing comes before the first
    scale = sharpness * width**0.5
    return {
        "embed_x": item,
        "embed_y": label,
        "positions": place,
        "first.query": scale * place.T @ back @ place,
        "first.key": place.T @ place,
        "first.value": item.T @ before,
        "second.query": scale * item.T @ item,
        # less its item: the first token can look at itself alone, and would match
        "second.key": (before - item).T @ item,
        "second.value": label.T @ label,
        "answer": label.T,
    }
