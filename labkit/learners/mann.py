"""A memory-augmented neural network (Santoro et al. 2016): θ' is a matrix in use.

An LSTM, the controller, reads [f(x_t), y_{t−1}] and what it last recalled, r_{t−1}.
Each of its heads emits a key k_t, a content a_t, a gate α_t and a strength β_t, linear
in the hidden state h_t, key and content through a tanh, and β_t = 1 + softplus(·). The
heads write to the rows of M, the slots, and read them:

    w^w_t = σ(α_t) w^r_{t−1} + (1 − σ(α_t)) w^lu_{t−1}                      (eq. 7)
    M_t(i) = M_{t−1}(i) + w^w_t(i) a_t, the least used slots first zeroed   (eq. 8)
    K(k_t, M_t(i)) = k_t · M_t(i) / (‖k_t‖ ‖M_t(i)‖)                        (eq. 2)
    w^r_t(i) = exp(β_t K(k_t, M_t(i))) / Σ_j exp(β_t K(k_t, M_t(j)))        (eq. 3)
    r_t = Σ_i w^r_t(i) M_t(i)                                               (eq. 4)
    w^u_t = γ w^u_{t−1} + w^r_t + w^w_t, summed over the heads              (eq. 5)
    w^lu_t = the least used slots by w^u_t, the h-th of them for head h     (eq. 6)

The logits are linear in [h_t, r_t]. The decay γ is 0.99.

Loss, time offset and normalisation: those of `recurrent`. Deviations: a strength β_t,
as in the Neural Turing Machine (Graves et al. 2014), since a softmax over cosines
alone, numbers between −1 and 1, cannot be sharp; a small constant under the root of the
cosine; a content a_t of its own, where eq. 8 writes the key; and a write head to each
read head, each with a least used slot of its own, where eq. 6 marks as many slots as
there are heads. The last two are those of T. Deleu's published ntm-one-shot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.learners.recurrent import StreamLearner, initialise, open_forget_gates
from labkit.networks.network import Network
from labkit.randomness import spawn

FLOOR = 1e-3
"""Added to ‖k‖²‖M(i)‖² under the root of the cosine: a slot that is empty, or holds
only the traces of diffuse writes, is like no key, whatever direction it points in."""


class Memory(NamedTuple):
    """All that a step hands to the next: the controller, the matrix and its use."""

    hidden: Float[Tensor, "T H"]
    cell: Float[Tensor, "T H"]
    matrix: Float[Tensor, "T slots width"]
    read: Float[Tensor, "T heads slots"]
    usage: Float[Tensor, "T slots"]
    recalled: Float[Tensor, "T heads*width"]


class MANN(StreamLearner):
    """The memory is a matrix beside the controller's state: see `Memory`."""

    def __init__(
        self,
        network: Network,
        classes: int,
        *,
        hidden: int = 200,
        slots: int = 128,
        width: int = 40,
        heads: int = 4,
        decay: float = 0.99,
        seed: int = 0,
    ) -> None:
        super().__init__(network, classes)
        require_whole(1, hidden=hidden, slots=slots, width=width, heads=heads)
        self.hidden, self.slots, self.width, self.heads = hidden, slots, width, heads
        self.decay = decay
        recalled = heads * width
        with torch.device("meta"):  # no draw from the global generator
            self.controller = nn.LSTMCell(network.features + classes + recalled, hidden)
            self.interface = nn.Linear(hidden, heads * (2 * width + 2))
            self.head = nn.Linear(hidden + recalled, classes)
        initialise(self.controller, hidden, spawn(seed, "controller"))
        initialise(self.interface, hidden, spawn(seed, "interface"))
        initialise(self.head, hidden + recalled, spawn(seed, "head"))
        open_forget_gates(self.controller.bias_ih)

    def empty_memory(self, n_tasks: int) -> tuple[Tensor, ...]:
        zero = self.head.weight.new_zeros
        # unused slots are taken in their order: of equals, topk may choose any
        weight = self.head.weight
        order = torch.arange(self.slots, device=weight.device).to(weight) * 1e-6
        return Memory(
            hidden=zero(n_tasks, self.hidden),
            cell=zero(n_tasks, self.hidden),
            matrix=zero(n_tasks, self.slots, self.width),
            read=zero(n_tasks, self.heads, self.slots),
            usage=order.expand(n_tasks, -1),
            recalled=zero(n_tasks, self.heads * self.width),
        )

    def unroll(
        self, inputs: Float[Tensor, "T L D"], memory: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "T L C"], tuple[Tensor, ...]]:
        now, outputs = Memory(*memory), []
        for step in inputs.unbind(1):
            now = self.step(step, now)
            outputs.append(torch.cat([now.hidden, now.recalled], dim=-1))
        return self.head(torch.stack(outputs, dim=1)), now

    def step(self, inputs: Float[Tensor, "T D"], before: Memory) -> Memory:
        """Equations 2 to 8, once."""
        hidden, cell = self.controller(
            torch.cat([inputs, before.recalled], dim=-1), (before.hidden, before.cell)
        )
        emitted = self.interface(hidden).unflatten(-1, (self.heads, -1))
        key, content, gate, strength = emitted.split([self.width, self.width, 1, 1], -1)
        key, content = key.tanh(), content.tanh()

        least = before.usage.topk(self.heads, largest=False).indices
        least_used = F.one_hot(least, self.slots).to(key.dtype)
        write = torch.lerp(least_used, before.read, gate.sigmoid())
        kept = before.matrix * (1 - least_used.sum(1)).unsqueeze(-1)
        matrix = torch.baddbmm(kept, write.mT, content)

        lengths = key.square().sum(-1, keepdim=True) * matrix.square().sum(-1)[:, None]
        cosine = key @ matrix.mT * (lengths + FLOOR).rsqrt()
        read = ((1 + F.softplus(strength)) * cosine).softmax(-1)
        return Memory(
            hidden,
            cell,
            matrix,
            read,
            usage=self.decay * before.usage + read.sum(1) + write.sum(1),
            recalled=(read @ matrix).flatten(1),
        )
