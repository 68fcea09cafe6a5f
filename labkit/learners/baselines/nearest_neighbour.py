"""One nearest neighbour on raw inputs: θ' is the support as it is, and θ is empty.

The baseline that learns nothing: each query takes the label of the support example
nearest to it in squared Euclidean distance of its pixels. (Vinyals et al. (2016),
Table 1, "Pixels", compares by the cosine instead.) Nothing to train. Normalisation:
inductive.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from labkit.learner import Learner
from labkit.learners.matching import LabelledSupport


class NearestNeighbour(Learner):
    """Classify by the label of the single nearest support example."""

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> LabelledSupport:
        return LabelledSupport(support_x.flatten(2), support_y)

    def predict(
        self, adapted: LabelledSupport, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """The label vector of the nearest support example."""
        support, labels = adapted
        # −‖q − s‖² without ‖q‖², which is the same for every s
        nearness = 2 * query_x.flatten(2) @ support.mT
        nearness = nearness - support.square().sum(-1).unsqueeze(1)
        nearest = nearness.argmax(-1, keepdim=True)
        return labels.gather(1, nearest.expand(-1, -1, labels.shape[-1]))
