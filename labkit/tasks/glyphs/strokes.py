"""The motor program of a character: strokes over the nodes of a lattice."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from labkit.tasks.glyphs.pen import Path

ROUND = 1.17
"""Tangents of this many chords make of a cubic a quarter of a circle, nearly."""


@dataclass(frozen=True)
class Strokes:
    """The programs of B characters, of S strokes that visit W waypoints each.

    Attributes:
        lattice: where the columns (0) and the rows (1) of nodes lie.
        nodes: the column and row of every waypoint.
        visited: false for the waypoints after the last of a stroke.
        roundness: 0 turns a sharp corner at a waypoint, 1 a curve as of a circle.
        bulge: how far the segment after a waypoint bends sideways, ±2 about a half
            circle.
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
        columns = ([getattr(p, field.name) for p in parts] for field in fields(Strokes))
        return Strokes(*map(torch.cat, columns))

    @property
    def waypoints(self) -> Float[Tensor, "B S W 2"]:
        """Where the waypoints lie when every node is met exactly."""
        columns, rows = self.lattice.unbind(1)
        column, row = self.nodes.flatten(1, 2).unbind(-1)
        place = torch.stack([columns.gather(1, column), rows.gather(1, row)], -1)
        return place.view(self.nodes.shape)

    def through(self, waypoints: Float[Tensor, "B S W 2"]) -> Path:
        """The path of a pen that makes these strokes through these waypoints."""
        last = self.visited.sum(-1, keepdim=True).clamp(min=1) - 1
        index = torch.arange(waypoints.shape[2], device=waypoints.device)

        def at(place: Tensor, of: Tensor) -> Tensor:
            return of.gather(2, place[..., None].expand(-1, -1, -1, 2))

        # A curve leaves a waypoint in the direction from the one before to the one
        # after it, which at the ends of a closed stroke go around.
        closed = (self.nodes[:, :, :1] == at(last, of=self.nodes)).all(-1)
        before = torch.where(index == 0, last - 1, index - 1).clamp(min=0)
        after = torch.where(index == last, 1, index + 1).clamp(max=len(index) - 1)
        passing = at(after, of=waypoints) - at(before, of=waypoints)
        passing = passing / passing.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        inner = closed | (index > 0) & (index < last)
        roundness = (self.roundness * inner)[..., None]

        chord = waypoints[:, :, 1:] - waypoints[:, :, :-1]
        span = chord.norm(dim=-1, keepdim=True)
        curve = ROUND * span
        leaving = chord.lerp(curve * passing[:, :, :-1], roundness[:, :, :-1])
        arriving = chord.lerp(curve * passing[:, :, 1:], roundness[:, :, 1:])
        across = torch.stack([-chord[..., 1], chord[..., 0]], -1)
        bend = self.bulge[:, :, :-1, None] * across
        length = span[..., 0] * self.visited[:, :, 1:]
        return Path(
            start=waypoints[:, :, :-1].flatten(1, 2),
            end=waypoints[:, :, 1:].flatten(1, 2),
            leaving=(leaving + bend).flatten(1, 2),
            arriving=(arriving - bend).flatten(1, 2),
            length=length.flatten(1),
        )
