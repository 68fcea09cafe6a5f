"""An endless set of invented handwritten characters, drawn by a small motor program.

After Lake et al. (2015): a character is a sequence of strokes that join one another,
and a drawing is one execution of that program by a hand that varies. An alphabet is a
style: an irregular lattice of nodes and a taste for curves. Strokes run from node to
node, so that joins, parallels, right angles and closed boxes arise by themselves, as
they do in real scripts.

    alphabet style -> strokes of a character -> variation of a drawer -> ink

Lengths are in units of the box a character is drawn in: x to the right, y downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from labkit.tasks.characters import CharacterSet

STROKES = 4
WAYPOINTS = 6
NODES = 4
CANDIDATES = 3
PEN_WIDTH = 0.031
PEN_VARIATION = 0.1
LONGEST_PATH = 4.2
IMAGES_AT_ONCE = 1024


def draw_alphabets(
    n_alphabets: int,
    characters: int,
    drawings: int,
    *,
    size: int = 28,
    generator: torch.Generator,
) -> CharacterSet:
    """Invent alphabets, and let `drawings` hands draw each of their characters.

    The same generator state gives the same characters at every `size` (pixels a side).

    Raises:
        ValueError: a count is below 1, or the size is below 8 pixels.
    """
    for name, value, least in (
        ("n_alphabets", n_alphabets, 1),
        ("characters", characters, 1),
        ("drawings", drawings, 1),
        ("size", size, 8),
    ):
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}.")
    strokes = _invent(n_alphabets, characters, generator)
    n_classes = n_alphabets * characters
    images = torch.empty(
        n_classes, drawings, size, size, dtype=torch.uint8, device=generator.device
    )
    for rows in torch.arange(n_classes * drawings).split(IMAGES_AT_ONCE):
        rows = rows.to(generator.device)
        path, width = _draw(strokes[rows // drawings], generator)
        images.view(-1, size, size)[rows] = _ink(path, width, size)
    return CharacterSet(
        images,
        torch.arange(n_alphabets, device=generator.device).repeat_interleave(
            characters
        ),
        tuple(
            f"invented{a:03}/character{c:02}"
            for a in range(n_alphabets)
            for c in range(characters)
        ),
        tuple(f"invented{a:03}" for a in range(n_alphabets)),
    )


@dataclass(frozen=True)
class Strokes:
    """The motor programs of B characters."""

    waypoints: Float[Tensor, "B S W 2"]
    visited: Bool[Tensor, "B S W"]
    roundness: Float[Tensor, "B S W"]
    bulge: Float[Tensor, "B S W"]

    def __getitem__(self, rows: Tensor) -> Strokes:
        return Strokes(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Path:
    """Cubic Hermite segments (ends, tangents) and their lengths; no pen, no length."""

    start: Float[Tensor, "B segments 2"]
    end: Float[Tensor, "B segments 2"]
    leave: Float[Tensor, "B segments 2"]
    arrive: Float[Tensor, "B segments 2"]
    length: Float[Tensor, "B segments"]

    def points(self, n: int) -> Float[Tensor, "B n 2"]:
        """n points spread evenly over the length of the ink."""
        until = self.length.cumsum(-1)
        at = torch.linspace(0, 1, n, device=until.device)[None] * until[:, -1:]
        segment = torch.searchsorted(until, at).clamp(max=until.shape[-1] - 1)
        length = self.length.gather(1, segment)
        t = 1 - (until.gather(1, segment) - at) / length.clamp(min=1e-6)
        t = t.clamp(0, 1)[..., None]
        rows = segment[..., None].expand(-1, -1, 2)
        start, end, leave, arrive = (
            corner.gather(1, rows)
            for corner in (self.start, self.end, self.leave, self.arrive)
        )
        return (
            (2 * t**3 - 3 * t**2 + 1) * start
            + (t**3 - 2 * t**2 + t) * leave
            + (3 * t**2 - 2 * t**3) * end
            + (t**3 - t**2) * arrive
        )


def _invent(n_alphabets: int, characters: int, generator: torch.Generator) -> Strokes:
    """The characters of every alphabet, [n_alphabets * characters, ...]."""
    device = generator.device
    A, C = n_alphabets, characters * CANDIDATES
    B = A * C

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def below(limit: Tensor) -> Tensor:
        return (uniform(*limit.shape) * limit).long().clamp(max=limit.max() - 1)

    def per_character(style: Tensor) -> Tensor:
        return style.repeat_interleave(C, 0)

    # style
    gaps = 0.5 + uniform(A, 2, NODES)
    n_nodes = 2 + (uniform(A, 2) * 3).long()
    position = gaps.cumsum(-1) - gaps[..., :1]
    last = position.gather(-1, n_nodes[..., None] - 1)
    extent = 0.45 + 0.3 * uniform(A, 2, 1)
    lattice = per_character((position / last - 0.5) * extent + 0.5)
    n_nodes = per_character(n_nodes)
    mean_strokes = per_character(1.3 + 1.7 * uniform(A))
    mean_waypoints = per_character(2.2 + 2.3 * uniform(A))
    curved = per_character(uniform(A))
    bulging = per_character(0.5 * uniform(A) ** 2)
    straying = per_character(0.6 * uniform(A))

    n_strokes = (mean_strokes + 2.2 * (uniform(B) - 0.5)).round().clamp(1, STROKES)
    counts = (
        (mean_waypoints[:, None] + 3 * (uniform(B, STROKES) - 0.5))
        .round()
        .clamp(2, WAYPOINTS)
    )
    drawn = torch.arange(STROKES, device=device) < n_strokes[:, None]
    visited = (torch.arange(WAYPOINTS, device=device) < counts[..., None]) & drawn[
        ..., None
    ]
    # walk on the lattice
    nodes = torch.zeros(B, STROKES, WAYPOINTS, 2, dtype=torch.long, device=device)
    everyone = torch.arange(B, device=device)
    for s in range(STROKES):
        here = (uniform(B, 2) * n_nodes).long()
        if s:
            which = (uniform(B) * n_strokes.clamp(max=s)).long()
            step = (uniform(B) * counts[everyone, which]).long()
            joined = uniform(B, 1) < 0.6
            here = torch.where(joined, nodes[everyone, which, step], here)
        nodes[:, s, 0] = here
        for w in range(1, WAYPOINTS):
            step = 1 + (uniform(B, 2) * (n_nodes - 1)).long()
            free = (uniform(B) < straying)[:, None]
            axis = (uniform(B) * 2).long()[:, None]
            keep = torch.arange(2, device=device) == axis
            here = torch.where(free | ~keep, (here + step) % n_nodes, here)
            nodes[:, s, w] = here
    waypoints = torch.stack(
        [
            lattice[:, axis]
            .gather(1, nodes[..., axis].flatten(1))
            .view(nodes.shape[:3])
            for axis in range(2)
        ],
        -1,
    )
    shape = (B, STROKES, WAYPOINTS)
    smooth = (uniform(B, STROKES, 1) < curved[:, None, None]).float()
    roundness = smooth * (0.3 + 0.7 * uniform(*shape))
    bends = uniform(*shape) < bulging[:, None, None]
    bulge = bends * (0.6 + 1.2 * uniform(*shape)) * (uniform(*shape) - 0.5).sign()
    strokes = Strokes(waypoints, visited, roundness, bulge)
    # keep the best-formed candidates, the valid ones in the order they came
    path = _path(strokes)
    length = path.length.sum(-1)
    points = path.points(64)
    span = points.amax(1) - points.amin(1)
    wellformed = (
        (length < LONGEST_PATH * 0.75)
        & (length > 0.6)
        & (span.amax(-1) > 0.3)
        & (span.amin(-1) > 0.25 * span.amax(-1))
    )
    order = torch.argsort((~wellformed).view(A, C).long(), dim=1, stable=True)
    chosen = order[:, :characters] + torch.arange(A, device=device)[:, None] * C
    return strokes[chosen.flatten()]


def _path(strokes: Strokes) -> Path:
    """The segments of the pen: straight where roundness and bulge are 0."""
    p = strokes.waypoints
    chord = p[:, :, 1:] - p[:, :, :-1]
    span = chord.norm(dim=-1, keepdim=True)
    through = chord[:, :, 1:] + chord[:, :, :-1]
    through = through / through.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    # the last visited waypoint has no tangent of its own
    inner = strokes.visited[:, :, 2:, None] * strokes.roundness[:, :, 1:-1, None]
    leave, arrive = chord.clone(), chord.clone()
    leave[:, :, 1:] += inner * (through * span[:, :, 1:] * 1.2 - chord[:, :, 1:])
    arrive[:, :, :-1] += inner * (through * span[:, :, :-1] * 1.2 - chord[:, :, :-1])
    across = torch.stack([-chord[..., 1], chord[..., 0]], -1)
    bulge = strokes.bulge[:, :, 1:, None] * across
    length = span[..., 0] * strokes.visited[:, :, 1:]
    return Path(
        p[:, :, :-1].flatten(1, 2),
        p[:, :, 1:].flatten(1, 2),
        (leave + bulge).flatten(1, 2),
        (arrive - bulge).flatten(1, 2),
        length.flatten(1),
    )


def _draw(
    strokes: Strokes, generator: torch.Generator
) -> tuple[Path, Float[Tensor, " B"]]:
    """One drawing of each program: waypoints miss, and a warp moves the whole."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)

    B, S, W, _ = strokes.waypoints.shape
    p = strokes.waypoints + 0.022 * normal(B, S, W, 2) + 0.02 * normal(B, S, 1, 2)
    # one coherent warp: quadratic, then affine, about the middle of the box
    q = 2 * p - 1
    quadratic = torch.stack([q[..., 0] * q[..., 1], q[..., 0] ** 2, q[..., 1] ** 2], -1)
    q = q + torch.einsum("bswk,bkd->bswd", quadratic, 0.06 * normal(B, 3, 2))
    scale = (0.14 * normal(B, 1, 1)).exp() * (0.11 * normal(B, 1, 2)).exp()
    slant = 0.12 * normal(B)
    turn = 0.07 * normal(B)
    affine = torch.stack(
        [
            torch.stack([turn.cos(), turn.sin()], -1),
            torch.stack([slant - turn.sin(), turn.cos()], -1),
        ],
        1,
    )
    q = torch.einsum("bswk,bkd->bswd", q, affine * scale)
    p = (q + 1) / 2 + 0.04 * normal(B, 1, 1, 2)
    hand = Strokes(
        p,
        strokes.visited,
        (strokes.roundness + 0.2 * normal(B, 1, 1) + 0.15 * normal(B, S, W)).clamp(
            0, 1
        ),
        strokes.bulge * (1 + 0.3 * normal(B, S, W)) + 0.12 * normal(B, S, W),
    )
    width = PEN_WIDTH * (
        1
        + PEN_VARIATION
        * (2 * torch.rand(B, generator=generator, device=generator.device) - 1)
    )
    return _path(hand), width


def _ink(
    path: Path, width: Float[Tensor, " B"], size: int
) -> UInt8[Tensor, "B size size"]:
    """Every pixel takes the ink of the nearest point of the path.

    Points stamp the pixels they can reach, and a pixel keeps the darkest stamp, so
    that the work is that of the ink, not of the paper, and no order of writing matters.
    """
    n = math.ceil(1.35 * LONGEST_PATH * size)
    points = path.points(n) * size
    B = points.shape[0]
    half = width[:, None] * size / 2
    reach = PEN_WIDTH * (1 + PEN_VARIATION) * size / 2 + 0.5
    taps = math.floor(2 * reach) + 1
    corner = (points - reach - 0.5).ceil()
    offset = torch.arange(taps, device=points.device)
    x = corner[..., 0, None] + offset
    y = corner[..., 1, None] + offset
    dx = (x + 0.5 - points[..., 0, None]).square()
    dy = (y + 0.5 - points[..., 1, None]).square()
    distance = (dx[:, :, None] + dy[:, :, :, None]).sqrt()
    covered = (half[..., None, None] + 0.5 - distance).clamp(min=0)
    covered = covered.minimum((2 * half).clamp(max=1)[..., None, None])
    ink = (covered * 255).round().to(torch.uint8)
    # pixels off the paper fall on a margin of one pixel, cut off at the end
    x = x.long().clamp(-1, size) + 1
    y = y.long().clamp(-1, size) + 1
    pixel = y[:, :, :, None] * (size + 2) + x[:, :, None]
    page = torch.zeros(B, (size + 2) ** 2, dtype=torch.uint8, device=points.device)
    page.scatter_reduce_(1, pixel.flatten(1), ink.flatten(1), "amax")
    return page.view(B, size + 2, size + 2)[:, 1:-1, 1:-1]
