"""A transformer that writes what examples showed (Brown et al. 2020): θ' is its cache.

An example is a sentence x of w tokens and what becomes of it, y, of p tokens. As in
`in_context`, a prompt is made of questions and answers, two for each token of a y:

    question j of x:  which token stands at place j of y?   (c(x¹), …, c(xʷ)) + place_j
    answer j:         this one does                         the question + E(yʲ)

where c and E are learned vectors of tokens. The output at a question is scored against
E and gives the distribution of yʲ, given all examples before and the tokens of y before
j. To write a y is to ask for its tokens one by one, to take the likeliest, and to read
it as the answer (greedy decoding). No weight changes: few-shot learning "without any
gradient updates" is section 2 of that paper.

Loss, to be given to `meta_train` as its objective: `prefix_loss` of `in_context`, with
`token_cross_entropy`: the mean over tasks, over all S + Q examples, each after those
before it, and over the p tokens of its y. Normalisation: inductive.

Deviations: the prompts of that paper are plain text, where a network must find out by
itself which sentence a token belongs to, and where in it. In trials of some minutes, we
saw it learn rules of format from such prompts, and no languages. E both embeds tokens
and scores them (Press and Wolf 2017).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.learner import Learner
from labkit.networks.transformer import Transformer
from labkit.randomness import seeded


class InContextTokens(Learner):
    """Write the y of a query's x, given examples of both.

    Args:
        tokens: how many different ones there are, V.
        words: how many tokens an x and a y have.
        places: how many tokens an x and a y have.
        code: the length of c(x), of which w must fit into the network's width.

    Raises:
        ValueError: a prompt longer than the network's context, 2 p tokens an example;
            or codes longer than the network is wide.
    """

    def __init__(
        self,
        network: Transformer,
        *,
        tokens: int,
        words: int,
        places: int,
        code: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_whole(1, tokens=tokens, words=words, places=places, code=code)
        if words * code > network.width:
            raise ValueError(
                f"{words} words of code={code} do not fit into width={network.width}."
            )
        self.network, self.places = network, places
        self.codes = nn.Parameter(torch.empty(tokens, code))
        self.place = nn.Parameter(torch.empty(places, network.width))
        self.embedding = nn.Parameter(torch.empty(tokens, network.width))
        generator = seeded(seed, "InContextTokens")
        for vectors in (self.codes, self.place):
            nn.init.normal_(vectors, generator=generator)
        std = network.width**-0.5  # logits of about 1
        nn.init.normal_(self.embedding, std=std, generator=generator)

    def adapt(
        self,
        support_x: Int64[Tensor, "T S words"],
        support_y: Int64[Tensor, "T S places"],
        state: Tensor | None = None,
    ) -> Tensor:
        """The cache of the prompt, or, with `state`, that cache and these examples."""
        return self.network.read(self.prompt(support_x, support_y), state)[1]

    def predict(
        self, adapted: Tensor, query_x: Int64[Tensor, "T Q words"]
    ) -> Int64[Tensor, "T Q places"]:
        """The tokens of each query's y. Each query goes on from a copy of the cache."""
        T, Q, _ = query_x.shape
        cache = adapted.repeat_interleave(Q, dim=0)
        written: list[Tensor] = []
        for question in self.questions(query_x).flatten(0, 1).split(1, dim=1):
            h, cache = self.network.read(question, cache)
            token = self.logits(h[:, -1]).argmax(-1)
            answer = question + self.embed(token).unsqueeze(1)
            _, cache = self.network.read(answer, cache)
            written.append(token)
        return torch.stack(written, dim=-1).view(T, Q, self.places)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """`stream`, for those who call it with other weights than the learner's own."""
        return self.stream(x, y)

    def stream(
        self, x: Int64[Tensor, "T S words"], y: Int64[Tensor, "T S places"]
    ) -> Float[Tensor, "T S places V"]:
        """The logits of all tokens of y_1, …, y_S in one pass: each from the examples
        before it, and from its own x and the true tokens of its own y before it."""
        h = self.network(self.prompt(x, y))[:, 0::2]
        return self.logits(h).unflatten(1, (-1, self.places))

    def prompt(
        self, x: Int64[Tensor, "T S words"], y: Int64[Tensor, "T S places"]
    ) -> Float[Tensor, "T L width"]:
        """Question and answer in turn, for all places of y_1, …, y_S."""
        questions = self.questions(x)
        answers = questions + self.embed(y)
        return torch.stack([questions, answers], dim=3).flatten(1, 3)

    def questions(
        self, x: Int64[Tensor, "T S words"]
    ) -> Float[Tensor, "T S places width"]:
        """The codes of a sentence side by side, and a vector of the place asked for."""
        sentence = F.embedding(x, self.codes).flatten(2)
        sentence = F.pad(sentence, (0, self.network.width - sentence.shape[-1]))
        return sentence.unsqueeze(2) + self.place

    def embed(self, y: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape width"]:
        return F.embedding(y, self.embedding) * self.network.width**0.5

    def logits(self, h: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape V"]:
        return h @ self.embedding.T


def token_cross_entropy(
    logits: Float[Tensor, "T S places V"], target: Int64[Tensor, "T S places"]
) -> Float[Tensor, " T"]:
    """Mean over examples and places of −log softmax(logits) at the true token."""
    losses = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none")
    return losses.view_as(target).mean(dim=(1, 2))
