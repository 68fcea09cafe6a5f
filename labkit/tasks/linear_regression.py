"""Linear regression tasks: y = wᵀx + ε, with another w in every task.

The smallest p(T) in which the best possible learner is known in closed form, for any
number of examples (Garg et al. 2022, section 3; Raventós et al. 2023, section 2). What
p(T) says about w is its prior: a Gaussian, a Gaussian with few non-zero entries, or one
of a finite pool of M vectors. The learners that know it are in
`labkit.learners.oracles.linear`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.episode import Episode
from labkit.randomness import seeded

Inputs = Literal["normal", "uniform"]
MOMENTS = {"normal": (1.0, 3.0), "uniform": (1 / 3, 1 / 5)}
"""Of an entry of x: the means of its square and of its fourth power."""


@runtime_checkable
class Prior(Protocol):
    """Where the weights of a task come from."""

    @property
    def dimension(self) -> int: ...

    def draw(
        self, n_tasks: int, *, generator: torch.Generator
    ) -> Float[Tensor, "T d"]: ...


@dataclass(frozen=True)
class Gaussian:
    """w ~ N(0, I)."""

    dimension: int

    def draw(self, n_tasks: int, *, generator: torch.Generator) -> Float[Tensor, "T d"]:
        return _normal((n_tasks, self.dimension), generator)


@dataclass(frozen=True)
class Sparse:
    """Gaussian in `nonzero` entries chosen at random, zero in the others.

    Those are larger by √(dimension / nonzero), so that ‖w‖² is in the mean what it is
    without the zeros, and y as large. (Garg et al. 2022 leave them as they are.)

    Raises:
        ValueError: not between 1 and all entries non-zero.
    """

    dimension: int
    nonzero: int

    def __post_init__(self) -> None:
        if not 1 <= self.nonzero <= self.dimension:
            raise ValueError(
                f"nonzero={self.nonzero} must be between 1 and "
                f"dimension={self.dimension}."
            )

    def draw(self, n_tasks: int, *, generator: torch.Generator) -> Float[Tensor, "T d"]:
        dense = _normal((n_tasks, self.dimension), generator)
        keys = torch.rand(dense.shape, generator=generator, device=generator.device)
        kept = keys.argsort(-1).argsort(-1) < self.nonzero  # ranks of random numbers
        return dense * kept * (self.dimension / self.nonzero) ** 0.5


@dataclass(frozen=True)
class Pool:
    """One of `size` weight vectors, each as likely; they were drawn from N(0, I) once.

    Raises:
        ValueError: a pool of no vectors.
    """

    dimension: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size={self.size}: a pool needs at least one task.")

    def weights(self, device: torch.device | str = "cpu") -> Float[Tensor, "M d"]:
        """All of them, the same on every device."""
        source = seeded(self.seed, "pool of tasks")
        return Gaussian(self.dimension).draw(self.size, generator=source).to(device)

    def draw(self, n_tasks: int, *, generator: torch.Generator) -> Float[Tensor, "T d"]:
        which = torch.randint(
            self.size, (n_tasks,), generator=generator, device=generator.device
        )
        return self.weights(generator.device)[which]


@dataclass(frozen=True)
class LinearRegression:
    """p(T) of linear functions, each seen at `shot` points and asked at `query` others.

    Attributes:
        noise: standard deviation of ε, in the targets of support and query alike.
        inputs: x with independent entries, standard normal or uniform in (−1, 1).
        input_scale: what x is multiplied by.

    Raises:
        ValueError: a negative number of points to learn from, none to ask about, or
            negative noise.
    """

    prior: Prior
    shot: int
    query: int = 1
    noise: float = 0.0
    inputs: Inputs = "normal"
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.shot < 0 or self.query < 1 or self.noise < 0:
            raise ValueError(
                f"shot={self.shot} and noise={self.noise} must be at least 0, and "
                f"query={self.query} at least 1."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks: x is [T, shot, d] to learn from and [T, query, d] to ask about,
        y has one column."""
        weights = self.prior.draw(n_tasks, generator=generator)
        shape = (n_tasks, self.shot + self.query, self.prior.dimension)
        if self.inputs == "normal":
            x = _normal(shape, generator)
        else:
            x = 2 * torch.rand(shape, generator=generator, device=generator.device) - 1
        x = self.input_scale * x
        y = x @ weights.unsqueeze(-1)
        y = y + self.noise * _normal(tuple(y.shape), generator)
        support, query = slice(self.shot), slice(self.shot, None)
        return Episode(x[:, support], y[:, support], x[:, query], y[:, query])


def least_squares_error(examples: int, dimension: int, noise: float = 0.0) -> float:
    """The expected squared error of least squares on a Gaussian prior, normal inputs.

    With k < d examples the smallest solution is the projection of w on the span of k
    random directions, plus what the noise is taken for; with more, noise alone errs:

        k < d:  (d − k) + σ² k / (d − k − 1) + σ²
        k ≥ d:            σ² d / (k − d − 1) + σ²

    by the mean of an inverse Wishart matrix, which is infinite for |k − d| < 2. The
    last σ² is the noise of the query's own target.
    """
    k, d = examples, dimension
    missed, span, spare = max(d - k, 0), min(k, d), abs(d - k) - 1
    if noise == 0 or span == 0:
        return missed + noise**2
    return math.inf if spare <= 0 else missed + noise**2 * (span / spare + 1)


def one_step_error(
    rate: float, dimension: int, examples: int, inputs: Inputs = "normal"
) -> float:
    """The expected squared error of `OneGradientStep` on a Gaussian prior, no noise.

    With S = XᵀX / N, and m₂ and m₄ the mean square and fourth power of an input,

        m₂ E‖(I − ηS) w‖² = m₂ (d − 2η E[tr S] + η² E[tr S²]),
        E[tr S] = d m₂,   E[tr S²] = (d/N) (m₄ + (d + N − 2) m₂²).
    """
    m2, m4 = MOMENTS[inputs]
    d, N = dimension, examples
    square = d / N * (m4 + (d + N - 2) * m2**2)
    return m2 * (d - 2 * rate * d * m2 + rate**2 * square)


def best_rate(dimension: int, examples: int, inputs: Inputs = "normal") -> float:
    """The η for which `one_step_error` is least: N m₂ / (m₄ + (d + N − 2) m₂²)."""
    m2, m4 = MOMENTS[inputs]
    return examples * m2 / (m4 + (dimension + examples - 2) * m2**2)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
