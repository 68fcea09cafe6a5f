"""Fine-tuning on the examples of a prompt: θ' is a copy of the weights for every task.

The same network and the same examples as in `in_context_tokens`, the other way to use
them. The support is not read as a prompt. Each of its examples stands alone,

    x_i, y_i    with loss − (1/Sp) Σ_i Σ_j log p(y_iʲ | x_i, y_i^{<j})

and Adam (Kingma and Ba 2015) descends on their mean loss for some steps, all weights,
from those the network has. A query is then answered without a prompt, by greedy
decoding. Normalisation: inductive. Independent tasks do not mix: Adam's arithmetic is
by element, and no gradient is clipped.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from labkit.arguments import require_real, require_whole
from labkit.learner import Learner
from labkit.learners.in_context_tokens import InContextTokens, token_cross_entropy
from labkit.networks.network import Parameters


class TunedTokens(Learner):
    """Train a copy of the model on each task's support; the model itself stays.

    Args:
        steps: of Adam, on the whole support at once.
        rate: of Adam, on the whole support at once.
    """

    def __init__(self, model: InContextTokens, *, steps: int, rate: float) -> None:
        super().__init__()
        require_whole(0, steps=steps)
        require_real(above=0.0, rate=rate)
        self.model, self.steps, self.rate = model, steps, rate

    def adapt(
        self,
        support_x: Int64[Tensor, "T S words"],
        support_y: Int64[Tensor, "T S places"],
    ) -> dict[str, Tensor]:
        """One set of weights a task, each [T, ...]."""
        with torch.inference_mode(False), torch.enable_grad():
            support_x, support_y = support_x.clone(), support_y.clone()
            tuned = {
                name: value.detach().repeat(len(support_x), *[1] * value.ndim)
                for name, value in self.model.named_parameters()
            }
            leaves = [value.requires_grad_() for value in tuned.values()]
            optimizer = torch.optim.Adam(leaves, lr=self.rate)
            for _ in range(self.steps):
                logits = self.alone(tuned, support_x, support_y)
                optimizer.zero_grad()
                token_cross_entropy(logits, support_y).sum().backward()
                optimizer.step()
        return {name: value.detach() for name, value in tuned.items()}

    def predict(
        self, adapted: Parameters, query_x: Int64[Tensor, "T Q words"]
    ) -> Int64[Tensor, "T Q places"]:
        places = self.model.places
        y = query_x.new_zeros(*query_x.shape[:2], places)
        for place in range(places):  # what is still 0 is read by no earlier token
            y[..., place] = self.alone(adapted, query_x, y)[..., place, :].argmax(-1)
        return y

    def alone(
        self,
        parameters: Parameters,
        x: Int64[Tensor, "T S words"],
        y: Int64[Tensor, "T S places"],
    ) -> Float[Tensor, "T S places V"]:
        """The logits of each y, with no examples before it, by each task's weights."""

        def of_one_task(weights: Parameters, x: Tensor, y: Tensor) -> Tensor:
            examples = x.unsqueeze(1), y.unsqueeze(1)
            call = torch.func.functional_call
            return call(self.model, dict(weights), examples).squeeze(1)

        with sdpa_kernel(SDPBackend.MATH):  # the others cannot be vmapped
            return torch.func.vmap(of_one_task)(parameters, x, y)
