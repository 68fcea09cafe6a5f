"""Conv4-64, the embedding network of few-shot characters.

Four blocks of 3 × 3 convolution to 64 channels, batch normalisation, ReLU and 2 × 2
max-pooling: Vinyals et al. (2016) §4.1.1, Snell et al. (2017) §3.1. A 28 × 28 drawing
becomes 64 features.

Three liberties, none of which changes the function computed:
- no convolution bias, which the normalisation that follows would subtract again;
- pooling before ReLU, which commute, so that ReLU has a quarter of the work;
- activations in channels-last memory order, which the CPU's kernels prefer.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.device import generator as seeded
from labkit.networks.network import Network, Parameters, uniform_fan_in

BLOCKS = 4
MOMENTUM, EPSILON = 0.1, 1e-5  # of batch normalisation: PyTorch's defaults


class Conv4(Network):
    """[..., channels, size, size] → [..., width · (size // 16)²].

    Normalisation: in training mode with the statistics of the batch, which also update
    the running ones; in evaluation mode with the running statistics, so that an output
    depends on its own input alone. With `track_running_stats=False` (as in PyTorch) it
    is the batch's in evaluation too. With parameters of one set a task, statistics are
    each task's own, and the running ones move by the mean over the tasks.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        size: int = 28,
        width: int = 64,
        track_running_stats: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if size < 2**BLOCKS:
            raise ValueError(
                f"size={size}: Conv4 halves the image {BLOCKS} times, so its side must "
                f"be at least {2**BLOCKS} pixels."
            )
        self.channels, self.width = channels, width
        self.features = width * (size // 2**BLOCKS) ** 2
        self.uses_batch_statistics = not track_running_stats
        self.register(self.initial_parameters(generator=seeded(seed)))
        for block in range(BLOCKS if track_running_stats else 0):
            self.register_buffer(f"mean{block}", torch.zeros(width))
            self.register_buffer(f"var{block}", torch.ones(width))

    def initial_parameters(
        self, *tasks: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        parameters = {}
        for block in range(BLOCKS):
            inputs = self.channels if block == 0 else self.width
            parameters[f"conv{block}"] = uniform_fan_in(
                *tasks, self.width, inputs, 3, 3, fan_in=9 * inputs, generator=generator
            )
            vector = torch.zeros(*tasks, self.width, device=generator.device)
            parameters[f"scale{block}"] = vector + 1
            parameters[f"shift{block}"] = vector
        return parameters

    def forward(
        self,
        x: Float[Tensor, "... channels size size"],
        parameters: Parameters | None = None,
    ) -> Float[Tensor, "... features"]:
        p = dict(self.named_parameters()) if parameters is None else parameters
        leading, image = x.shape[:-3], x.shape[-3:]
        # T sets of weights are one convolution of T groups, over T times the channels;
        # the statistics of those channels are then each task's own.
        groups = p["conv0"].shape[:-4].numel()
        x = x.reshape(groups, -1, *image).transpose(0, 1).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in range(BLOCKS):
            weight = p[f"conv{block}"].flatten(0, -4)
            x = F.conv2d(x, weight, padding=1, groups=groups)
            x = self._normalise(x, block, p[f"scale{block}"], p[f"shift{block}"])
            x = F.relu(F.max_pool2d(x, 2))
        x = x.reshape(-1, groups, self.features).transpose(0, 1)
        return x.reshape(*leading, self.features)

    def _normalise(
        self,
        x: Float[Tensor, "B channels H W"],
        block: int,
        scale: Float[Tensor, "*tasks width"],
        shift: Float[Tensor, "*tasks width"],
    ) -> Float[Tensor, "B channels H W"]:
        affine = (scale.flatten(), shift.flatten())
        if self.uses_batch_statistics:
            return F.batch_norm(x, None, None, *affine, True, MOMENTUM, EPSILON)
        running_mean = self.get_buffer(f"mean{block}")
        running_var = self.get_buffer(f"var{block}")
        groups = scale.shape[:-1].numel()
        mean, var = running_mean.repeat(groups), running_var.repeat(groups)
        x = F.batch_norm(x, mean, var, *affine, self.training, MOMENTUM, EPSILON)
        if self.training:
            running_mean.copy_(mean.view(groups, -1).mean(0))
            running_var.copy_(var.view(groups, -1).mean(0))
        return x
