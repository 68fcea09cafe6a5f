"""What the constructors of task distributions ask of their arguments.

Annotations are checked in the tests alone. What a reader passes is checked here, where
it is passed, and not ten calls later in words of torch.
"""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from labkit.episode import TaskDistribution

MOST_INK = 0.75
"""Of a set of characters, as a share of its pixels. Handwriting has about 0.1."""


def require_counts(**counts: int) -> None:
    """Each must be a whole number, 1 or more.

    Raises:
        ValueError: one is not.
    """
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1.")


def require_deviations(**deviations: float) -> None:
    """Each must be a standard deviation: finite, 0 or more.

    Raises:
        ValueError: one is not.
    """
    for name, value in deviations.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(
                f"{name}={value!r} must be a standard deviation: a number, 0 or more."
            )


def require_tasks(**tasks: TaskDistribution) -> None:
    """Each must be something to draw tasks from.

    Raises:
        ValueError: one has no `sample`.
    """
    for name, value in tasks.items():
        if not isinstance(value, TaskDistribution):
            raise ValueError(
                f"{name} must be a distribution of tasks, as FewShot(…) is one, and is "
                f"{type(value).__name__}."
            )


def require_ink(images: Tensor) -> None:
    """Images must be bytes [classes, drawings, H, W], ink 255 and paper 0.

    The share of ink is that of the first drawing of each class, which costs little.

    Raises:
        ValueError: they are not.
    """
    form = "a uint8 tensor [classes, drawings, H, W], ink 255 and paper 0"
    if not isinstance(images, Tensor):
        raise ValueError(
            f"images must be {form}, and is {type(images).__name__}. Of a numpy array, "
            "torch.from_numpy makes a tensor."
        )
    if images.dtype != torch.uint8:
        raise ValueError(
            f"images must be {form}, and is {images.dtype}. Of ink from 0.0 to 1.0, "
            "(255 * images).round().to(torch.uint8) makes it."
        )
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"images must be {form}, and has the shape {list(images.shape)}."
        )
    if images.is_meta or not len(images):
        return  # nothing to look at
    if images.max() == 1:
        raise ValueError(
            f"images must be {form}, and holds zeros and ones alone, which would be "
            "nearly white. 255 * images makes it."
        )
    mean = images[:, 0].float().mean().item() / 255
    if mean > MOST_INK:
        raise ValueError(
            f"images must be {form}, and is {mean:.0%} ink: it seems inverted, paper "
            "255. 255 - images makes it."
        )


def require_names(names: tuple[str, ...], field: str) -> None:
    """Each must be a string of its own.

    Raises:
        ValueError: one is not, or comes twice.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"{field} must be a tuple of strings, one each, and is {names!r:.80}."
        )
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(
            f"{len(repeated)} {field} come more than once, first {repeated[0]!r}. A "
            "class that is there twice could be drawn as two classes of one task. "
            "Give each its own name; of sets that share an alphabet, select "
            "the alphabets to keep before you concatenate."
        )


def require_indices(alphabet: Tensor, n_alphabets: int) -> None:
    """Each must be the place of an alphabet.

    Raises:
        ValueError: one is not.
    """
    if (
        not isinstance(alphabet, Tensor)
        or alphabet.dtype != torch.int64
        or alphabet.ndim != 1
    ):
        raise ValueError(
            "alphabet must be an int64 tensor [classes], the index into alphabets of "
            f"each class, and is {alphabet!r:.80}."
        )
    if alphabet.is_meta or not len(alphabet):
        return
    least, most = alphabet.min().item(), alphabet.max().item()
    if least < 0 or most >= n_alphabets:
        raise ValueError(
            f"alphabet holds indices from {least} to {most}, and there are "
            f"{n_alphabets} alphabets: 0 to {n_alphabets - 1}."
        )
