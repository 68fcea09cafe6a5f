"""Characters put together from two others: new classes in the same handwriting.

Scripts do this themselves: a Korean syllable is a block of letters, and many a Chinese
character stands beside another or above it. A few real characters so become many.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from labkit.tasks.characters import CharacterSet
from labkit.tasks.checks import require_counts

OVERLAP = 0.15
"""By how much of the side the two parts reach into each other."""
DARKER = 1.3
"""What squeezing takes from the ink."""


def compounds(
    characters: CharacterSet, n: int, *, generator: torch.Generator
) -> CharacterSet:
    """`n` classes of two characters each, one above the other or side by side.

    A drawing of a compound is made of those drawings of its parts that have the same
    number: in Omniglot they are by one hand, if the parts are of one alphabet.

    Raises:
        ValueError: n is no whole number of at least 1, or there is no character.
    """
    require_counts(n=n)
    if not len(characters):
        raise ValueError("A compound is made of characters, and this set holds none.")
    at = generator.device
    parts = torch.randint(len(characters), (n, 2), generator=generator, device=at)
    share = 0.5 + 0.2 * torch.rand(n, generator=generator, device=at)
    beside = torch.rand(n, generator=generator, device=at) < 0.5
    made = []
    for (first, second), part, turned in zip(
        parts.tolist(), share.tolist(), beside.tolist(), strict=True
    ):
        upper, lower = characters.images[first], characters.images[second]
        if turned:
            made.append(_stacked(upper.mT, lower.mT, part).mT)
        else:
            made.append(_stacked(upper, lower, part))
    return CharacterSet(
        torch.stack(made),
        torch.zeros(n, dtype=torch.int64, device=characters.images.device),
        tuple(f"Compounds/character{i:04}" for i in range(1, n + 1)),
        ("Compounds",),
    )


def _stacked(
    upper: UInt8[Tensor, "drawings H W"],
    lower: UInt8[Tensor, "drawings H W"],
    share: float,
) -> UInt8[Tensor, "drawings H W"]:
    """One above the other; the upper takes `share` of the height."""
    height = upper.shape[-2]
    above = _squeezed(upper, round(share * height))
    below = _squeezed(lower, round((1 + OVERLAP - share) * height))
    page = torch.zeros_like(upper, dtype=torch.float32)
    page[:, : above.shape[1]] = above
    foot = page[:, height - below.shape[1] :]
    torch.maximum(foot, below, out=foot)
    return (DARKER * page).clamp(max=255).to(torch.uint8)


def _squeezed(
    drawings: UInt8[Tensor, "drawings H W"], height: int
) -> Float[Tensor, "drawings height W"]:
    size = (height, drawings.shape[-1])
    pages = drawings.float().unsqueeze(1)
    return F.interpolate(pages, size=size, mode="bilinear", antialias=True).squeeze(1)
