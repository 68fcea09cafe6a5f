"""A transformer as a learner (Garg, Tsipras, Liang & Valiant 2022): θ' is its cache.

The support is written as a prompt, and a query is one token more (their section 2):

    x_1, y_1, x_2, y_2, …, x_S, y_S, x   →   the output at x is the prediction of y

No weight changes. All that is learned about a task is in the keys and values of its
tokens, the cache, which every query reads for itself. Another example is two more
tokens: `adapt` goes on from a cache as if it had read all at once.

Loss, to be given to `meta_train` as its objective: `prefix_loss`, the mean over all
prefixes of a prompt at once (their equation 2). Normalisation: inductive; layer
normalisation looks at one token alone. Deviation: x and y enter by linear maps of their
own, where the published code pads y with zeros and shares one.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_whole
from labkit.episode import Episode
from labkit.learner import Learner
from labkit.networks.network import require_input
from labkit.networks.transformer import Transformer, set_linear, unset_linear
from labkit.objective import Score
from labkit.randomness import seeded


class InContext(Learner):
    """Predict the target of a query from the examples before it in the prompt.

    Args:
        inputs: the lengths of the vectors x and y.
        outputs: the lengths of the vectors x and y.
        repeat_x: let the token of a y carry its x as well. Otherwise the layers have to
            find out first which x a y belongs to, and training takes about twice as
            long.

    Raises:
        ValueError: a prompt longer than the network's context, 2 S + 1 tokens.
    """

    def __init__(
        self,
        network: Transformer,
        inputs: int,
        outputs: int,
        *,
        repeat_x: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_whole(1, inputs=inputs, outputs=outputs)
        self.network, self.repeat_x = network, repeat_x
        self.embed_x = unset_linear(inputs, network.width)
        self.embed_y = unset_linear(outputs, network.width)
        self.answer = unset_linear(network.width, outputs)
        generator = seeded(seed, "InContext")
        for layer in (self.embed_x, self.embed_y, self.answer):
            set_linear(layer, 1.0, generator=generator)

    def adapt(
        self,
        support_x: Float[Tensor, "T S ..."],
        support_y: Float[Tensor, "T S C"],
        state: Tensor | None = None,
    ) -> Tensor:
        """The cache of the prompt, or, with `state`, that cache and these examples."""
        return self.network.read(self.prompt(support_x, support_y), state)[1]

    def predict(
        self, adapted: Tensor, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        return self.answer(self.network.peek(self.embed(query_x), adapted))

    def stream(
        self, x: Float[Tensor, "T S ..."], y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T S C"]:
        """The predictions of y_1, …, y_S, each from the examples before it, in one
        pass: at i that of `predict` for x_i after `adapt` on what comes before i."""
        return self.answer(self.network(self.prompt(x, y))[:, 0::2])

    def prompt(
        self, x: Float[Tensor, "T S ..."], y: Float[Tensor, "T S C"]
    ) -> Float[Tensor, "T SS width"]:
        """The tokens x_1, y_1, …, x_S, y_S."""
        require_input("InContext", y, (self.embed_y.in_features,), self.embed_y.weight)
        questions, answers = self.embed(x), self.embed_y(y)
        if self.repeat_x:
            answers = answers + questions
        return torch.stack([questions, answers], dim=2).flatten(1, 2)

    def embed(self, x: Float[Tensor, "T S ..."]) -> Float[Tensor, "T S width"]:
        require_input("InContext", x, (self.embed_x.in_features,), self.embed_x.weight)
        return self.embed_x(x)


@runtime_checkable
class ReadsInOnePass(Protocol):
    """A learner that can be asked at every length of a prompt at once."""

    def stream(self, x: Tensor, y: Tensor) -> Tensor: ...


def prefix_loss(
    learner: ReadsInOnePass, episode: Episode, loss: Score
) -> Float[Tensor, ""]:
    """The mean over tasks, and over all prefixes of each task's examples, of the loss
    at the example that comes next: an `objective` to train on.

    Support and query are read as one sequence. Each of its examples is asked for before
    it is told, so that a task teaches at every size of support at once.
    """
    x = torch.cat([episode.support_x, episode.query_x], dim=1)
    y = torch.cat([episode.support_y, episode.query_y], dim=1)
    return loss(learner.stream(x, y), y).mean()
