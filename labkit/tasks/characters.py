"""Few-shot tasks from a set of characters: N classes, K drawings to learn each from.

The protocol is that of Lake et al. (2011) and Vinyals et al. (2016): every task draws
N classes, permutes them, and draws K + Q different drawings of each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from labkit.episode import Episode
from labkit.tasks.checks import (
    require_counts,
    require_indices,
    require_ink,
    require_names,
)


@dataclass(frozen=True)
class CharacterSet:
    """Drawings of characters that belong to alphabets, invented or real.

    Attributes:
        images: uint8, ink is 255 and paper 0; every class has the same number of
            drawings.
        alphabet: the index into `alphabets` of each class.
        names: one a class, all different, for instance "Greek/character07". What
            follows an "@" is the angle of a rotated copy, "Greek/character07@90"; what
            precedes it is the *origin*. Selections and splits move all copies of an
            origin together, so that no method of this class can put a character into
            one set and its rotation into another.
        alphabets: the name of each alphabet, all different.

    Raises:
        ValueError: a field is not of that kind, or the fields do not describe the same
            classes, or a name comes twice, or the images are no ink from 0 to 255.
    """

    images: UInt8[Tensor, "classes drawings H W"]
    alphabet: Int64[Tensor, " classes"]
    names: tuple[str, ...]
    alphabets: tuple[str, ...]

    def __post_init__(self) -> None:
        require_ink(self.images)
        require_names(self.names, "names")
        require_names(self.alphabets, "alphabets")
        if not len(self.images) == len(self.alphabet) == len(self.names):
            raise ValueError(
                f"{len(self.images)} classes of images, {len(self.alphabet)} alphabet "
                f"indices and {len(self.names)} names must be equally many."
            )
        require_indices(self.alphabet, len(self.alphabets))
        if self.alphabet.device != self.images.device:
            raise ValueError(
                f"images are on {self.images.device} and alphabet on "
                f"{self.alphabet.device}: they must be on one device."
            )

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.names)

    def __repr__(self) -> str:
        _, drawings, height, width = self.images.shape
        return (
            f"CharacterSet({len(self)} classes of {len(self.alphabets)} alphabets, "
            f"{drawings} drawings each, {height}×{width}, on {self.images.device})"
        )

    @property
    def origins(self) -> tuple[str, ...]:
        """The characters as drawn, in order, each once however often it was rotated."""
        return tuple(dict.fromkeys(map(_origin, self.names)))

    def to(self, device: torch.device | str) -> CharacterSet:
        return replace(
            self, images=self.images.to(device), alphabet=self.alphabet.to(device)
        )

    def resize(self, size: int) -> CharacterSet:
        """Every drawing at `size` × `size` pixels, by `area_resize`."""
        images = [area_resize(drawings, size) for drawings in self.images]
        return replace(self, images=torch.stack(images))

    def select(self, alphabets: Collection[str]) -> CharacterSet:
        """The classes of these alphabets, in the order they have here.

        Raises:
            ValueError: an alphabet is not in this set.
        """
        known = sorted({_origin(name) for name in self.alphabets})
        for name in alphabets:
            if name not in known:
                raise ValueError(
                    f"There is no alphabet {name!r} here. "
                    f"There are {len(known)}: {', '.join(known)}."
                )
        chosen = [_origin(name) in alphabets for name in self.alphabets]
        classes = enumerate(self.alphabet.tolist())
        return self._subset([i for i, alphabet in classes if chosen[alphabet]])

    def split(
        self, *counts: int, generator: torch.Generator
    ) -> tuple[CharacterSet, ...]:
        """Sets that share no character, of `counts` characters each, drawn at random.

        A character counts once and takes all its rotations with it.

        Raises:
            ValueError: the counts do not add up to the number of characters.
        """
        origins = self.origins
        if sum(counts) != len(origins) or min(counts) < 1:
            raise ValueError(
                f"A split into {' + '.join(map(str, counts))} = {sum(counts)} must use "
                f"each of the {len(origins)} characters, and no part may be empty."
            )
        order = torch.randperm(
            len(origins), generator=generator, device=generator.device
        )
        shuffled = iter([origins[i] for i in order.tolist()])
        return tuple(self.of_origins(set(islice(shuffled, n))) for n in counts)

    def with_rotations(self, *, mirrored: bool = False) -> CharacterSet:
        """Each class, and its drawings turned by 90°, 180° and 270° as further classes.

        Angles are counter-clockwise. An alphabet turned is an alphabet of its own too,
        "Greek@90", so that a task within an alphabet never asks to tell a character
        from its rotation, which for an O nobody could. (Vinyals et al. 2016, section
        4.1.1, augment Omniglot in this way.)

        Args:
            mirrored: the same again with left and right exchanged, "Greek@mirrored90".

        Raises:
            ValueError: there are rotations in this set already.
        """
        if any("@" in name for name in self.names):
            raise ValueError(
                "This set holds rotations already; rotating them again would repeat "
                "classes. Call with_rotations once, on the characters as drawn."
            )
        sides = {"": self.images}
        if mirrored:
            sides["mirrored"] = self.images.flip(-1)
        turned = [
            CharacterSet(
                images.rot90(angle // 90, (-2, -1)),
                self.alphabet,
                tuple(f"{name}@{side}{angle}" for name in self.names),
                tuple(f"{name}@{side}{angle}" for name in self.alphabets),
            )
            for side, images in sides.items()
            for angle in (0, 90, 180, 270)
            if side or angle
        ]
        return concatenate(self, *turned)

    def of_origins(self, origins: Collection[str]) -> CharacterSet:
        """The classes of these characters and of their rotations, in their order here.

        Raises:
            ValueError: a character is not in this set.
        """
        missing = sorted(set(origins) - set(self.origins))
        if missing:
            raise ValueError(
                f"{len(missing)} of the {len(origins)} characters asked for are not "
                f"among the {len(self.origins)} here, first {missing[0]!r}."
            )
        names = enumerate(self.names)
        return self._subset([i for i, name in names if _origin(name) in origins])

    def _subset(self, classes: list[int]) -> CharacterSet:
        """These classes, and of the alphabets only those that they use."""
        index = torch.tensor(classes, dtype=torch.int64, device=self.images.device)
        used, alphabet = self.alphabet[index].unique(return_inverse=True)
        return CharacterSet(
            self.images[index],
            alphabet,
            tuple(self.names[i] for i in classes),
            tuple(self.alphabets[a] for a in used.tolist()),
        )


def concatenate(*sets: CharacterSet) -> CharacterSet:
    """All classes of all sets; alphabets of the same name become one.

    Raises:
        ValueError: the sets share a class, or differ in drawings a class or image size.
    """
    shapes = {tuple(characters.images.shape[1:]) for characters in sets}
    if len(shapes) > 1:
        raise ValueError(
            f"The sets hold [drawings, H, W] of {sorted(shapes)}: they must agree. "
            "Use resize to bring all to one image size."
        )
    alphabets = tuple(dict.fromkeys(name for s in sets for name in s.alphabets))
    index = [
        torch.tensor([alphabets.index(name) for name in s.alphabets]).to(s.alphabet)[
            s.alphabet
        ]
        for s in sets
    ]
    return CharacterSet(
        torch.cat([s.images for s in sets]),
        torch.cat(index),
        tuple(name for s in sets for name in s.names),
        alphabets,
    )


def area_resize(
    images: UInt8[Tensor, "*batch H W"], size: int
) -> UInt8[Tensor, "*batch {size} {size}"]:
    """Each new pixel is the mean of the area it covers, fractions of pixels included.

    The mean of the ink is thus the same at every size, up to rounding to a byte.

    Raises:
        ValueError: the size is no whole number of at least 1.
    """
    require_counts(size=size)
    across, down = (_coverage(n, size, images.device) for n in images.shape[:-3:-1])
    return (down @ images.to(torch.float32) @ across.T).round().to(torch.uint8)


def _coverage(old: int, new: int, device: torch.device) -> Float[Tensor, "{new} {old}"]:
    """Row i: the part of new pixel i that each old pixel fills. Rows add up to 1."""
    edge = torch.arange(new + 1, device=device) * (old / new)
    pixel = torch.arange(old, device=device)
    overlap = torch.minimum(edge[1:, None], pixel + 1) - torch.maximum(
        edge[:-1, None], pixel
    )
    return overlap.clamp(min=0) * (new / old)


def _origin(name: str) -> str:
    return name.partition("@")[0]


@dataclass(frozen=True)
class FewShot:
    """p(T) of N-way K-shot classification with Q queries a class.

    Each task draws `way` different classes and, of each, `shot` + `query` different
    drawings. Which class gets which label is part of the draw. Examples are ordered by
    label: [T, way · shot, 1, H, W] in the support, [T, way · query, 1, H, W] in the
    query, float, ink 1.0 and paper 0.0.

    Attributes:
        within_alphabet: False draws the classes from the whole set, all equally likely.
            True draws an alphabet first, then all classes from it (Lake's harder
            protocol). Alphabets are equally likely, however many characters they have,
            so that a large one does not dominate; those with fewer than `way` are left
            out.
        permuted_labels: False, between alphabets only, gives class c the label c modulo
            `way` in every task. Then labels can be learned by heart, which is a trap.

    Raises:
        ValueError: there are not enough classes, or not enough drawings of each, or
            labels are to be fixed within alphabets.
    """

    characters: CharacterSet
    way: int
    shot: int
    query: int = 15
    within_alphabet: bool = False
    permuted_labels: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.characters, CharacterSet):
            raise ValueError(
                "characters must be a CharacterSet, as omniglot.load returns one, and "
                f"is {type(self.characters).__name__}."
            )
        require_counts(way=self.way, shot=self.shot, query=self.query)
        classes, drawings = self.characters.images.shape[:2]
        if self.shot + self.query > drawings:
            raise ValueError(
                f"shot={self.shot} and query={self.query} need "
                f"{self.shot + self.query} different drawings of each class, and there "
                f"are {drawings}. Use fewer, or characters with more drawings."
            )
        if self.way > classes:
            raise ValueError(
                f"way={self.way} needs {self.way} different classes, and there are "
                f"{classes}. Use way={classes} or fewer, or a larger set of characters."
            )
        if self.within_alphabet and not self.permuted_labels:
            raise ValueError(
                "permuted_labels=False takes one class for each label from the whole "
                "set, so it cannot keep to one alphabet: use within_alphabet=False."
            )
        if self.within_alphabet and not self._alphabets[1].numel():
            largest = int(self.characters.alphabet.bincount().max())
            raise ValueError(
                f"way={self.way} within an alphabet needs an alphabet of at least "
                f"{self.way} characters, and the largest has {largest}. Use "
                f"way={largest} or fewer, or within_alphabet=False."
            )

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """Draw tasks. No loop over them, and no copy off the device.

        The places of the k largest of n random keys are k different numbers below n, in
        an order in which every one is as likely: one row of keys draws for one task.

        Raises:
            ValueError: the characters are not on the generator's device.
        """
        device = self.characters.images.device
        if device.type != generator.device.type:
            raise ValueError(
                f"the characters are on {device} and the generator on "
                f"{generator.device}. Move the characters once, with "
                f'characters.to("{generator.device}"), or make the generator there.'
            )

        def keys(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        classes, drawings = self.characters.images.shape[:2]
        if self.within_alphabet:
            members, sizes = self._alphabets
            largest = members.shape[1]
            alphabet = keys(n_tasks, len(sizes)).argmax(1, keepdim=True)
            absent = torch.arange(largest, device=device) >= sizes[alphabet]
            place = keys(n_tasks, largest).masked_fill_(absent, -1.0).topk(self.way)
            chosen = members[alphabet, place.indices]
        elif not self.permuted_labels:
            turn = keys(n_tasks, self.way, classes // self.way).argmax(-1)
            chosen = turn * self.way + torch.arange(self.way, device=device)
        else:
            chosen = keys(n_tasks, classes).topk(self.way).indices
        drawing = keys(n_tasks, self.way, drawings).topk(self.shot + self.query).indices
        row = chosen[..., None] * drawings + drawing
        support_y, query_y = self._labels
        return Episode(
            support_x=self._examples(row[..., : self.shot]),
            support_y=support_y.expand(n_tasks, -1, -1),
            query_x=self._examples(row[..., self.shot :]),
            query_y=query_y.expand(n_tasks, -1, -1),
        )

    def _examples(
        self, row: Int64[Tensor, "T way examples"]
    ) -> Float[Tensor, "T way*examples ..."]:
        """Gathered as bytes, and only then made floats: a quarter of the traffic."""
        ink = self._drawings.index_select(0, row.flatten()).to(torch.float32)
        return ink.mul_(1 / 255).view(row.shape[0], -1, *ink.shape[1:])

    @cached_property
    def _drawings(self) -> UInt8[Tensor, "rows 1 H W"]:
        """Drawing d of class c in row c · drawings + d."""
        return self.characters.images.flatten(0, 1)[:, None]

    @cached_property
    def _labels(self) -> tuple[Float[Tensor, "S way"], Float[Tensor, "Q way"]]:
        """The one-hot rows of every support and of every query: all tasks agree."""
        label = torch.eye(self.way, device=self.characters.images.device)
        return label.repeat_interleave(self.shot, 0), label.repeat_interleave(
            self.query, 0
        )

    @cached_property
    def _alphabets(
        self,
    ) -> tuple[Int64[Tensor, "alphabets largest"], Int64[Tensor, " alphabets"]]:
        """The classes of each alphabet that has enough, a row each, and how many.

        Rows are as long as the largest alphabet; what lies beyond a row's number of
        classes is never drawn.
        """
        alphabet = self.characters.alphabet
        sizes = alphabet.bincount()
        members = alphabet.new_zeros(len(sizes), int(sizes.max()))
        order = alphabet.argsort(stable=True)
        first = sizes.cumsum(0) - sizes
        place = torch.arange(len(order), device=order.device) - first[alphabet[order]]
        members[alphabet[order], place] = order
        enough = sizes >= self.way
        return members[enough], sizes[enough]
