"""A small residual network for drawings of 48 pixels a side.

Residual blocks as in He et al. (2016), the shape of their figure 2, one for each of
three resolutions. It sees finer strokes than Conv4 (48 pixels for 28) and costs no more
time, because a stem of stride 2 and a pooling come before the blocks.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.networks.network import Network, Parameters
from labkit.randomness import seeded

SIZE = 48


class ResNet(Network):
    """[..., 1, 48, 48] → [..., 36 · width]: 4 · width channels at 3 × 3 positions.

    Positions are kept and not averaged away: where a stroke lies tells a character.

    Normalisation: batch statistics in training mode, running ones in evaluation mode.
    Parameters given to `forward` are one set for all tasks.
    """

    def __init__(self, *, width: int = 32, seed: int = 0) -> None:
        super().__init__()
        require_whole(2, width=width)
        self.example = (1, SIZE, SIZE)
        self.stem = nn.Conv2d(1, width // 2, 5, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(width // 2)
        self.blocks = nn.Sequential(
            ResidualBlock(width // 2, width, stride=1),
            ResidualBlock(width, 2 * width, stride=2),
            ResidualBlock(2 * width, 4 * width, stride=2),
        )
        self.features = 4 * width * (SIZE // 16) ** 2
        generator = seeded(seed, "ResNet")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        x: Float[Tensor, "... 1 48 48"],
        parameters: Parameters | None = None,
    ) -> Float[Tensor, "... features"]:
        self.parameters_for(x, parameters)
        if parameters is not None:
            return self.call_with(parameters, x)
        images = x.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        h = F.relu(F.max_pool2d(self.norm(self.stem(images)), 2))
        return self.blocks(h).reshape(*x.shape[:-3], self.features)


class ResidualBlock(nn.Module):
    """ReLU(x' + F(x)): two convolutions, and a shortcut x' of matching shape."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(h)))
