"""Regression on functions drawn from Gaussian processes, x in [−2, 2].

A task is a function f from a Gaussian process with mean 0, whose kernel has its own
hyperparameters, observed with noise: y = f(x) + ε, ε ~ N(0, 0.02²). The protocol is
that of Lee et al. (2020) and Nguyen & Grover (2022), as in the authors' code
(`data/gp.py`, `RBFKernel` and `GPSampler`): lengthscale uniform in [0.1, 0.6], output
scale in [0.1, 1], period in [0.1, 0.5]; 3 to 46 support points and then 3 to 49 − S
queries, one size for all tasks of a batch.

The kernels, with r = |x − x'|:

    rbf       s² exp(−r² / 2ℓ²)
    matern52  s² (1 + √5 r/ℓ + 5 r²/3ℓ²) exp(−√5 r/ℓ)
    periodic  s² exp(−2 sin²(π r/p) / ℓ²)

What can be known about such a function is known exactly:
`labkit.learners.oracles.gaussian_process`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode

Family = Literal["rbf", "matern52", "periodic"]
Range = tuple[float, float]

INPUT = (-2.0, 2.0)
FEWEST = 3  # points of a support, and of a query set


@dataclass(frozen=True)
class Kernel:
    """For each of T tasks, K kernels of one family; T or K may be 1 and broadcast.

    One kernel a task, [T, 1], is a draw of tasks. Many kernels that all tasks share,
    [1, K], are what somebody considers who does not know which kernel it is.
    """

    family: Family
    lengthscale: Float[Tensor, "T K"]
    scale: Float[Tensor, "T K"]
    period: Float[Tensor, "T K"]

    @classmethod
    def single(
        cls,
        family: Family,
        lengthscale: float,
        scale: float,
        period: float = 0.3,
        *,
        device: torch.device | str = "cpu",
    ) -> Kernel:
        """One kernel for one task, [1, 1]."""
        hyperparameters = torch.tensor([lengthscale, scale, period], device=device)
        return cls(family, *hyperparameters.view(3, 1, 1))

    def __call__(
        self, x: Float[Tensor, "T n 1"], other: Float[Tensor, "T m 1"]
    ) -> Float[Tensor, "T K n m"]:
        """The covariance of f(x) with f(other)."""
        lengthscale, scale, period = (
            h.to(x.dtype)[..., None, None]
            for h in (self.lengthscale, self.scale, self.period)
        )
        r = (x - other.mT).abs().unsqueeze(1)
        if self.family == "rbf":
            correlation = (-0.5 * (r / lengthscale).square()).exp()
        elif self.family == "matern52":
            z = math.sqrt(5) * r / lengthscale
            correlation = (1 + z + z.square() / 3) * (-z).exp()
        else:
            sine = (math.pi * r / period).sin() / lengthscale
            correlation = (-2 * sine.square()).exp()
        return scale.square() * correlation

    def to(self, device: torch.device | str) -> Kernel:
        hyperparameters = (self.lengthscale, self.scale, self.period)
        return Kernel(self.family, *(h.to(device) for h in hyperparameters))


@dataclass(frozen=True)
class GaussianProcesses:
    """p(T) of Gaussian-process functions of one kernel family.

    `sample` is two steps, for whoever wants to know what was drawn: `kernels` draws
    hyperparameters and `observe` functions with such kernels, at points drawn afresh.

    Attributes:
        lengthscale: the ranges, uniform, of the hyperparameters; only the periodic
            kernel has a period.
        scale: the ranges, uniform, of the hyperparameters; only the periodic kernel has
            a period.
        period: the ranges, uniform, of the hyperparameters; only the periodic kernel
            has a period.
        noise: the standard deviation of ε.
        support: the fewest and the most support points of a task.
        points: the most of support and query together; queries are at least 3.

    Raises:
        ValueError: a range that is empty or not positive, noise of 0, or sizes that
            leave no query.
    """

    family: Family = "rbf"
    lengthscale: Range = (0.1, 0.6)
    scale: Range = (0.1, 1.0)
    period: Range = (0.1, 0.5)
    noise: float = 0.02
    support: tuple[int, int] = (FEWEST, 46)
    points: int = 49

    def __post_init__(self) -> None:
        for name in ("lengthscale", "scale", "period"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(
                    f"{name}=({low}, {high}) must be a range of positive numbers, "
                    "the smaller one first."
                )
        if self.noise <= 0:
            raise ValueError(
                f"noise={self.noise} must be positive: without noise the covariance "
                "of neighbouring points is singular to rounding."
            )
        fewest, most = self.support
        if not 1 <= fewest <= most <= self.points - FEWEST:
            raise ValueError(
                f"support=({fewest}, {most}) of points={self.points} must be at least "
                f"1 and leave {FEWEST} points for queries."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks: x and y are [T, S, 1] to learn from, [T, Q, 1] to ask."""
        return self.observe(
            self.kernels(n_tasks, generator=generator), generator=generator
        )

    def kernels(self, n_tasks: int, *, generator: torch.Generator) -> Kernel:
        """The hyperparameters of each of `n_tasks` tasks, [T, 1]."""
        return Kernel(
            self.family,
            *(
                _uniform((n_tasks, 1), limits, generator)
                for limits in (self.lengthscale, self.scale, self.period)
            ),
        )

    def candidates(self, per_axis: int) -> Kernel:
        """A grid over the ranges, [1, K]: all kernels that a task may have.

        `per_axis` values of each hyperparameter that the family has, in the middles of
        equal parts of its range.
        """
        middles = (torch.arange(per_axis) + 0.5) / per_axis
        axes = [
            low + (high - low) * middles
            for low, high in (self.lengthscale, self.scale, self.period)
        ]
        if self.family != "periodic":
            axes[2] = axes[2][:1]
        grid = torch.meshgrid(*axes, indexing="ij")
        return Kernel(self.family, *(axis.reshape(1, -1) for axis in grid))

    def observe(self, kernel: Kernel, *, generator: torch.Generator) -> Episode:
        """A function for each kernel, at inputs and in numbers drawn afresh."""
        # A tensor's shape is a number on the host, so this waits for the device.
        S = _integer(*self.support, generator)
        Q = _integer(FEWEST, self.points - S, generator)
        tasks = len(kernel.scale)
        x = _uniform((tasks, S + Q, 1), INPUT, generator)
        y = self.values(kernel, x, generator=generator)
        return Episode(x[:, :S], y[:, :S], x[:, S:], y[:, S:])

    def values(
        self,
        kernel: Kernel,
        x: Float[Tensor, "T n 1"],
        *,
        generator: torch.Generator,
    ) -> Float[Tensor, "T n 1"]:
        """One noisy function for each task's kernel, jointly at the points x."""
        precise = x.to(precision(x.device))
        covariance = kernel(precise, precise)[:, 0]
        factor = cholesky(with_noise(covariance, self.noise))
        white = torch.randn(x.shape, generator=generator, device=x.device)
        return (factor @ white.to(factor.dtype)).to(x.dtype)


def with_noise(
    covariance: Float[Tensor, "*batch n n"], noise: float
) -> Float[Tensor, "*batch n n"]:
    """The covariance of noisy observations: noise² more on the diagonal."""
    n, like = covariance.shape[-1], covariance
    return covariance + noise**2 * torch.eye(n, dtype=like.dtype, device=like.device)


def cholesky(matrix: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """The lower factors; NaN where a matrix is not positive definite.

    `torch.linalg.cholesky` raises, and for that waits for the device at every call. A
    NaN reaches whoever looks next, and training refuses it by itself.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return factor.where((failed == 0)[..., None, None], torch.nan)


def precision(device: torch.device) -> torch.dtype:
    """Double where there is one: Apple's GPUs have none.

    With a noise of 0.02 the condition number of a covariance reaches 10⁵, and single
    precision leaves two digits of a small posterior variance.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def _uniform(
    shape: tuple[int, ...], limits: Range, generator: torch.Generator
) -> Tensor:
    low, high = limits
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """Uniform among low, ..., high."""
    drawn = torch.randint(
        low, high + 1, (1,), generator=generator, device=generator.device
    )
    return int(drawn)
