"""Looking at a drawing several times, a little moved, before deciding what it is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.arguments import require_whole
from labkit.networks.network import Network, Parameters
from labkit.randomness import seeded


class Views(Network):
    """The mean of the network's unit embeddings of `views` affine views of an image.

    The first view is the image itself; the maps of the others are drawn once, with the
    standard deviations of `labkit.tasks.warped.Warped`. For a cosine distance. In
    training mode it is the network alone: averaging is for evaluation, as with the
    crops of Krizhevsky et al. (2012, section 4.1). Each image is embedded by itself, so
    that an inductive network stays inductive.
    """

    def __init__(
        self,
        network: Network,
        *,
        views: int = 9,
        linear: float = 0.1,
        shift: float = 0.04,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_whole(1, views=views)
        self.network = network
        self.example, self.features = network.example, network.features
        self.uses_batch_statistics = network.uses_batch_statistics
        maps = torch.randn(views, 2, 3, generator=seeded(seed, "views"))
        maps *= torch.tensor([linear, linear, 2 * shift])
        maps[0] = 0
        self.register_buffer("maps", maps + torch.eye(2, 3), persistent=False)

    def forward(
        self,
        x: Float[Tensor, "... 1 H W"],
        parameters: Parameters | None = None,
    ) -> Float[Tensor, "... features"]:
        if parameters is not None:
            raise ValueError("Views averages a network with parameters of its own.")
        self.parameters_for(x, None)
        if self.training:
            return self.network(x)
        images = x.flatten(0, -4)
        total = images.new_zeros(len(images), self.features)
        for view in self.get_buffer("maps"):
            grid = F.affine_grid(
                view.expand(len(images), 2, 3), list(images.shape), align_corners=False
            )
            moved = F.grid_sample(images, grid, align_corners=False)
            total += F.normalize(self.network(moved), dim=-1)
        return (total / len(self.get_buffer("maps"))).view(*x.shape[:-3], -1)
