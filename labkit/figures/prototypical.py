"""Pictures of tasks made of drawings: contact sheets, and the plane they embed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from torch import Tensor

from labkit.episode import Episode
from labkit.figures import style
from labkit.figures.style import INK

COLOURS = tuple(style.COLOURS.values())
CLASSES = "ABCD"
"""Labels of a task: a letter and a colour each, so that colour is never alone."""

GRID = 300  # points a side at which the plane is asked for its nearest prototype


def plot_episode(
    axes: Axes, episode: Episode, predicted: Int64[Tensor, " Q"], *, room: int
) -> None:
    """The first task: a row for each class, its support drawings, then its queries.

    A query is framed in the colour of the class predicted for it; a wrong answer is
    crossed out and its letter shown.

    Args:
        room: support columns to leave space for, so that sheets of different shots
            align.
    """
    way, size = episode.support_y.shape[-1], episode.support_x.shape[-1]
    support = episode.support_x[0].view(way, -1, size, size)
    query = episode.query_x[0].view(way, -1, size, size)
    shots, queries = support.shape[1], query.shape[1]
    empty = support.new_full((way, 1, size, size), torch.nan)
    before = empty.expand(-1, room - shots, -1, -1)
    style.contact_sheet(axes, torch.cat([before, support, empty, query], 1))
    axes.set_yticks(range(way), CLASSES[:way])

    def frame(row: int, column: int, label: int) -> None:
        box = (column - 0.46, row - 0.46)
        axes.add_patch(Rectangle(box, 0.92, 0.92, fill=False, ec=COLOURS[label], lw=2))

    for row in range(way):
        for shot in range(room - shots, room):
            frame(row, shot, row)
        for i, label in enumerate(predicted.view(way, queries)[row].tolist()):
            column = room + 1 + i
            frame(row, column, label)
            if label != row:
                line: Any = {"color": COLOURS[label], "lw": 1.5}
                low, high = column - 0.46, column + 0.46
                axes.plot([low, high], [row + 0.46, row - 0.46], **line)
                axes.text(low + 0.1, row - 0.1, CLASSES[label], color=COLOURS[label])
    axes.text(room - (shots + 1) / 2, -0.65, "support", ha="center")
    axes.text(room + (queries + 1) / 2, -0.65, "queries", ha="center")


@dataclass(frozen=True)
class Plane:
    """A plane in the embedding: a point of it, and two perpendicular unit vectors."""

    origin: Float[Tensor, " D"]
    directions: Float[Tensor, "2 D"]

    @classmethod
    def of(cls, points: Float[Tensor, "N D"]) -> Plane:
        """Their first two principal components: through three points, their plane."""
        origin = points.mean(0)
        return cls(origin, torch.linalg.svd(points - origin).Vh[:2])

    def project(self, points: Float[Tensor, "*n D"]) -> Float[Tensor, "*n 2"]:
        return (points - self.origin) @ self.directions.T

    def lift(self, places: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n D"]:
        return self.origin + places @ self.directions

    def turned_towards(self, other: Plane) -> Plane:
        """The same plane, its directions as near to the other's as can be."""
        u, _, v = torch.linalg.svd(other.directions @ self.directions.T)
        return replace(self, directions=u @ v @ self.directions)


def plot_cells(
    axes: Axes,
    plane: Plane,
    prototypes: Float[Tensor, "N D"],
    *,
    half: float,
    before: Float[Tensor, "N D"] | None = None,
) -> None:
    """Which prototype is the nearest, everywhere in a square of the plane.

    Args:
        half: half the side of the square.
        before: earlier prototypes. Their borders, where they cut this plane, are
            dashed, and arrows lead from them to the present ones.
    """
    line = torch.linspace(-half, half, GRID)
    points = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)

    def distances(to: Float[Tensor, "N D"]) -> Float[Tensor, "y x N"]:
        """Squared, in all dimensions: by Pythagoras, in the plane and off it."""
        feet = plane.project(to)
        off_the_plane = (to - plane.lift(feet)).square().sum(-1)
        return (points.unsqueeze(2) - feet).square().sum(-1) + off_the_plane

    colours = np.array([to_rgb(colour) for colour in COLOURS])
    axes.imshow(
        colours[distances(prototypes).argmin(-1)],
        extent=(-half, half, -half, half),
        origin="lower",
        alpha=0.22,
    )
    n, places = len(prototypes), plane.project(prototypes)
    if before is not None:
        far = distances(before).numpy()
        for i, j in combinations(range(n), 2):
            third_is_nearer = far[..., [i, j]].min(-1) > far.min(-1)
            tie = np.ma.masked_where(third_is_nearer, far[..., i] - far[..., j])
            dashed: Any = {"colors": INK, "linestyles": "--", "linewidths": 1.4}
            axes.contour(line, line, tie, [0], **dashed)
        starts = plane.project(before)
        axes.scatter(starts[:, 0], starts[:, 1], s=30, fc="none", ec=INK, zorder=5)
        arrow = {"arrowstyle": "->", "lw": 1.5, "color": INK, "shrinkB": 6}
        for start, end in zip(starts.tolist(), places.tolist(), strict=True):
            axes.annotate("", end, start, arrowprops=arrow, zorder=5)
    dot: Any = {"s": 190, "c": COLOURS[:n], "ec": "white", "lw": 1.5, "zorder": 6}
    axes.scatter(places[:, 0], places[:, 1], **dot)
    letter: Any = {"color": "white", "weight": "bold", "size": 9, "zorder": 7}
    for name, (x, y) in zip(CLASSES[:n], places.tolist(), strict=True):
        axes.text(x, y, name, ha="center", va="center_baseline", **letter)
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def plot_embedding(
    axes: Axes,
    drawings: Float[Tensor, "n 1 H W"],
    labels: Int64[Tensor, " n"],
    points: Float[Tensor, "n D"],
    title: str,
) -> float:
    """Drawings at the first two principal components of their points.

    Returns:
        The part of the drawings whose nearest other one, in all dimensions and not
        only in the two shown, has the same label. It is part of the title, and so is
        the part of the variance that the two components keep.
    """
    drawings, labels, points = drawings.cpu(), labels.cpu(), points.detach().cpu()
    plane = Plane.of(points)
    places = plane.project(points)
    kept = float(places.square().sum() / (points - plane.origin).square().sum())
    nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).argmin(-1)
    own_kind = float((labels[nearest] == labels).float().mean())
    axes.set_title(f"{title}\n{own_kind:.0%} own kind, {kept:.0%} of the variance")
    half = 1.1 * float(places.abs().max())
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    plot_drawings(axes, drawings, labels, places, side=0.16 * half)
    return own_kind


def plot_drawings(
    axes: Axes,
    drawings: Float[Tensor, "n 1 H W"],
    labels: Int64[Tensor, " n"],
    places: Float[Tensor, "n 2"],
    *,
    side: float,
) -> None:
    """The ink of each drawing at its place, in the colour of its class.

    There are four colours; a fifth class takes the first again.
    """
    limits = axes.axis()
    for drawing, label, (x, y) in zip(drawings, labels, places.tolist(), strict=True):
        rgba = np.empty((*drawing.shape[1:], 4))
        rgba[..., :3] = to_rgb(COLOURS[label % len(COLOURS)])
        rgba[..., 3] = drawing[0]
        extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
        axes.imshow(rgba, extent=extent, interpolation="antialiased", zorder=3)
    axes.axis(limits)


def plot_task(
    episode: Episode,
    query: Float[Tensor, "Q D"],
    prototypes: Sequence[Float[Tensor, "N D"]],
    shots: tuple[int, int],
) -> None:
    """One task with few and with more support drawings: contact sheet, plane, cells.

    Args:
        episode: one task of at most four classes, ordered by class.
        query: the embeddings of its queries.
        prototypes: of each class, with the first number of shots and with the second.
    """
    episode, query = episode.to("cpu"), query.cpu()
    means = [points.cpu() for points in prototypes]
    truth = episode.query_y[0].argmax(-1)
    planes = [Plane.of(points) for points in means]
    planes[0] = planes[0].turned_towards(planes[1])
    places = [
        plane.project(torch.cat([query, points, means[0]]))
        for plane, points in zip(planes, means, strict=True)
    ]
    half = 1.12 * float(torch.cat(places).abs().max())
    _, (sheets, squares) = plt.subplots(2, 2, figsize=(9, 6.3), height_ratios=(1, 2.9))
    per_class = episode.support_x.shape[1] // len(means[0])
    for i, k in enumerate(shots):
        first = (torch.arange(per_class) < k).repeat(len(means[0]))
        shown = replace(
            episode,
            support_x=episode.support_x[:, first],
            support_y=episode.support_y[:, first],
        )
        answers = torch.cdist(query, means[i]).argmin(-1)
        plot_episode(sheets[i], shown, answers, room=max(shots))
        right = int((answers == truth).sum())
        plural = "s" if k > 1 else ""
        sheets[i].set_title(
            f"{k} shot{plural}: {right} of {len(truth)} queries right", pad=20
        )
        earlier = means[0] if i else None
        plot_cells(squares[i], planes[i], means[i], half=half, before=earlier)
        queries = (episode.query_x[0], truth, places[i][: len(query)])
        plot_drawings(squares[i], *queries, side=0.19 * half)
