"""The two calls every method of the book is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from labkit.episode import require_examples

Normalisation = Literal["inductive", "transductive"]


class Learner(nn.Module):
    """A method of meta-learning: θ is its parameters, `adapt` gives θ', `predict` f_θ'.

    `normalisation` says what a prediction may depend on. An *inductive* learner
    predicts each query as if it were alone; a *transductive* one lets queries share
    statistics, as batch normalisation in training mode does, and so reads part of the
    test set before it answers. `evaluate` reports what it finds, not what is said here.

    Whoever writes a subclass need not look at shapes: what both calls are given has
    been looked at before they are entered.
    """

    normalisation: Normalisation = "inductive"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "adapt" in vars(cls):
            cls.adapt = _given_a_support(cls.adapt)  # type: ignore[method-assign]
        if "predict" in vars(cls):
            cls.predict = _given_queries(cls.predict)  # type: ignore[method-assign]

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Any:
        """Read the support sets of T tasks: θ' = Adapt(θ, support).

        Raises:
            TypeError: one of them is no tensor.
            ValueError: they do not begin with the same [T, S], or targets are not
                vectors.
        """
        raise NotImplementedError

    def predict(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """Answer the queries of the same T tasks: values, or logits over C classes.

        Raises:
            TypeError: the queries are no tensor.
            ValueError: there are none, or they have no task axis.
        """
        raise NotImplementedError


def _given_a_support(adapt: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(adapt)
    def checked(
        self: Learner, support_x: Tensor, support_y: Tensor, *state: Any, **named: Any
    ) -> Any:
        require_examples("support", support_x, support_y)
        return adapt(self, support_x, support_y, *state, **named)

    return checked


def _given_queries(predict: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(predict)
    def checked(self: Learner, adapted: Any, query_x: Tensor) -> Any:
        require_examples("query", query_x)
        if query_x.shape[1] == 0:
            raise ValueError(
                f"query_x {tuple(query_x.shape)} holds no query, so there is nothing "
                "to predict: sample at least one a task."
            )
        return predict(self, adapted, query_x)

    return checked
