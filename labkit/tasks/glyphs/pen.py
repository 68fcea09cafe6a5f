"""From the path of a pen to ink on paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

PEN_WIDTH = 0.046
"""The width of Omniglot's lines, 4.8 of 105 pixels."""


@dataclass(frozen=True)
class Path:
    """What the pen does: cubic Hermite segments, those of no length being no ink.

    Attributes:
        start: where a segment begins and ends.
        end: where a segment begins and ends.
        leaving: the tangents there, a straight line having its chord for both.
        arriving: the tangents there, a straight line having its chord for both.
        length: of the chord, by which ink is shared out.
    """

    start: Float[Tensor, "B segments 2"]
    end: Float[Tensor, "B segments 2"]
    leaving: Float[Tensor, "B segments 2"]
    arriving: Float[Tensor, "B segments 2"]
    length: Float[Tensor, "B segments"]

    def points(self, n: int) -> Float[Tensor, "B n 2"]:
        """n points spread evenly over the length of the ink."""
        until = self.length.cumsum(-1)
        at = torch.linspace(0, 1, n, device=until.device) * until[:, -1:]
        segment = torch.searchsorted(until, at).clamp(max=until.shape[-1] - 1)
        remaining = (until.gather(1, segment) - at) / self.length.gather(1, segment)
        t = (1 - remaining.nan_to_num(0)).clamp(0, 1)[..., None]
        start, end, leaving, arriving = (
            vector.gather(1, segment[..., None].expand(-1, -1, 2))
            for vector in (self.start, self.end, self.leaving, self.arriving)
        )
        return (
            (2 * t**3 - 3 * t**2 + 1) * start
            + (t**3 - 2 * t**2 + t) * leaving
            + (3 * t**2 - 2 * t**3) * end
            + (t**3 - t**2) * arriving
        )


def ink(path: Path, size: int, width: float) -> UInt8[Tensor, "B size size"]:
    """The path drawn with a round pen of that width; 255 where a pixel is covered.

    Points of the path stamp the few pixels that they reach, and each pixel keeps its
    darkest stamp: the work is that of the ink and not of the paper, and the result
    does not depend on the order of the stamps.
    """
    # A path is rarely longer than 4 boxes, so the points are under a pixel apart.
    points = path.points(6 * size) * size
    radius = width * size / 2
    reach = radius + 0.5
    taps = torch.arange(math.floor(2 * reach) + 1, device=points.device)
    pixels = (points - reach - 0.5).ceil()[..., None] + taps
    x, y = (pixels + 0.5 - points[..., None]).square().unbind(2)
    distance = (y[..., None] + x[:, :, None]).sqrt()
    covered = (reach - distance).clamp(0, min(1.0, 2 * radius))
    stamps = (255 * covered).round().to(torch.uint8)
    # What falls off the paper falls on a margin of one pixel.
    side = size + 2
    column, row = (pixels.long().clamp(-1, size) + 1).unbind(2)
    place = row[..., None] * side + column[:, :, None]
    page = torch.zeros(
        (len(points), side * side), dtype=torch.uint8, device=points.device
    )
    page.scatter_reduce_(1, place.flatten(1), stamps.flatten(1), "amax")
    return page.view(-1, side, side)[:, 1:-1, 1:-1]
