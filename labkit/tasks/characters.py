"""Few-shot tasks from a set of characters: N classes, K drawings to learn each from.

The protocol is that of Lake et al. (2011) and Vinyals et al. (2016): every task draws
N classes, permutes them, and draws K + Q different drawings of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int64, UInt8
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

    Each task draws `way` different classes and, of each, `shot` + `query` different
    drawings. Which class gets which label is part of the draw. Examples are ordered by
    label: [T, way · shot, 1, H, W] in the support, [T, way · query, 1, H, W] in the
    query, float, ink 1.0 and paper 0.0.

    within_alphabet: False draws the classes from the whole set, all equally likely.
        True draws an alphabet first, then all classes from it (Lake's harder protocol).
        Alphabets are equally likely, however many characters they have, so that a
        large one does not dominate; those with fewer than `way` are left out.

    Raises:
        ValueError: there are not enough classes, or not enough drawings of each.
    """

    characters: CharacterSet
    way: int
    shot: int
    query: int = 15
    within_alphabet: bool = False

    def __post_init__(self) -> None:
        if min(self.way, self.shot, self.query) < 1:
            raise ValueError(
                f"way={self.way}, shot={self.shot} and query={self.query} must each "
                "be at least 1."
            )
        classes, drawings = self.characters.images.shape[:2]
        if self.shot + self.query > drawings:
            raise ValueError(
                f"shot={self.shot} and query={self.query} need {self.shot + self.query} "
                f"different drawings of each class, and there are {drawings}. "
                f"Use query={drawings - self.shot} or fewer."
                if self.shot < drawings
                else f"shot={self.shot} leaves no drawing to ask about: there are "
                f"{drawings} of each class. Use shot={drawings - 1} or fewer."
            )
        if self.way > classes:
            raise ValueError(
                f"way={self.way} needs {self.way} different classes, and there are "
                f"{classes}. Use way={classes} or fewer, or a larger set of characters."
            )
        if self.within_alphabet and not self._pools[1].numel():
            largest = int(self.characters.alphabet.bincount().max())
            raise ValueError(
                f"way={self.way} within an alphabet needs an alphabet of at least "
                f"{self.way} characters, and the largest has {largest}. Use "
                f"way={largest} or fewer, or within_alphabet=False."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks. No loop over them, and no copy off the device.

        The first k of a random order are k distinct things, each as likely as any other:
        a row of random keys a task, and the places of its k largest.

        Raises:
            ValueError: the characters are not on the generator's device.
        """
        device = self.characters.images.device
        if device != generator.device:
            raise ValueError(
                f"the characters are on {device} and the generator on "
                f"{generator.device}. Move the characters once, with "
                f'characters.to("{generator.device}"), or make the generator there.'
            )
        pools, sizes = self._pools
        pool = torch.randint(
            len(sizes), (n_tasks, 1), generator=generator, device=device
        )
        keys = torch.rand(n_tasks, pools.shape[1], generator=generator, device=device)
        beyond = torch.arange(pools.shape[1], device=device) >= sizes[pool]
        place = keys.masked_fill_(beyond, -1.0).topk(self.way).indices
        classes = pools[pool, place]

        drawings = self.characters.images.shape[1]
        keys = torch.rand(
            n_tasks, self.way, drawings, generator=generator, device=device
        )
        drawing = keys.topk(self.shot + self.query).indices
        row = classes[..., None] * drawings + drawing
        label = torch.eye(self.way, device=device)
        return Episode(
            support_x=self._images(row[..., : self.shot]),
            support_y=label.repeat_interleave(self.shot, 0).expand(n_tasks, -1, -1),
            query_x=self._images(row[..., self.shot :]),
            query_y=label.repeat_interleave(self.query, 0).expand(n_tasks, -1, -1),
        )

    def _images(
        self, row: Int64[Tensor, "T way examples"]
    ) -> Float[Tensor, "T way*examples 1 H W"]:
        """Gathered as bytes, and only then made floats: a quarter of the traffic."""
        size = self.characters.images.shape[2:]
        chosen = self.characters.images.flatten(0, 1).index_select(0, row.flatten())
        return chosen.to(torch.float32).div_(255).view(len(row), -1, 1, *size)

    @cached_property
    def _pools(self) -> tuple[Int64[Tensor, "pools largest"], Int64[Tensor, "pools"]]:
        """The classes a task may be drawn from, a row a pool, and each pool's size.

        One pool of all classes, or one for each alphabet that is large enough. Rows are
        as long as the largest pool; what lies beyond a pool's size is never drawn.
        """
        alphabet = self.characters.alphabet
        if not self.within_alphabet:
            alphabet = torch.zeros_like(alphabet)
        sizes = alphabet.bincount()
        pools = alphabet.new_zeros(len(sizes), int(sizes.max()))
        order = alphabet.argsort(stable=True)
        start = sizes.cumsum(0) - sizes
        place = torch.arange(len(order), device=order.device) - start[alphabet[order]]
        pools[alphabet[order], place] = order
        enough = sizes >= self.way
        return pools[enough], sizes[enough]
