"""The one owner of randomness: named streams, all of which grow from one seed.

Two parts that restart a generator at the same seed draw the same numbers. So nothing in
labkit makes a generator but `seeded`, which takes the name of what is drawn: streams
of different names are independent (`numpy.random.SeedSequence`, whose `spawn_key` is
made for this), and whoever builds two parts of one kind spawns a seed for each.

    one seed ─┬─ "training tasks"   `meta_train`
              ├─ "validation tasks" `meta_train`
              ├─ "test tasks"       `evaluate`
              └─ initial weights    one stream for each part, under the part's name
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import torch

TRAINING, VALIDATION, TEST = "training tasks", "validation tasks", "test tasks"
"""The streams that tasks of an experiment are drawn from."""

SCHEME = "named streams"
"""How seeds become draws, to be told with a result: this file's way."""


def spawn(seed: int, name: str) -> int:
    """The seed of the part of that name, a number of its own below 2⁶³.

    The same arguments always give the same seed; other names or seeds give seeds that
    have nothing in common with it. (PyTorch's generator on a CPU takes 32 bits of it:
    among a thousand streams two are the same with a probability of 1 in 10,000.)

    Raises:
        ValueError: a seed below 0.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} must be 0 or larger.")
    sequence = np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeded(
    seed: int, stream: str = "draws", *, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh source of randomness on `device`, at the beginning of the named stream.

    Raises:
        ValueError: a seed below 0.
    """
    return torch.Generator(device=device).manual_seed(spawn(seed, stream))
