"""What linear regression tasks are answered with when nobody has to learn how.

Each finds weights w for a task, and θ' is w. `Ridge` and `DiscreteBayes` are the best
possible learners, in mean squared error, of two p(T): they know its prior and noise,
and predict with the posterior mean of w (Raventós et al. 2023, section 2). The others
know less: `LeastSquares`, `OneGradientStep`, and `NearestNeighbours`, which does not
even know that tasks are linear (the baselines of Garg et al. 2022, section 3.1).

All are for y of one column, work on an empty support, and are inductive.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.learner import Learner
from labkit.learners.matching import LabelledSupport


class LinearOracle(Learner):
    """θ' is one weight vector for each task; it predicts wᵀx."""

    def predict(
        self, adapted: Float[Tensor, "T d 1"], query_x: Float[Tensor, "T Q d"]
    ) -> Float[Tensor, "T Q 1"]:
        return query_x @ adapted


class LeastSquares(LinearOracle):
    """The smallest w among those that fit the support best: w = X⁺ y."""

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S 1"]
    ) -> Float[Tensor, "T d 1"]:
        return torch.linalg.pinv(support_x) @ support_y


class Ridge(LinearOracle):
    """w = (XᵀX + σ² I)⁻¹ Xᵀ y: the posterior mean for w ~ N(0, I) and noise σ.

    Raises:
        ValueError: no noise; the limit is then `LeastSquares`.
    """

    def __init__(self, noise: float) -> None:
        super().__init__()
        if noise <= 0:
            raise ValueError(
                f"noise={noise} must be positive. Without noise ridge regression is "
                "LeastSquares."
            )
        self.noise = noise

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S 1"]
    ) -> Float[Tensor, "T d 1"]:
        identity = torch.eye(
            support_x.shape[-1], dtype=support_x.dtype, device=support_x.device
        )
        gram = support_x.mT @ support_x + self.noise**2 * identity
        return torch.linalg.solve(gram, support_x.mT @ support_y)


class DiscreteBayes(LinearOracle):
    """The posterior mean for w out of a pool of M, each as likely, and noise σ:

        w = Σ_m softmax_m( −‖y − X w_m‖² / (2σ²) ) w_m.

    Args:
        pool: the M weight vectors [M, d].

    Raises:
        ValueError: no noise, with which a likelihood is 0 or infinite.
    """

    def __init__(self, pool: Float[Tensor, "M d"], noise: float) -> None:
        super().__init__()
        if noise <= 0:
            raise ValueError(f"noise={noise} must be positive.")
        self.register_buffer("pool", pool)
        self.noise = noise

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S 1"]
    ) -> Float[Tensor, "T d 1"]:
        pool = self.get_buffer("pool")
        # ‖y − Xw‖² = wᵀ(XᵀX)w − 2 (Xᵀy)ᵀw + a constant, with no tensor [T, S, M]
        gram = (support_x.mT @ support_x).flatten(1)
        squares = (pool.unsqueeze(2) * pool.unsqueeze(1)).flatten(1)
        fit = 2 * (support_x.mT @ support_y).squeeze(-1) @ pool.mT - gram @ squares.mT
        posterior = (fit / (2 * self.noise**2)).softmax(-1)
        return (posterior @ pool).unsqueeze(-1)


class OneGradientStep(LinearOracle):
    """w = η/N Σ_i y_i x_i: one step at rate η from w = 0 on 1/(2N) Σ_i (wᵀx_i − y_i)².

    With η = 1 it is the averaging estimator of Garg et al. (2022): for standard normal
    inputs the mean of y x is w.
    """

    def __init__(self, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = rate

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S 1"]
    ) -> Float[Tensor, "T d 1"]:
        return self.rate / max(support_x.shape[1], 1) * (support_x.mT @ support_y)


class NearestNeighbours(Learner):
    """The mean y of the `neighbours` support points nearest to the query; θ' is the
    support as it is. With fewer points, of all of them; with none, 0."""

    def __init__(self, neighbours: int = 3) -> None:
        super().__init__()
        self.neighbours = neighbours

    def adapt(
        self, support_x: Float[Tensor, "T S d"], support_y: Float[Tensor, "T S 1"]
    ) -> LabelledSupport:
        return LabelledSupport(support_x, support_y)

    def predict(
        self, adapted: LabelledSupport, query_x: Float[Tensor, "T Q d"]
    ) -> Float[Tensor, "T Q 1"]:
        x, y = adapted
        k = min(self.neighbours, x.shape[1])
        if k == 0:
            return torch.zeros_like(query_x[..., :1])
        nearest = torch.cdist(query_x, x).topk(k, largest=False).indices
        T, Q = query_x.shape[:2]
        return y.gather(1, nearest.view(T, Q * k, 1)).view(T, Q, k).mean(-1, True)
