"""How an alphabet comes to look like one, and a character unlike the others in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from labkit.tasks.glyphs.pen import ink
from labkit.tasks.glyphs.strokes import Strokes

NODES = 4
"""The most columns, and the most rows, of a lattice."""
STROKES = 4
"""The most strokes of a character."""
WAYPOINTS = 7
"""The most waypoints of a stroke."""
CANDIDATES = 6
"""How many characters are invented for each one that is kept."""
BROAD_PEN = 0.08
"""The width at which a character has to be legible."""
ALIKE = 0.88
"""The cosine between the looks of two characters above which they are one."""


def invent(n_alphabets: int, characters: int, generator: torch.Generator) -> Strokes:
    """The characters of every alphabet in turn: the best of a surplus of candidates.

    First come those that are legible and unlike every one before them. Others are
    taken only if these do not suffice: repetitions, then what is illegible.
    """
    surplus = characters * CANDIDATES
    style = Style.draw(n_alphabets, generator).for_each(surplus)
    candidates = centred(walk(style, generator))
    legible = legibility(candidates).view(n_alphabets, surplus)
    look = looks(candidates).view(n_alphabets, surplus, -1)
    alike = (look @ look.mT > ALIKE) & legible[:, None]
    repetition = alike.tril(-1).any(-1)
    rank = torch.where(legible, repetition.long(), 2)
    kept = rank.argsort(dim=1, stable=True)[:, :characters]
    first = surplus * torch.arange(n_alphabets, device=generator.device)[:, None]
    return candidates[(first + kept).flatten()]


@dataclass(frozen=True)
class Style:
    """What the characters of an alphabet have in common.

    Attributes:
        lattice: positions of the columns and rows, and how many there are.
        n_nodes: positions of the columns and rows, and how many there are.
        strokes: the mean number of strokes, and of waypoints in a stroke.
        waypoints: the mean number of strokes, and of waypoints in a stroke.
        joining: how often a stroke begins on a node that an earlier one has visited.
        diagonal: how often a segment follows neither a column nor a row.
        curved: the share of strokes that are round at their waypoints.
        bulging: the share of segments that bend sideways.
    """

    lattice: Float[Tensor, "A 2 nodes"]
    n_nodes: Int64[Tensor, "A 2"]
    strokes: Float[Tensor, " A"]
    waypoints: Float[Tensor, " A"]
    joining: Float[Tensor, " A"]
    diagonal: Float[Tensor, " A"]
    curved: Float[Tensor, " A"]
    bulging: Float[Tensor, " A"]

    @staticmethod
    def draw(n_alphabets: int, generator: torch.Generator) -> Style:
        A = n_alphabets

        def between(low: float, high: float, *shape: int) -> Tensor:
            return uniform(generator, A, *shape) * (high - low) + low

        columns, rows = between(2.0, 5.0).long(), between(2.0, 4.5).long()
        n_nodes = torch.stack([columns, rows], -1)
        position = between(0.5, 1.5, 2, NODES).cumsum(-1)
        position = position - position[..., :1]
        furthest = position.gather(-1, n_nodes[..., None] - 1)
        extent = torch.stack([between(0.3, 0.63), between(0.4, 0.73)], -1)
        # Few segments where there are few nodes; more strokes make them shorter.
        segments = between(2.5, 7.0).minimum(columns * rows - 0.8)
        strokes = between(1.0, 3.3).minimum(segments)
        return Style(
            lattice=extent[..., None] * (position / furthest).clamp(max=1),
            n_nodes=n_nodes,
            strokes=strokes,
            waypoints=1 + segments / strokes,
            joining=between(0.3, 1.0),
            diagonal=between(0.0, 0.5),
            curved=between(-0.2, 1.2),
            bulging=between(-0.2, 0.4),
        )

    def for_each(self, characters: int) -> Style:
        """The style of each of the characters of each alphabet."""
        values = (getattr(self, field.name) for field in fields(self))
        return Style(*(value.repeat_interleave(characters, 0) for value in values))


def walk(style: Style, generator: torch.Generator) -> Strokes:
    """A character in each of B styles: strokes that walk from node to node."""
    B, S, W = len(style.strokes), STROKES, WAYPOINTS
    device = generator.device
    everyone, axes = torch.arange(B, device=device), torch.arange(2, device=device)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return uniform(generator, B, *shape) * (high - low) + low

    def happens(chance: Tensor | float, *shape: int) -> Tensor:
        return uniform(generator, B, *shape) < chance

    def below(limit: Tensor) -> Tensor:
        return (uniform(generator, *limit.shape) * limit).long()

    strokes = (style.strokes + between(-1.0, 1.0)).round().clamp(1, S).long()
    waypoints = style.waypoints[:, None] + between(-1.5, 1.5, S)
    waypoints = waypoints.round().clamp(2, W).long()
    in_stroke = torch.arange(W, device=device) < waypoints[..., None]
    in_character = torch.arange(S, device=device) < strokes[:, None]

    nodes = torch.zeros((B, S, W, 2), dtype=torch.int64, device=device)
    for s in range(S):
        here = below(style.n_nodes)
        if s > 0:
            earlier = below(strokes.clamp(max=s))
            met = nodes[everyone, earlier, below(waypoints[everyone, earlier])]
            here = torch.where(happens(style.joining)[:, None], met, here)
        nodes[:, s, 0] = here
        axis = happens(0.65).long()
        for w in range(1, W):
            moving = (axes == axis[:, None]) | happens(style.diagonal)[:, None]
            other = (here + 1 + below(style.n_nodes - 1)) % style.n_nodes
            here = torch.where(moving, other, here)
            nodes[:, s, w] = here
            # A turn is likelier than going on, or back.
            axis = torch.where(happens(0.85), 1 - axis, axis)

    curved = happens(style.curved[:, None], S)[..., None] & happens(0.85, S, W)
    bulging = happens(style.bulging[:, None, None], S, W)
    side = torch.where(happens(0.5, S, W), -1, 1)
    return Strokes(
        lattice=style.lattice * between(0.75, 1.25, 2, 1),
        nodes=nodes,
        visited=in_stroke & in_character[..., None],
        roundness=curved * between(0.6, 1.0, S, W),
        bulge=bulging * side * between(0.5, 1.6, S, W),
    )


def centred(strokes: Strokes) -> Strokes:
    """The same characters in the middle of their boxes."""
    low, high = bounds(strokes)
    return replace(strokes, lattice=strokes.lattice - (low + high) / 2 + 0.5)


def legibility(strokes: Strokes) -> Bool[Tensor, " B"]:
    """Whether a character stays clear under a broad pen, and has a fair size."""
    path = strokes.through(strokes.waypoints)
    length = path.length.sum(-1)
    page = ink(path, 20, BROAD_PEN)
    # Strokes that run into one another leave less ink than their length.
    apart = page.float().mean((1, 2)) / 255 > 0.76 * length * BROAD_PEN
    # Two holes more than pieces make a knot.
    knot = pieces_less_holes(page > 127) < -1
    # A line is spread seven times as far in one direction as in the other, or more.
    outline = path.points(64)
    x, y = (outline - outline.mean(1, keepdim=True)).unbind(-1)
    xx, xy, yy = x.square().sum(-1), (x * y).sum(-1), y.square().sum(-1)
    line = xx * yy - xy.square() < 0.02 * (xx + yy).square()
    extent = (outline.amax(1) - outline.amin(1)).amax(-1)
    sized = (length > 0.7) & (length < 2.8) & (extent > 0.3) & (extent < 0.8)
    return apart & ~knot & ~line & sized


def looks(strokes: Strokes) -> Float[Tensor, "B pixels"]:
    """Images of unit norm, of all characters at one width and height.

    Hands change proportions, so these alone do not make a character another one.
    """
    low, high = bounds(strokes)
    stretched = (strokes.lattice - low) / (high - low).clamp(min=0.1) * 0.7 + 0.15
    alike = replace(strokes, lattice=stretched)
    page = ink(alike.through(alike.waypoints), 14, 2 * BROAD_PEN)
    return F.normalize(page.flatten(1).float(), dim=-1)


def bounds(
    strokes: Strokes,
) -> tuple[Float[Tensor, "B 2 1"], Float[Tensor, "B 2 1"]]:
    """The least and greatest x and y of the path."""
    outline = strokes.through(strokes.waypoints).points(64)
    return outline.amin(1)[..., None], outline.amax(1)[..., None]


def pieces_less_holes(inked: Bool[Tensor, "B H W"]) -> Int64[Tensor, " B"]:
    """The Euler number of each image: its pixels, less pairs, plus squares of four."""
    columns = inked[:, 1:] & inked[:, :-1]
    rows = inked[:, :, 1:] & inked[:, :, :-1]
    squares = columns[:, :, 1:] & columns[:, :, :-1]
    pixels, columns, rows, squares = (
        cells.sum((1, 2)) for cells in (inked, columns, rows, squares)
    )
    return pixels - columns - rows + squares


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
