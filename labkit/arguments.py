"""Numbers that callers give, looked at before anything is computed with them."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np


def require_whole(at_least: int, **numbers: object) -> None:
    """Raise ValueError for one that is no whole number, or too small; None passes."""
    for name, value in numbers.items():
        if value is None:
            continue
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be a whole number.")
        if value < at_least:
            raise ValueError(f"{name}={value} must be {at_least} or larger.")


def require_real(above: float = -math.inf, **numbers: object) -> None:
    """Raise ValueError for one that is no finite number above that; None passes."""
    for name, value in numbers.items():
        if value is None:
            continue
        if not isinstance(value, float | int | np.number) or isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be a number.")
        if not (math.isfinite(value) and value > above):
            bound = "" if above == -math.inf else f" above {above:g}"
            raise ValueError(f"{name}={value} must be a finite number{bound}.")
