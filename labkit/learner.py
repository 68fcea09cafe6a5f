"""The two calls every method of the book is made of."""

from __future__ import annotations

from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

Normalisation = Literal["inductive", "transductive"]


class Learner(nn.Module):
    """A method of meta-learning: θ is its parameters, `adapt` gives θ', `predict` f_θ'.

    `normalisation` says what a prediction may depend on. An *inductive* learner
    predicts each query as if it were alone; a *transductive* one lets queries share
    statistics, as batch normalisation in training mode does, and so reads part of the
    test set before it answers.
    """

    normalisation: Normalisation = "inductive"

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Any:
        """Read the support sets of T tasks: θ' = Adapt(θ, support)."""
        raise NotImplementedError

    def predict(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """Answer the queries of the same T tasks: values, or logits over C classes."""
        raise NotImplementedError
