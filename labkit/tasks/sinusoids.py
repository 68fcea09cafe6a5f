"""Sinusoid regression (Finn et al. 2017, section 5.1): the smallest useful p(T).

A task is a sine wave y = A sin(x − φ) with A uniform in [0.1, 5] and φ uniform in
[0, π]; inputs are uniform in [−5, 5]. The paper gives the ranges and leaves the sign of
φ open; the minus is that of the authors' code (data_generator.py). The other sign
mirrors every wave, and no error in this file changes.

Two answers that need no learning frame every figure on these tasks. One ignores the
support: the best single function, `best_fixed_function`, with `best_fixed_error`. The
other is `labkit.learners.oracles.sinusoids`, which knows that tasks are sine waves and
is exact from two points on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, math.pi)
INPUT = (-5.0, 5.0)


@dataclass(frozen=True)
class Sinusoids:
    """p(T) of sine waves, each seen at `shot` points and asked at `query` others.

    `sample` is two steps, for whoever wants to plot the true wave beside the points:
    `functions` draws the waves and `observe` looks at them.

    Raises:
        ValueError: there is no point to learn from, or none to ask about.
    """

    shot: int = 5
    query: int = 10

    def __post_init__(self) -> None:
        if min(self.shot, self.query) < 1:
            raise ValueError(
                f"shot={self.shot} and query={self.query} must each be at least 1."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks: x and y are [T, shot, 1] to learn from, [T, query, 1] to ask."""
        amplitude, phase = self.functions(n_tasks, generator=generator)
        return self.observe(amplitude, phase, generator=generator)

    def functions(
        self, n_tasks: int, *, generator: torch.Generator
    ) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """The amplitude and the phase (in radians) of each of `n_tasks` waves."""
        return (
            _uniform((n_tasks,), AMPLITUDE, generator),
            _uniform((n_tasks,), PHASE, generator),
        )

    def observe(
        self,
        amplitude: Float[Tensor, " T"],
        phase: Float[Tensor, " T"],
        *,
        generator: torch.Generator,
    ) -> Episode:
        """The tasks of these waves, at inputs drawn afresh."""
        x = _uniform((len(amplitude), self.shot + self.query, 1), INPUT, generator)
        y = wave(x, amplitude, phase)
        return Episode(
            support_x=x[:, : self.shot],
            support_y=y[:, : self.shot],
            query_x=x[:, self.shot :],
            query_y=y[:, self.shot :],
        )


def wave(
    x: Float[Tensor, "T n 1"],
    amplitude: Float[Tensor, " T"],
    phase: Float[Tensor, " T"],
) -> Float[Tensor, "T n 1"]:
    """A sin(x − φ) of each task."""
    return amplitude[:, None, None] * torch.sin(x - phase[:, None, None])


def best_fixed_function(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The function with the least expected squared error among those that do not adapt.

    At each x, the number closest in mean square to a random y is its mean:

        E[A sin(x − φ)] = E[A] · (1/π) ∫₀^π sin(x − φ) dφ = −E[A] · (2/π) cos x.

    It is what a network trained on all tasks together tends to.
    """
    return -sum(AMPLITUDE) / math.pi * torch.cos(x)


def best_fixed_error() -> float:
    """The expected squared error of `best_fixed_function`, about 3.006.

    The mean square of y less that of the function's own values, since the mean of a
    random number is uncorrelated with what remains:

        E[y²] − E[A]² (2/π)² E[cos² x],   E[cos² x] = 1/2 + sin(10) / 20.
    """
    low, high = INPUT
    cos_squared = 0.5 + (math.sin(2 * high) - math.sin(2 * low)) / (4 * (high - low))
    return zero_error() - (sum(AMPLITUDE) / math.pi) ** 2 * cos_squared


def zero_error() -> float:
    """The expected squared error of predicting 0 always, about 4.252.

        E[y²] = E[A²] · E[sin²(x − φ)] = E[A²] / 2

    as φ covers half a turn, over which sin² averages to 1/2 at every x.
    """
    low, high = AMPLITUDE
    return (high**3 - low**3) / (3 * (high - low)) / 2


def _uniform(
    shape: tuple[int, ...], limits: tuple[float, float], generator: torch.Generator
) -> Tensor:
    low, high = limits
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn
