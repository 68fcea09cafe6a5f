"""The one owner of randomness: named streams, all of which grow from one seed.

Two parts that restart a generator at the same seed draw the same numbers. So nothing in
labkit makes a generator but `seeded`, which takes the name of what is drawn: streams
of different names are independent (`numpy.random.SeedSequence`, whose `spawn_key` is
made for this), and whoever builds two parts of one kind spawns a seed for each.

    one seed ─┬─ "training tasks"   `meta_train`
              ├─ "validation tasks" `meta_train`
              ├─ "test tasks"       `evaluate`
              ├─ "dropout"          layers that draw unasked, within `meta_train`
              └─ initial weights    one stream for each part, under the part's name
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import torch

from labkit.arguments import require_whole

TRAINING, VALIDATION, TEST = "training tasks", "validation tasks", "test tasks"
"""The streams that tasks of an experiment are drawn from."""

UNASKED = "dropout"
"""The stream that layers draw from in training, if they draw without being asked."""

SCHEME = "named streams"
"""How seeds become draws, to be told with a result: this file's way."""


def spawn(seed: int, name: str) -> int:
    """The seed of the part of that name, a number of its own below 2⁶³.

    The same arguments always give the same seed; other names or seeds give seeds that
    have nothing in common with it. (PyTorch's generator on a CPU takes 32 bits of it:
    among a thousand streams two are the same with a probability of 1 in 10,000.)

    Raises:
        ValueError: a seed below 0, or no whole number.
    """
    require_whole(0, seed=seed)
    sequence = np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeded(
    seed: int, stream: str = "draws", *, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh source of randomness on `device`, at the beginning of the named stream.

    Raises:
        ValueError: a seed below 0, or no whole number.
    """
    return torch.Generator(device=device).manual_seed(spawn(seed, stream))


def branch(generator: torch.Generator, name: str) -> None:
    """Let it go on with a stream of that name, which grows from the seed it had."""
    generator.manual_seed(spawn(generator.initial_seed(), name))


def global_generators(device: torch.device) -> list[torch.Generator]:
    """Those that a layer on that device draws from unasked, as dropout does: torch's
    own for the CPU, and its own for the device."""
    if device.type == "cuda":
        torch.cuda.init()  # before it there are none
        index = torch.cuda.current_device() if device.index is None else device.index
        return [torch.default_generator, torch.cuda.default_generators[index]]
    if device.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]


@contextmanager
def replayed(generators: list[torch.Generator]) -> Iterator[None]:
    """What is drawn in the block is drawn again after it: the generators go back."""
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


@contextmanager
def global_draws(seed: int, stream: str, *, device: torch.device) -> Iterator[None]:
    """Within the block, layers that draw unasked draw from the named stream; after it
    torch's own generators go on as if nothing had been drawn."""
    generators = global_generators(device)
    with replayed(generators):
        for generator in generators:
            generator.manual_seed(spawn(seed, stream))
        yield
