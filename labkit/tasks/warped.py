"""The same tasks drawn by shakier hands: every image is moved, turned, stretched, bent.

A learner that trains on few real drawings would otherwise remember them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit.episode import Episode, TaskDistribution
from labkit.tasks.checks import require_deviations, require_tasks


@dataclass(frozen=True)
class Warped:
    """Applies to each image of an episode an affine map and a bend of its own.

    Attributes:
        linear: standard deviation of the four entries of the map's matrix about the
            identity; it turns, scales and slants.
        shift: standard deviation of the translation, as a fraction of the image's side.
        bend: standard deviation, as the same fraction, of the displacement of 4 × 4
            points spread over the image; what lies between them follows smoothly.

    Raises:
        ValueError: `tasks` cannot be sampled, or a standard deviation is negative or
            not finite.
    """

    tasks: TaskDistribution
    linear: float = 0.1
    shift: float = 0.04
    bend: float = 0.0

    def __post_init__(self) -> None:
        require_tasks(tasks=self.tasks)
        require_deviations(linear=self.linear, shift=self.shift, bend=self.bend)

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        """The same tasks, every image moved; shapes as they were.

        Raises:
            ValueError: x is not of images.
        """
        episode = self.tasks.sample(n_tasks, generator=generator)
        return Episode(
            self._warp(episode.support_x, generator),
            episode.support_y,
            self._warp(episode.query_x, generator),
            episode.query_y,
        )

    def _warp(
        self, images: Float[Tensor, "T B 1 H W"], generator: torch.Generator
    ) -> Float[Tensor, "T B 1 H W"]:
        if images.ndim != 5 or not images.is_floating_point():
            raise ValueError(
                "Warped moves images, float [tasks, examples, channels, H, W], and x "
                f"of these tasks is {images.dtype} {list(images.shape)}."
            )
        flat = images.flatten(0, 1)
        maps = torch.randn(
            len(flat), 2, 3, generator=generator, device=generator.device
        )
        maps[..., :2] *= self.linear
        maps[..., 2] *= 2 * self.shift  # torch measures positions from −1 to 1
        maps += torch.eye(2, 3, device=generator.device)
        grid = F.affine_grid(maps, list(flat.shape), align_corners=False)
        if self.bend:
            lattice = torch.randn(
                len(flat), 2, 4, 4, generator=generator, device=generator.device
            )
            bent = F.interpolate(
                2 * self.bend * lattice,
                size=list(flat.shape[-2:]),
                mode="bicubic",
                align_corners=True,
            )
            grid = grid + bent.permute(0, 2, 3, 1)
        warped = F.grid_sample(flat, grid, align_corners=False)
        return warped.view(images.shape)
