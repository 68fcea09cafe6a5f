"""The exact answer to Gaussian-process tasks (Rasmussen & Williams 2006, chapter 2).

    f(x*) | support  ~  N( k*ᵀ K⁻¹ y,  k** − k*ᵀ K⁻¹ k* ),                (2.25, 2.26)
    K = k(X, X) + σ² I

θ' is the support and the Cholesky factor of K. Given the kernel of each task it is the
oracle of `labkit.tasks.gaussian_processes`. Given K candidate kernels it weighs each by
the probability it gave to the support (2.30) and mixes their predictions: what can be
said by somebody who knows p(T) and not the task, which is the position a learner is in.

Nothing to train. Normalisation: inductive.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.gaussian import LOG_2_PI
from labkit.learner import Learner
from labkit.tasks.gaussian_processes import Kernel, cholesky, precision, with_noise


class Conditioned(NamedTuple):
    """θ' of T tasks, under K kernels each."""

    x: Float[Tensor, "T S 1"]
    factor: Float[Tensor, "T K S S"]  # L with L Lᵀ = k(x, x) + σ² I
    white: Float[Tensor, "T K S 1"]  # L⁻¹ y: the support as independent unit normals
    log_evidence: Float[Tensor, "T K"]  # log p(y | x, kernel)


class GaussianProcess(Learner):
    """Predict with the posterior of a Gaussian process.

    Args:
        kernel: of each task, [T, 1], or candidates for all, [1, K], all equally
            probable before a point is seen.
        noise: the standard deviation of the observations about the function.

    Raises:
        ValueError: in `adapt`, a covariance that is not positive definite.
    """

    def __init__(self, kernel: Kernel, noise: float) -> None:
        super().__init__()
        self.kernel, self.noise = kernel, noise

    def adapt(
        self,
        support_x: Float[Tensor, "T S 1"],
        support_y: Float[Tensor, "T S 1"],
        state: Conditioned | None = None,
    ) -> Conditioned:
        """Condition on more examples: n old and m new ones cost O(n² m + m³).

        The factor of the larger covariance is the old one, L, with m rows more:

            [[L, 0], [Bᵀ, M]],  B = L⁻¹ k(old, new),  M Mᵀ = k(new, new) + σ² I − BᵀB
        """
        dtype = precision(support_x.device)
        x, y = support_x.to(dtype), support_y.to(dtype).unsqueeze(1)
        if state is None:
            state = self._nothing_seen(x)
        across = torch.linalg.solve_triangular(
            state.factor, self.kernel(state.x, x), upper=False
        )
        covariance = with_noise(self.kernel(x, x), self.noise)
        corner = cholesky(covariance - across.mT @ across)
        if bool(corner.isnan().any()):
            raise ValueError(
                f"A covariance with noise {self.noise} is not positive definite. "
                "Raise the noise, or remove support points that coincide."
            )
        white = torch.linalg.solve_triangular(
            corner, y - across.mT @ state.white, upper=False
        )
        above = torch.cat([state.factor, torch.zeros_like(across)], dim=-1)
        below = torch.cat([across.mT, corner], dim=-1)
        log_density = -0.5 * (white.square() + LOG_2_PI).sum(dim=(-2, -1))
        log_density = log_density - corner.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return Conditioned(
            torch.cat([state.x, x], dim=1),
            torch.cat([above, below], dim=-2),
            torch.cat([state.white, white], dim=-2),
            state.log_evidence + log_density,
        )

    def posterior(
        self, adapted: Conditioned, query_x: Float[Tensor, "T Q 1"]
    ) -> tuple[Float[Tensor, "T K Q"], Float[Tensor, "T K Q Q"]]:
        """Mean and covariance of the observations at all queries, for each kernel."""
        x = query_x.to(adapted.x.dtype)
        across = torch.linalg.solve_triangular(
            adapted.factor, self.kernel(adapted.x, x), upper=False
        )
        mean = (across.mT @ adapted.white).squeeze(-1)
        covariance = with_noise(self.kernel(x, x), self.noise)
        return mean, covariance - across.mT @ across

    def predict(
        self, adapted: Conditioned, query_x: Float[Tensor, "T Q 1"]
    ) -> Float[Tensor, "T Q 2"]:
        """Each query by itself, as `labkit.gaussian`: with several kernels, the
        Gaussian of the mixture's mean and variance, which of all Gaussians has the
        highest expected log-likelihood."""
        means, covariances = self.posterior(adapted, query_x)
        variances = covariances.diagonal(dim1=-2, dim2=-1)
        weights = adapted.log_evidence.softmax(-1).unsqueeze(-1)
        mean = (weights * means).sum(1)
        spread = (means - mean.unsqueeze(1)).square()
        variance = (weights * (variances + spread)).sum(1)
        prediction = torch.stack([mean, 0.5 * variance.log()], dim=-1)
        return prediction.to(query_x.dtype)

    def joint_log_likelihood(
        self,
        adapted: Conditioned,
        query_x: Float[Tensor, "T Q 1"],
        query_y: Float[Tensor, "T Q 1"],
    ) -> Float[Tensor, " T"]:
        """log p(all queries | support) / Q: it knows how the queries go together.

        By the chain rule it is what adapting to the queries adds to the evidence.
        """
        after = self.adapt(query_x, query_y, adapted)
        seen, all_seen = (s.log_evidence.logsumexp(-1) for s in (adapted, after))
        return (all_seen - seen) / query_x.shape[1]

    def _nothing_seen(self, x: Float[Tensor, "T S 1"]) -> Conditioned:
        tasks = len(x)
        kernels = (tasks, self.kernel.scale.shape[1])
        return Conditioned(
            x[:, :0],
            x.new_empty(*kernels, 0, 0),
            x.new_empty(*kernels, 0, 1),
            x.new_zeros(kernels),
        )
