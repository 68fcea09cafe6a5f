"""What can be done to a prompt to learn what in it matters; the queries stay as asked.

Each takes an episode and returns another. Examples are changed in the support alone,
so that the change of a score is the doing of the prompt.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit.episode import Episode
from labkit.tasks.languages.grammar import shuffled
from labkit.tasks.languages.vocabulary import text


def shorter(episode: Episode, shot: int) -> Episode:
    """The last `shot` examples of the support alone.

    Raises:
        ValueError: there are not so many.
    """
    if not 0 <= shot <= episode.support_x.shape[1]:
        raise ValueError(
            f"shot={shot}: the support has {episode.support_x.shape[1]} examples; take "
            "as many or fewer."
        )
    keep = slice(episode.support_x.shape[1] - shot, None)
    return replace(
        episode,
        support_x=episode.support_x[:, keep],
        support_y=episode.support_y[:, keep],
    )


def reordered(episode: Episode, *, generator: torch.Generator) -> Episode:
    """The same examples in a random order, another one for each task."""
    T, S = episode.support_x.shape[:2]
    order = shuffled(T, S, generator)
    return replace(
        episode,
        support_x=_taken(episode.support_x, order),
        support_y=_taken(episode.support_y, order),
    )


def mislabelled(
    episode: Episode, share: float, *, generator: torch.Generator
) -> Episode:
    """That share of each support, rounded, has the answers of one another.

    The first of the examples chosen takes the answer of the second, and so on in a
    ring: with two or more, every one has the answer of another, which is wrong unless
    the two have the same, and all the answers are there.
    """
    T, S = episode.support_x.shape[:2]
    ring = shuffled(T, S, generator)[:, : round(share * S)]
    source = torch.arange(S, device=ring.device).repeat(T, 1)
    source.scatter_(1, ring, ring.roll(-1, dims=1))
    return replace(episode, support_y=_taken(episode.support_y, source))


def switched(before: Episode, after: Episode, at: int) -> Episode:
    """The tasks of `after`, whose prompts begin with `at` examples of those of
    `before`: the format changes on the way."""
    return replace(
        after,
        support_x=torch.cat([before.support_x[:, :at], after.support_x[:, at:]], 1),
        support_y=torch.cat([before.support_y[:, :at], after.support_y[:, at:]], 1),
    )


def lines(
    x: Int64[Tensor, "S words"], y: Int64[Tensor, "S places"]
) -> list[tuple[str, str]]:
    """The examples of one task as text: [("dogs saw cat", "( dogs saw cat )"), …]."""
    return [(text(a), text(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _taken(
    of_each_task: Int64[Tensor, "T S n"], order: Int64[Tensor, "T S"]
) -> Int64[Tensor, "T S n"]:
    return of_each_task.gather(
        1, order.unsqueeze(-1).expand(-1, -1, of_each_task.shape[-1])
    )
