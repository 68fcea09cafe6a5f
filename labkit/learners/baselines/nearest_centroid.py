"""Nearest centroid on the features of an ordinary classifier.

    c_k = mean of z(x) over the support examples of class k,   z(x) = f(x) / ‖f(x)‖

and a query takes the class with the smallest ‖z(x) − c_k‖². This is L2N of SimpleShot
(Wang et al. 2019, §3): the predictions of `ProtoNet`, but f has never seen an episode.
It is the body of a classifier of all background classes, trained by
`labkit.experiments.classifier.train_classifier`. Normalisation: that of the network;
inductive unless it keeps no running statistics.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.learner import Learner
from labkit.learners.distances import Similarity
from labkit.learners.protonet import class_means, require_support
from labkit.networks.network import Network, require_network


class NearestCentroid(Learner):
    """Classify by the nearest class mean of fixed, normalised features.

    Raises:
        TypeError: a network that is no `Network`.
        ValueError: in evaluation, a class without a support example.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        require_network(network)
        self.network = network
        self.similarity = Similarity("squared_euclidean")
        if network.uses_batch_statistics:
            self.normalisation = "transductive"

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T C D"]:
        if not self.training:
            require_support(support_y)
        return class_means(self._features(support_x), support_y)

    def predict(
        self, adapted: Float[Tensor, "T C D"], query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """Minus the squared distances to the centroids."""
        return self.similarity(self._features(query_x), adapted)

    def _features(self, x: Float[Tensor, "T B ..."]) -> Float[Tensor, "T B D"]:
        return F.normalize(self.network(x), dim=-1)
