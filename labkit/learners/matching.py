"""Matching Networks (Vinyals et al. 2016): θ' is the labelled support itself.

    p(y | x̂, S) = Σ_i a(x̂, x_i) y_i                                       (eq. 1)
    a(x̂, x_i) = softmax over i of s · c(f(x̂), g(x_i))                     (§2.1.1)

f and g are one network; the fully conditional ones are in `matching_fce`. c is the
cosine and s a learned scale, where the paper has none; minus the squared Euclidean
distance may stand for both (`Similarity`). Loss: the cross-entropy, averaged over the
queries.
Normalisation: as in `protonet`, by the batch of each side in training and by running
statistics in evaluation (inductive), unless the network keeps none (transductive).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.learner import Learner
from labkit.learners.distances import Distance, Similarity
from labkit.networks.network import Network, require_network


class LabelledSupport(NamedTuple):
    """θ': the embedded support examples and their labels."""

    embeddings: Float[Tensor, "T S D"]
    labels: Float[Tensor, "T S C"]


class MatchingNet(Learner):
    """Classify by attention over the labelled support examples.

    With one example a class, softmax over examples is softmax over classes, and the
    predictions are those of `ProtoNet` with the same network and distance.
    """

    def __init__(self, network: Network, distance: Distance = "cosine") -> None:
        super().__init__()
        require_network(network)
        self.network = network
        self.similarity = Similarity(distance)
        if network.uses_batch_statistics:
            self.normalisation = "transductive"

    def adapt(
        self, support_x: Float[Tensor, "T S ..."], support_y: Float[Tensor, "T S C"]
    ) -> Any:
        return LabelledSupport(self.network(support_x), support_y)

    def log_attention(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q S"]:
        """The logarithm of a(x̂, x_i); its exponentials sum to 1 over the support."""
        similarity = self.similarity(self.network(query_x), adapted.embeddings)
        return similarity.log_softmax(-1)

    def predict(
        self, adapted: Any, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """Log-probabilities: the logarithm of eq. 1."""
        return log_of_attended_labels(
            self.log_attention(adapted, query_x), adapted.labels
        )


def log_of_attended_labels(
    log_attention: Float[Tensor, "T Q S"], labels: Float[Tensor, "T S C"]
) -> Float[Tensor, "T Q C"]:
    """log Σ_i a_i y_i, computed without leaving the logarithms.

    An attention too small for a floating-point number still has a logarithm, so that
    a confident mistake has a finite loss and a gradient. Where the support holds no
    example of a class, its probability is 0 and its logarithm the lowest finite number.
    Of soft labels this is exact for the largest of each example; what the others add is
    lost where it is smaller than a floating-point number. Memory grows with Q · S.
    """
    labels = labels.to(log_attention.dtype)
    largest, of_class = labels.max(-1, keepdim=True)
    first = torch.zeros_like(labels).scatter(-1, of_class, largest)  # all, if one-hot
    known, of_class = log_attention.detach(), of_class.mT.expand_as(log_attention)
    lowest = torch.finfo(known.dtype).min

    # One sum for each class, of numbers relative to the largest of its own.
    labelled = log_attention.masked_fill(largest.mT == 0, lowest)
    peak = known.new_full((*known.shape[:2], labels.shape[-1]), lowest)
    peak = peak.scatter_reduce(2, of_class, labelled.detach(), "amax")
    relative = (labelled - peak.gather(2, of_class)).exp()
    # What soft labels give to other classes than their largest.
    peak_of_all = known.amax(-1, keepdim=True)
    of_all = (log_attention - peak_of_all).exp()
    # Tensors without data ("meta") know no autocast to be disabled.
    with torch.autocast("cpu" if known.is_meta else known.device.type, enabled=False):
        by_first, by_rest = relative @ first, of_all @ (labels - first)
    return torch.logaddexp(_log(by_first, peak), _log(by_rest, peak_of_all))


def _log(mass: Float[Tensor, "T Q C"], above: Tensor) -> Float[Tensor, "T Q C"]:
    """log mass + above; the lowest finite number, without a gradient, where it is 0."""
    numbers = torch.finfo(mass.dtype)
    logarithm = mass.clamp_min(numbers.tiny).log() + above
    return logarithm.masked_fill(mass < numbers.tiny, numbers.min)
