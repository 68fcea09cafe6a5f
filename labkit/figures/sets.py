"""Pictures of functions: what is predicted, how surely, and from which examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from labkit.figures.style import COLOURS, INK
from labkit.gaussian import WITHIN_95, moments
from labkit.learner import Learner

LOOKS = {
    "CNP": {"color": COLOURS["blue"], "marker": "o"},
    "ANP": {"color": COLOURS["orange"], "marker": "s"},
    "sharp ANP": {"color": COLOURS["purple"], "marker": "^"},
    "sharp SNAIL": {"color": COLOURS["green"], "marker": "v"},
    "exact": {"color": INK, "marker": "d", "ls": "--"},
}
"""How the line of each learner looks in every figure of the chapter."""


def plot_bands(
    axes: Axes,
    learner: Learner,
    support_x: Float[Tensor, "1 S 1"],
    support_y: Float[Tensor, "1 S 1"],
    query_x: Float[Tensor, "1 Q 1"],
    query_y: Float[Tensor, "1 Q 1"],
    colour: str,
) -> float:
    """One task: the 95% band predicted along query_x, and dotted the true values.

    Returns the fraction of query_y inside the band.
    """
    with torch.no_grad():
        adapted = learner.adapt(support_x, support_y)
        mean, scale = moments(learner.predict(adapted, query_x))
    low, high = mean - WITHIN_95 * scale, mean + WITHIN_95 * scale
    x = _numbers(query_x)
    axes.fill_between(x, _numbers(low), _numbers(high), color=colour, alpha=0.25, lw=0)
    axes.plot(x, _numbers(mean), color=colour, label="predicted mean and 95% band")
    axes.plot(x, _numbers(query_y), color=INK, lw=1, ls=":", label="true values")
    points = _numbers(support_x), _numbers(support_y)
    axes.scatter(*points, fc=INK, s=22, zorder=3, label="support")
    axes.set_xlabel("x")
    return ((low <= query_y) & (query_y <= high)).float().mean().item()


def influence(
    read: Callable[[Tensor], Tensor], support_y: Float[Tensor, "1 S 1"]
) -> Float[Tensor, "n S"]:
    """Which rows of read(support_y), [1, n, D], change when one target does: 1 or 0."""
    before = read(support_y)
    columns = []
    for j in range(support_y.shape[1]):
        changed = support_y.clone()
        changed[:, j] += 1
        difference = (read(changed) - before).abs().amax(dim=-1)[0]
        columns.append((difference > 1e-6).float())
    return torch.stack(columns, dim=1)


def plot_influence(
    axes: Axes, seen: Float[Tensor, "n S"], colour: str, title: str
) -> None:
    """A square for each example (column) that a row depends on; the rows after the
    first S are queries."""
    rows, S = seen.shape
    row, column = seen.cpu().nonzero().T.tolist()
    axes.scatter(column, row, marker="s", s=150, color=colour, lw=0)
    names = [str(i + 1) for i in range(S)]
    axes.set_xticks(range(S), names)
    axes.set_yticks(range(rows), names + ["query"] * (rows - S))
    axes.set(xlim=(-0.6, S - 0.4), ylim=(rows - 0.4, -0.6), title=title)
    axes.axhline(S - 0.5, color=INK, lw=1)
    axes.set_xlabel("example")
    axes.set_aspect("equal")
    axes.grid(False)


def plot_calibration(axes: Axes, errors: Float[Tensor, " N"], **line: Any) -> None:
    """How many of the errors, in predicted deviations, lie in each central band."""
    promised = torch.linspace(0.02, 0.98, 25)
    limits = math.sqrt(2) * torch.erfinv(promised)
    held = (errors.abs().unsqueeze(-1) <= limits.to(errors.device)).float().mean(0)
    axes.plot(promised.tolist(), held.tolist(), **line)
    axes.set(xlabel="promised probability", ylabel="fraction of values in the band")


def plot_coverage(
    axes: Axes,
    errors: Float[Tensor, " N"],
    sureness: Float[Tensor, " N"],
    **line: Any,
) -> list[float]:
    """The fraction in the 95% band, of the queries in each of four ranges of sureness,
    a standard deviation; returned as well."""
    edges = (0.03, 0.1, 0.3)
    group = torch.bucketize(sureness.contiguous(), sureness.new_tensor(edges))
    inside = (errors.abs() <= WITHIN_95).float()
    held = [inside[group == g].mean().item() for g in range(len(edges) + 1)]
    axes.plot(range(len(held)), held, **line)
    axes.set_xticks(range(len(held)), ["< 0.03", "0.03–0.1", "0.1–0.3", "> 0.3"])
    axes.set(xlabel="deviation of the exact answer", ylabel="fraction in the 95% band")
    return held


def _numbers(values: Float[Tensor, "1 n 1"]) -> list[float]:
    return values[0, :, 0].tolist()
