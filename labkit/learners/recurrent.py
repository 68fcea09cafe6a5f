"""An LSTM that learns to learn (Hochreiter, Younger & Conwell 2001): θ' is its state.

The network reads a stream of examples, each with the label of the one before:

    s_t = (h_t, c_t) = LSTM([f(x_t), y_{t−1}], s_{t−1}),   logits for x_t = V h_t + b

which is the time offset of Santoro et al. (2016), section 2 and Figure 1: when x_t is
classified, its label has not been seen. No weight changes within a task; all that is
learned about it is in s_t, and in the label y_t that waits for the next step.

Loss: `labkit.measures.streams.stream_loss`, the mean over all steps of all tasks.
Normalisation: that of the network f. Deviations: f may be a network, where the papers
read raw inputs; the forget gates start with a bias of 1, so that an untrained state
fades slowly (Gers et al. 2000).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit.arguments import require_whole
from labkit.learner import Learner
from labkit.networks.network import Network, require_network
from labkit.randomness import seeded, spawn


class StreamState(NamedTuple):
    """What a learner knows of T tasks after some examples.

    Attributes:
        memory: tensors that all begin with the task axis.
        label: of the last example, which has not been read yet; zeros before the first.
    """

    memory: tuple[Tensor, ...]
    label: Float[Tensor, "T C"]


class StreamLearner(Learner):
    """A learner that reads one example after another, each with the label before it.

    A subclass says how a memory starts, and how it is carried along a stream.
    """

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        require_network(network)
        require_whole(2, classes=classes)
        self.network, self.classes = network, classes
        if network.uses_batch_statistics:
            self.normalisation = "transductive"

    def empty_memory(self, n_tasks: int) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def unroll(
        self, inputs: Float[Tensor, "T L D"], memory: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "T L C"], tuple[Tensor, ...]]:
        """L steps from that memory: the logits of each, and the memory after all."""
        raise NotImplementedError

    def start(self, n_tasks: int) -> StreamState:
        """The state before any example."""
        memory = self.empty_memory(n_tasks)
        return StreamState(memory, memory[0].new_zeros(n_tasks, self.classes))

    def stream(
        self,
        x: Float[Tensor, "T L ..."],
        y: Float[Tensor, "T L C"],
        state: StreamState | None = None,
    ) -> tuple[Float[Tensor, "T L C"], StreamState]:
        """Classify every x_t before its label is read; go on from `state`, if given.

        The logits at t are those of `predict` for x_t after `adapt` on what comes
        before t, for all t in one pass.
        """
        memory, label = self.start(x.shape[0]) if state is None else state
        labels = torch.cat([label.unsqueeze(1), y], dim=1)
        inputs = torch.cat([self.network(x), labels[:, :-1]], dim=-1)
        logits, memory = self.unroll(inputs, memory)
        return logits, StreamState(memory, labels[:, -1])

    def adapt(
        self,
        support_x: Float[Tensor, "T S ..."],
        support_y: Float[Tensor, "T S C"],
        state: StreamState | None = None,
    ) -> StreamState:
        """Read the examples in order, after those already in `state`."""
        return self.stream(support_x, support_y, state)[1]

    def predict(
        self, adapted: StreamState, query_x: Float[Tensor, "T Q ..."]
    ) -> Float[Tensor, "T Q C"]:
        """One more step for each query, all from the same state."""
        T, Q = query_x.shape[:2]
        memory = tuple(tensor.repeat_interleave(Q, 0) for tensor in adapted.memory)
        label = adapted.label.unsqueeze(1).expand(-1, Q, -1)
        inputs = torch.cat([self.network(query_x), label], dim=-1)
        logits, _ = self.unroll(inputs.flatten(0, 1).unsqueeze(1), memory)
        return logits.view(T, Q, self.classes)


class LSTMLearner(StreamLearner):
    """The memory is the hidden and the cell state of one LSTM: two vectors."""

    def __init__(
        self, network: Network, classes: int, *, hidden: int = 200, seed: int = 0
    ) -> None:
        super().__init__(network, classes)
        require_whole(1, hidden=hidden)
        self.hidden = hidden
        with torch.device("meta"):  # no draw from the global generator
            self.lstm = nn.LSTM(network.features + classes, hidden, batch_first=True)
            self.head = nn.Linear(hidden, classes)
        initialise(self.lstm, hidden, spawn(seed, "lstm"))
        initialise(self.head, hidden, spawn(seed, "head"))
        open_forget_gates(self.lstm.get_parameter("bias_ih_l0"))

    def empty_memory(self, n_tasks: int) -> tuple[Tensor, ...]:
        zeros = self.head.weight.new_zeros(n_tasks, self.hidden)
        return zeros, zeros

    def unroll(
        self, inputs: Float[Tensor, "T L D"], memory: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "T L C"], tuple[Tensor, ...]]:
        h, c = memory
        hidden, (h, c) = self.lstm(inputs, (h.unsqueeze(0), c.unsqueeze(0)))
        return self.head(hidden), (h.squeeze(0), c.squeeze(0))


def initialise(module: nn.Module, fan_in: int, seed: int) -> None:
    """Uniform in ±1/√fan_in: what PyTorch does, from a seed of one's own."""
    module.to_empty(device="cpu")
    generator = seeded(seed, "recurrent")
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5, generator=generator)


def open_forget_gates(bias: Tensor) -> None:
    """Add 1 to the biases of the forget gates, the second quarter of an LSTM's."""
    with torch.no_grad():
        bias.chunk(4)[1].add_(1)
