"""How alike two representations of the same inputs are."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def linear_cka(
    a: Float[Tensor, "T n D"], b: Float[Tensor, "T n E"]
) -> Float[Tensor, " T"]:
    """Linear centred kernel alignment of n inputs, for each task (Kornblith et al.
    2019, section 3): 1 when the two agree up to a rotation, a shift and a scale.

        ‖AᵀB‖² / (‖AᵀA‖ ‖BᵀB‖)   with centred columns and Frobenius norms
    """
    a, b = (features - features.mean(1, keepdim=True) for features in (a, b))
    across, of_a, of_b = (
        (left.mT @ right).norm(dim=(1, 2)) for left, right in ((a, b), (a, a), (b, b))
    )
    return across.square() / (of_a * of_b)
