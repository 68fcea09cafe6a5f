"""How one drawing of a character differs from the next."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from labkit.tasks.glyphs.pen import Path
from labkit.tasks.glyphs.strokes import Strokes


def draw(strokes: Strokes, generator: torch.Generator) -> Path:
    """One drawing of each character, each by a hand of its own."""
    B, S, W = strokes.visited.shape

    def vary(by: float, *shape: int) -> Tensor:
        return by * torch.randn(shape, generator=generator, device=generator.device)

    # Proportions change, strokes are displaced, waypoints missed, corners cut: by more
    # the larger the character is.
    extent = strokes.lattice.amax(-1) - strokes.lattice.amin(-1)
    large = extent.mean(-1).view(B, 1, 1)
    rounder = vary(0.3, B, 1, 1) + vary(0.15, B, S, W)
    hand = replace(
        strokes,
        lattice=strokes.lattice + large * vary(0.07, *strokes.lattice.shape),
        roundness=(strokes.roundness + rounder).clamp(0, 1),
    )
    missed = large[..., None] * (vary(0.035, B, S, 1, 2) + vary(0.055, B, S, W, 2))
    position = hand.waypoints + missed - 0.5

    # The whole is warped, turned, slanted, scaled, and put somewhere near the middle.
    x, y = position.unbind(-1)
    curvature = torch.stack([x * y, x.square(), y.square()], -1)
    position = position + torch.einsum("bswk,bkd->bswd", curvature, vary(0.23, B, 3, 2))
    turn, slant = vary(0.06, B), vary(0.12, B)
    columns = [turn.cos(), turn.sin(), slant - turn.sin(), turn.cos()]
    linear = torch.stack(columns, -1).view(B, 2, 2)
    linear = linear * (vary(0.12, B, 1, 1) + vary(0.075, B, 1, 2)).exp()
    position = torch.einsum("bswk,bkd->bswd", position, linear)
    path = hand.through(position + 0.485 + vary(0.05, B, 1, 1, 2))

    # And no line is quite straight.
    waver = 0.15 * path.length[..., None]
    return replace(
        path,
        leaving=path.leaving + waver * vary(1.0, *path.leaving.shape),
        arriving=path.arriving + waver * vary(1.0, *path.arriving.shape),
    )
