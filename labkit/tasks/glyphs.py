"""An endless set of invented handwritten characters, drawn by a small motor program.

After Lake et al. (2015): a character is a sequence of strokes that join one another,
and a drawing is one execution of that program by a hand that varies. An alphabet is a
style: an irregular lattice of nodes and a taste for curves. Strokes run from node to
node, so that joins, parallels, right angles and closed boxes arise by themselves, as
they do in real scripts.

    style of an alphabet -> strokes of a character -> variation of a drawer -> ink

Lengths are in units of the box a character is drawn in: x to the right, y downwards.
Sizes and variations are set to those of Omniglot's Balinese, Early Aramaic, Greek,
Korean and Latin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from labkit.tasks.characters import CharacterSet

NODES = 4
"""The most columns, and the most rows, of a lattice."""
STROKES = 4
WAYPOINTS = 7
PEN_WIDTH = 0.046
BROAD_PEN = 0.1
CANDIDATES = 4
"""How many characters are invented for each one that is kept."""
AT_ONCE = 2048
"""Characters invented, or images drawn, in one go: what bounds the memory in use."""


def draw_alphabets(
    n_alphabets: int,
    characters: int,
    drawings: int,
    *,
    size: int = 28,
    generator: torch.Generator,
) -> CharacterSet:
    """Invent alphabets, and let `drawings` hands draw each of their characters.

    The same generator state gives the same characters at every `size` (pixels a side),
    on the generator's device.

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
            raise ValueError(
                f"draw_alphabets was asked for {name}={value}: "
                f"it must be a whole number of at least {least}."
            )
    device = generator.device
    n_classes = n_alphabets * characters
    images = torch.empty(
        n_classes * drawings, size, size, dtype=torch.uint8, device=device
    )
    strokes = Strokes.concatenate(
        [
            invent(len(alphabets), characters, generator)
            for alphabets in torch.arange(n_alphabets).split(
                math.ceil(AT_ONCE / (characters * CANDIDATES))
            )
        ]
    )
    for some in torch.arange(len(images), device=device).split(AT_ONCE):
        path = draw(strokes[some // drawings], generator)
        images[some] = ink(path, size, PEN_WIDTH)
    names = tuple(f"invented{alphabet:03}" for alphabet in range(n_alphabets))
    return CharacterSet(
        images.view(n_classes, drawings, size, size),
        torch.arange(n_alphabets, device=device).repeat_interleave(characters),
        tuple(f"{name}/character{c:02}" for name in names for c in range(characters)),
        names,
    )


@dataclass(frozen=True)
class Strokes:
    """Motor programs of B characters: S strokes that visit W waypoints each.

    lattice: where the columns (0) and the rows (1) of nodes lie.
    nodes: the column and row of every waypoint.
    visited: false for the waypoints after the last of a stroke.
    roundness: 0 turns a sharp corner at a waypoint, 1 a curve as of a circle.
    bulge: how far the segment after a waypoint bends sideways, ±2 about a half circle.
    """

    lattice: Float[Tensor, "B 2 nodes"]
    nodes: Int64[Tensor, "B S W 2"]
    visited: Bool[Tensor, "B S W"]
    roundness: Float[Tensor, "B S W"]
    bulge: Float[Tensor, "B S W"]

    def __getitem__(self, rows: Tensor) -> Strokes:
        return Strokes(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list[Strokes]) -> Strokes:
        columns = ([getattr(p, f.name) for p in parts] for f in fields(Strokes))
        return Strokes(*map(torch.cat, columns))

    @property
    def waypoints(self) -> Float[Tensor, "B S W 2"]:
        axes = (
            self.lattice[:, axis].gather(1, self.nodes[..., axis].flatten(1))
            for axis in (0, 1)
        )
        return torch.stack([axis.view(self.visited.shape) for axis in axes], -1)


@dataclass(frozen=True)
class Path:
    """What the pen does: cubic Hermite segments, those of no length being no ink."""

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


def invent(n_alphabets: int, characters: int, generator: torch.Generator) -> Strokes:
    """The characters of every alphabet in turn: the best of a surplus of candidates.

    Kept are those that are legible, and then those unlike the ones before them; the
    others only when there are not enough.
    """
    C = characters * CANDIDATES
    candidates = walk(n_alphabets, C, generator)
    path = pen_path(candidates, candidates.waypoints)
    outline = path.points(64)
    low, high = outline.amin(1), outline.amax(1)
    extent = high - low
    middle = candidates.lattice - (low + high)[..., None] / 2 + 0.5
    candidates = Strokes(
        middle,
        candidates.nodes,
        candidates.visited,
        candidates.roundness,
        candidates.bulge,
    )
    page = ink(pen_path(candidates, candidates.waypoints), 16, BROAD_PEN)
    page = page.flatten(1).float() / 255
    length = path.length.sum(-1)
    # strokes that run into one another leave less ink than their length
    clear = page.mean(-1) > 0.72 * length * BROAD_PEN
    legible = (
        clear
        & (length > 0.5)
        & (length < 3)
        & (extent.amax(-1) > 0.3)
        & (extent.amax(-1) < 0.95)
        & (extent.amin(-1) > 0.2 * extent.amax(-1))
    )
    page = torch.nn.functional.normalize(page, dim=-1).view(n_alphabets, C, -1)
    legible = legible.view(n_alphabets, C)
    alike = (page @ page.mT > 0.85) & legible[:, None]
    repeated = alike.tril(-1).any(-1)
    rank = torch.where(legible, repeated.long(), 2)
    kept = torch.argsort(rank, dim=1, stable=True)[:, :characters]
    first = torch.arange(n_alphabets, device=generator.device)[:, None] * C
    return candidates[(first + kept).flatten()]


def walk(n_alphabets: int, characters: int, generator: torch.Generator) -> Strokes:
    """Styles of alphabets, and characters as walks on their lattices."""
    A, B, S, W = n_alphabets, n_alphabets * characters, STROKES, WAYPOINTS
    device = generator.device

    def uniform(*shape: int, low: float = 0, high: float = 1) -> Tensor:
        return low + (high - low) * torch.rand(
            shape, generator=generator, device=device
        )

    def of_characters(style: Tensor) -> Tensor:
        return style.repeat_interleave(characters, 0)

    def below(limit: Tensor) -> Tensor:
        return (uniform(*limit.shape) * limit).long()

    # The style of an alphabet.
    n_nodes = uniform(A, 2, low=2, high=5).long()
    position = uniform(A, 2, NODES, low=0.5, high=1.5).cumsum(-1)
    position = position - position[..., :1]
    furthest = position.gather(-1, n_nodes[..., None] - 1)
    extent = uniform(A, 2, 1, low=0.33, high=0.61)
    lattice = of_characters(extent * position / furthest)
    n_nodes = of_characters(n_nodes)
    strokes = of_characters(uniform(A, low=1.2, high=2.8))
    waypoints = of_characters(uniform(A, low=2.3, high=5))
    joining = of_characters(uniform(A, 1, low=0.4, high=1))
    straying = of_characters(uniform(A, 1, low=0, high=0.5))
    curved = of_characters(uniform(A, 1, low=-0.2, high=1.2))
    bulging = of_characters(uniform(A, 1, 1, low=-0.2, high=0.4))

    # How much there is of each character.
    lattice = lattice * uniform(B, 2, 1, low=0.85, high=1.15)
    strokes = (strokes + uniform(B, low=-1, high=1)).round().clamp(1, S).long()
    waypoints = waypoints[:, None] + uniform(B, S, low=-1.5, high=1.5)
    waypoints = waypoints.round().clamp(2, W).long()
    visited = (torch.arange(W, device=device) < waypoints[..., None]) & (
        torch.arange(S, device=device) < strokes[:, None]
    )[..., None]

    # The walk.
    nodes = torch.zeros(B, S, W, 2, dtype=torch.int64, device=device)
    everyone = torch.arange(B, device=device)
    axes = torch.arange(2, device=device)
    for s in range(S):
        here = below(n_nodes)
        if s:
            earlier = below(strokes.clamp(max=s))
            place = below(waypoints[everyone, earlier])
            join = uniform(B, 1) < joining
            here = torch.where(join, nodes[everyone, earlier, place], here)
        nodes[:, s, 0] = here
        axis = below(torch.full((B, 1), 2, device=device))
        for w in range(1, W):
            moving = (axes == axis) | (uniform(B, 1) < straying)
            here = torch.where(moving, (here + 1 + below(n_nodes - 1)) % n_nodes, here)
            nodes[:, s, w] = here
            axis = torch.where(uniform(B, 1) < 0.85, 1 - axis, axis)

    # Its corners and curves.
    smooth = (uniform(B, S) < curved)[..., None] & (uniform(B, S, W) < 0.85)
    roundness = smooth * uniform(B, S, W, low=0.6, high=1)
    bend = uniform(B, S, W, low=0.5, high=1.6) * (uniform(B, S, W) < bulging)
    bulge = bend * torch.where(uniform(B, S, W) < 0.5, -1, 1)
    return Strokes(lattice, nodes, visited, roundness, bulge)


def draw(strokes: Strokes, generator: torch.Generator) -> Path:
    """One drawing of each character, by a hand of its own."""
    B, S, W = strokes.visited.shape

    def normal(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(shape, generator=generator, device=generator.device)

    # Columns and rows lie elsewhere, strokes are displaced, waypoints missed.
    hand = Strokes(
        strokes.lattice + normal(B, 2, NODES, scale=0.025),
        strokes.nodes,
        strokes.visited,
        (
            strokes.roundness
            + normal(B, 1, 1, scale=0.25)
            + normal(B, S, W, scale=0.15)
        ).clamp(0, 1),
        strokes.bulge + normal(B, S, W, scale=0.1),
    )
    position = hand.waypoints
    position = position + normal(B, S, 1, 2, scale=0.012)
    position = position + normal(B, S, W, 2, scale=0.018)

    # The whole is warped, slanted, turned, scaled and put somewhere near the middle.
    offset = position - 0.5
    x, y = offset.unbind(-1)
    squares = torch.stack([x * y, x.square(), y.square()], -1)
    offset = offset + torch.einsum(
        "bswk,bkd->bswd", squares, normal(B, 3, 2, scale=0.15)
    )
    angle, slant = normal(B, scale=0.06), normal(B, scale=0.12)
    turn = torch.stack(
        [
            torch.stack([angle.cos(), angle.sin()], -1),
            torch.stack([slant - angle.sin(), angle.cos()], -1),
        ],
        1,
    )
    zoom = (normal(B, 1, 1, scale=0.12) + normal(B, 1, 2, scale=0.07)).exp()
    offset = torch.einsum("bswk,bkd->bswd", offset, turn * zoom)
    return pen_path(hand, offset + 0.485 + normal(B, 1, 1, 2, scale=0.05))


def pen_path(strokes: Strokes, position: Float[Tensor, "B S W 2"]) -> Path:
    """The path through the waypoints of the strokes, when those lie at `position`."""
    last = strokes.visited.sum(-1, keepdim=True).clamp(min=1) - 1
    index = torch.arange(position.shape[2], device=position.device)

    def waypoint(of: Tensor, at: Tensor) -> Tensor:
        return of.gather(2, at[..., None].expand(-1, -1, -1, of.shape[-1]))

    # The neighbours of a waypoint; those of the ends of a closed stroke go around.
    first = torch.zeros_like(last)
    closed = (strokes.nodes[:, :, :1] == waypoint(strokes.nodes, last)).all(-1)
    before = torch.where(index == 0, last - 1, index - 1).clamp(min=0)
    after = torch.where(index == last, first + 1, index + 1).clamp(max=len(index) - 1)
    through = waypoint(position, after) - waypoint(position, before)
    through = through / through.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    passing = closed | (index > 0) & (index < last)
    roundness = (strokes.roundness * passing)[..., None]

    chord = position[:, :, 1:] - position[:, :, :-1]
    span = chord.norm(dim=-1, keepdim=True)
    # 1.17 chords is the tangent of the cubic that follows a quarter of a circle
    around = 1.17 * span
    leaving = chord.lerp(around * through[:, :, :-1], roundness[:, :, :-1])
    arriving = chord.lerp(around * through[:, :, 1:], roundness[:, :, 1:])
    across = torch.stack([-chord[..., 1], chord[..., 0]], -1)
    bulge = strokes.bulge[:, :, :-1, None] * across
    length = span[..., 0] * strokes.visited[:, :, 1:]
    return Path(
        position[:, :, :-1].flatten(1, 2),
        position[:, :, 1:].flatten(1, 2),
        (leaving + bulge).flatten(1, 2),
        (arriving - bulge).flatten(1, 2),
        length.flatten(1),
    )


def ink(path: Path, size: int, pen: float) -> UInt8[Tensor, "B size size"]:
    """The path drawn with a round pen; 255 where a pixel is covered wholly.

    Points of the path stamp the few pixels that they reach, and each pixel keeps its
    darkest stamp: the work is that of the ink and not of the paper, and the result
    does not depend on the order of the stamps.
    """
    points = path.points(6 * size) * size
    radius = pen * size / 2
    reach = radius + 0.5
    taps = torch.arange(math.floor(2 * reach) + 1, device=points.device)
    pixels = (points - reach - 0.5).ceil()[..., None] + taps
    square = (pixels + 0.5 - points[..., None]).square()
    distance = (square[:, :, 1, :, None] + square[:, :, 0, None]).sqrt()
    covered = (reach - distance).clamp(0, min(1.0, 2 * radius))
    # what falls off the paper falls on a margin of one pixel
    column, row = (pixels.long().clamp(-1, size) + 1).unbind(2)
    place = row[..., None] * (size + 2) + column[:, :, None]
    page = torch.zeros(
        len(points), (size + 2) ** 2, dtype=torch.uint8, device=points.device
    )
    stamps = (255 * covered).round().to(torch.uint8)
    page.scatter_reduce_(1, place.flatten(1), stamps.flatten(1), "amax")
    return page.view(-1, size + 2, size + 2)[:, 1:-1, 1:-1]
