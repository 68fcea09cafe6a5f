"""Reading what was drawn back from a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.container import Container, ErrorbarContainer
from matplotlib.lines import Line2D


def xs(line: Line2D) -> list[float]:
    return np.asarray(line.get_xdata()).tolist()


def ys(line: Line2D) -> list[float]:
    return np.asarray(line.get_ydata()).tolist()


def points(line: Line2D) -> list[list[float]]:
    """[x, y] of each."""
    return [list(point) for point in zip(xs(line), ys(line), strict=True)]


def half_lengths(bars: Container) -> list[float]:
    """Of every bar of `Axes.errorbar`, upright or lying, half its length."""
    assert isinstance(bars, ErrorbarContainer)
    _, _, (lines,) = bars.lines
    return [abs(b - a).max() / 2 for a, b in lines.get_segments()]
