"""Conv4-64, the embedding network of few-shot characters.

Four blocks of 3 × 3 convolution to 64 channels, batch normalisation, ReLU and 2 × 2
max-pooling: Vinyals et al. (2016) §4.1.1, Snell et al. (2017) §3.1. A 28 × 28 drawing
becomes 64 features. The convolutions have no bias, which the normalisation that
follows would subtract again. `conv_block` is where the time goes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.arguments import require_whole
from labkit.networks.conv_block import conv_block, conv_block_with_moments
from labkit.networks.network import Network, Parameters, uniform_fan_in
from labkit.randomness import seeded

BLOCKS = 4
MOMENTUM = 0.1  # of the running statistics: PyTorch's default


class Conv4(Network):
    """[..., channels, size, size] → [..., width · (size // 16)²].

    Normalisation: in training mode with the statistics of the batch, which also update
    the running ones; in evaluation mode with the running statistics, so that an output
    depends on its own input alone. With `track_running_stats=False` (as in PyTorch) it
    is the batch's in evaluation too. With parameters of one set a task, statistics are
    each task's own, and the running ones move by the mean over the tasks. Statistics
    given among the parameters (`mean0`, `var0`, ...: see `batch_statistics`) come
    before all these.

    Raises:
        ValueError: an image too small to be halved four times.
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
        require_whole(1, channels=channels, size=size, width=width)
        if size < 2**BLOCKS:
            raise ValueError(
                f"size={size}: Conv4 halves the image {BLOCKS} times, so its side must "
                f"be at least {2**BLOCKS} pixels."
            )
        self.channels, self.size, self.width = channels, size, width
        self.example = (channels, size, size)
        self.features = width * (size // 2**BLOCKS) ** 2
        self.uses_batch_statistics = not track_running_stats
        self.register(self.initial_parameters(generator=seeded(seed, "Conv4")))
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
        p = dict(self.parameters_for(x, parameters))
        of_batch = self.training or self.uses_batch_statistics
        if not of_batch and "mean0" not in p:
            p |= {
                name: running.expand(p["scale0"].shape)
                for name, running in self.named_buffers()
            }
        features, statistics = self._blocks(x, p)
        if self.training and not self.uses_batch_statistics:
            self._update_running(statistics, examples=x.shape[:-3].numel())
        return features

    def batch_statistics(
        self, x: Float[Tensor, "... channels size size"], parameters: Parameters
    ) -> dict[str, Tensor]:
        return self._blocks(x, parameters)[1]

    def _blocks(
        self, x: Float[Tensor, "... channels size size"], p: Parameters
    ) -> tuple[Float[Tensor, "... features"], dict[str, Tensor]]:
        """The features, and the statistics of each block that were not given in p."""
        leading, image, tasks = x.shape[:-3], x.shape[-3:], p["conv0"].shape[:-4]
        # T sets of weights are one convolution of T groups, over T times the channels;
        # the statistics of those channels are then each task's own.
        groups = tasks.numel()
        x = x.reshape(groups, -1, *image).transpose(0, 1).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)  # faster kernels on a CPU
        statistics = {}
        for block in range(BLOCKS):
            weight = p[f"conv{block}"].flatten(0, -4)
            scale, shift = p[f"scale{block}"].flatten(), p[f"shift{block}"].flatten()
            if f"mean{block}" in p:
                moments = p[f"mean{block}"].flatten(), p[f"var{block}"].flatten()
                x = conv_block_with_moments(x, weight, scale, shift, moments, groups)
            else:
                x, (mean, var) = conv_block(x, weight, scale, shift, groups)
                statistics[f"mean{block}"] = mean.view(*tasks, self.width)
                statistics[f"var{block}"] = var.view(*tasks, self.width)
        x = x.reshape(-1, groups, self.features).transpose(0, 1)
        return x.reshape(*leading, self.features), statistics

    @torch.no_grad()
    def _update_running(self, statistics: dict[str, Tensor], examples: int) -> None:
        for name, batch in statistics.items():
            if name.startswith("var"):
                tasks = batch.shape[:-1].numel()
                side = self.size >> int(name.removeprefix("var"))
                n = examples // tasks * side**2
                batch = batch * (n / (n - 1))  # running variances are unbiased ones
            self.get_buffer(name).lerp_(batch.reshape(-1, self.width).mean(0), MOMENTUM)
