"""What adapting leaves behind, in bytes, and what it takes, in operations."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from labkit.episode import Episode
from labkit.learner import Learner


@dataclass(frozen=True)
class Price:
    """Of adapting to one task.

    Attributes:
        bytes: of the tensors in θ', but for those that are parameters of the learner,
            and so the same for every task.
        operations: multiplications and additions in matrix products and convolutions,
            those of inner gradients among them.
    """

    bytes: int
    operations: int


def price(learner: Learner, task: Episode) -> Price:
    """What adapting to an episode of one task costs; it does not depend on the weights.

    Raises:
        ValueError: more than one task.
    """
    if task.n_tasks != 1:
        raise ValueError(f"The price is of one task, not of {task.n_tasks}.")
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # fused attention is not counted
        adapted = learner.adapt(task.support_x, task.support_y)
    shared = {parameter.data_ptr() for parameter in learner.parameters()}
    own = [
        leaf
        for leaf in tree_leaves(adapted)
        if isinstance(leaf, Tensor) and leaf.data_ptr() not in shared
    ]
    size = sum(tensor.numel() * tensor.element_size() for tensor in own)
    return Price(size, counter.get_total_flops())
