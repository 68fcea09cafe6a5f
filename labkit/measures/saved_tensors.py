"""How much memory a computation holds until its gradient is taken."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import Tensor


def saved_bytes(compute: Callable[[], Tensor]) -> int:
    """The bytes that the graph of the result of `compute()` keeps for `backward`.

    What autograd saved on the way and no longer needs is not counted, memory that two
    saved tensors share is counted once, and it does not matter whether a saved tensor
    is a parameter or data, which would be there without the graph as well.
    """
    saved: list[weakref.ref[Tensor]] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(weakref.ref(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()
    alive = [tensor for ref in saved if (tensor := ref()) is not None]
    storages = [tensor.untyped_storage() for tensor in alive]
    total = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    del result  # its graph had to live until here
    return total
