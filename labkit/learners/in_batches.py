"""The same learner, asked its queries a few at a time: what do they tell each other?"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.arguments import require_whole
from labkit.learner import Learner


class InBatches(Learner):
    """Predicts each task's queries in batches, and answers in the order asked.

    To an inductive learner it makes no difference. A transductive one predicts each
    query from the batch it comes in, so this measures what it owes to the company.

    Args:
        order: which queries come together: the first `size` of it, the next, and so on.
    """

    def __init__(self, learner: Learner, order: Int64[Tensor, " Q"], size: int) -> None:
        super().__init__()
        require_whole(1, size=size)
        self.learner, self.size = learner, size
        self.register_buffer("order", order)
        self.normalisation = learner.normalisation

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Any:
        return self.learner.adapt(support_x, support_y)

    def predict(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        order = self.get_buffer("order")
        batches = query_x[:, order].split(self.size, dim=1)
        answers = [self.learner.predict(adapted, batch) for batch in batches]
        return torch.cat(answers, 1)[:, order.argsort()]
