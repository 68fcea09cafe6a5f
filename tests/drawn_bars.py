"""Reading intervals back from a picture."""

from matplotlib.container import ErrorbarContainer


def half_lengths(bars: ErrorbarContainer) -> list[float]:
    """Of every bar of `Axes.errorbar`, upright or lying, half its length."""
    _, _, (lines,) = bars.lines
    return [abs(b - a).max() / 2 for a, b in lines.get_segments()]
