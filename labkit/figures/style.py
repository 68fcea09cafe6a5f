"""How every figure of the book looks: on white, on black, and to the colour-blind.

Figures have no background, so that they lie on the page's own, light or dark. That
leaves lines and letters of middle brightness: each colour here keeps a contrast of at
least 3 to 1 with white and with near-black. Hues are told apart by people with
deuteranopia and protanopia; figures still never let colour alone carry a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import matplotlib as mpl
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor

INK = "#7a7a7a"
"""Text, axes, and references that are not the result of any learning."""

COLOURS = {
    "blue": "#1f7fc4",
    "orange": "#d55e00",
    "green": "#00a070",
    "purple": "#b565a0",
}
"""In the order in which lines of one plot take them."""

PAPER = LinearSegmentedColormap.from_list("paper", ["#f4f1ea", "#1c1c1c"])
"""From 0, paper, to 1, ink. Drawings bring their paper with them."""


def use() -> None:
    """Make all figures of this process look alike; a chapter calls it once.

    A notebook stores them as `labkit.figures.outputs` says. The same figure always
    gives the same bytes: identifiers come from a fixed salt.
    """
    settings: Any = {
        "figure.figsize": (7.2, 3.6),
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        "axes.prop_cycle": cycler(color=list(COLOURS.values())),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "axes.grid": True,
        "grid.alpha": 0.25,
        "font.size": 11,
        "lines.linewidth": 2,
        "image.interpolation": "nearest",
        "svg.hashsalt": "labkit",
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": INK,
    }
    mpl.rcParams.update(settings)
    if "inline" in mpl.get_backend():
        from labkit.figures import outputs

        outputs.use()


@runtime_checkable
class Measured(Protocol):
    """An `Evaluation`, or the figure of a record."""

    @property
    def mean(self) -> float: ...
    @property
    def ci95(self) -> float: ...


def curve(
    axes: Axes, x: Sequence[int | float], evaluations: Sequence[Measured], **line: Any
) -> None:
    """Means over tasks joined by a line, each with its 95% interval as a bar.

    Args:
        line: what `Axes.errorbar` takes, such as label, color, marker.
    """
    axes.errorbar(
        x,
        [evaluation.mean for evaluation in evaluations],
        yerr=[evaluation.ci95 for evaluation in evaluations],
        capsize=3,
        **line,
    )


def contact_sheet(axes: Axes, images: Float[Tensor, "rows columns H W"]) -> None:
    """Drawings (ink 1, paper 0) side by side, a thin gap between them.

    The drawing in row r and column c is centred at x = c, y = r, counted from the
    upper left corner, so that ticks can name rows and columns.
    """
    rows, columns, height, width = images.shape
    gap = max(1, height // 14)
    sheet = np.full((rows, height + gap, columns, width + gap), np.nan)
    sheet[:, gap // 2 :, :, gap // 2 :][:, :height, :, :width] = (
        images.detach().cpu().transpose(1, 2).numpy()
    )
    axes.imshow(
        sheet.reshape(rows * (height + gap), columns * (width + gap)),
        cmap=PAPER,
        vmin=0,
        vmax=1,
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )
    axes.set_aspect((height + gap) / (width + gap))
    axes.set_xticks(range(columns), [""] * columns)
    axes.set_yticks(range(rows), [""] * rows)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
