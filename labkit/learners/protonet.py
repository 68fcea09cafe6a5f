"""Prototypical Networks (Snell, Swersky & Zemel 2017): θ' is one point for each class.

    c_k = mean of f_φ(x) over the support examples of class k              (eq. 1)
    p(y = k | x) = softmax over k of −d(f_φ(x), c_k)                       (eq. 2)

Distance: squared Euclidean, as in the paper, or the cosine with a learned scale
(`Similarity`). Loss, to be given to `meta_train`: the cross-entropy, averaged over the
queries. Normalisation: support and query pass through the network one after the other;
in training each side is normalised by its own batch, in evaluation by the network's
running statistics (inductive), unless the network keeps none (transductive).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from labkit.learner import Learner
from labkit.learners.distances import Distance, Similarity
from labkit.networks.network import Network, require_network


class ProtoNet(Learner):
    """Classify by the nearest class mean in a learned embedding.

    Raises:
        ValueError: in evaluation, a class without a support example (its mean would
            be 0/0). Training does not look, since looking waits for the device.
    """

    def __init__(
        self, network: Network, distance: Distance = "squared_euclidean"
    ) -> None:
        super().__init__()
        require_network(network)
        self.network = network
        self.similarity = Similarity(distance)
        if network.uses_batch_statistics:
            self.normalisation = "transductive"

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T C D"]:
        """The prototypes: eq. 1."""
        if not self.training:
            require_support(support_y)
        return class_means(self.network(support_x), support_y)

    def predict(
        self, adapted: Float[Tensor, "T C D"], query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """Logits, the similarities to the prototypes: eq. 2 before its softmax."""
        return self.similarity(self.network(query_x), adapted)


def class_means(
    features: Float[Tensor, "T S D"], targets: Float[Tensor, "T S C"]
) -> Float[Tensor, "T C D"]:
    """The mean of each class's features; with soft targets the weighted mean."""
    if not targets.is_floating_point():
        targets = targets.to(features.dtype)
    return targets.mT @ features / targets.sum(1).unsqueeze(-1)


def require_support(targets: Float[Tensor, "T S C"]) -> None:
    """Raise ValueError if a class has no example. Looking waits for the device."""
    if bool((targets.sum(1) == 0).any()):
        raise ValueError(
            "A class of this task has no support example, so its features have no "
            "mean. Sample at least one example a class, or drop the class's column."
        )
