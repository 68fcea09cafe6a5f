"""Few-shot tasks from a set of characters: N classes, K drawings to learn each from.

The protocol is that of Lake et al. (2011) and Vinyals et al. (2016): every task draws
N classes, permutes them, and draws K + Q different drawings of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from labkit.episode import Episode


@dataclass(frozen=True)
class CharacterSet:
    """Drawings of characters that belong to alphabets, invented or real.

    images: uint8, ink is 255 and paper 0; every class has the same number of drawings.
    alphabet: the index into `alphabets` of each class.
    names: one a class, for instance "Greek/character07".
    """

    images: UInt8[Tensor, "classes drawings H W"]
    alphabet: Int64[Tensor, "classes"]
    names: tuple[str, ...]
    alphabets: tuple[str, ...]

    def to(self, device: torch.device | str) -> CharacterSet:
        return replace(
            self, images=self.images.to(device), alphabet=self.alphabet.to(device)
        )


@dataclass(frozen=True)
class FewShot:
    """p(T) of N-way K-shot classification with Q queries a class.

    within_alphabet: draw the N classes of a task from one alphabet (Lake's harder
    protocol), or from the whole set.
    """

    characters: CharacterSet
    way: int
    shot: int
    query: int = 15
    within_alphabet: bool = False

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        raise NotImplementedError
