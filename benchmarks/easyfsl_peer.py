"""easyfsl 1.5.0, used as its documentation does, with what it needs to run today.

Raises:
    ImportError: on import, if easyfsl or something it needs is not installed.
"""

# mypy: ignore-errors
# easyfsl and torchvision are not in the environment that is type-checked.

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from labkit.tasks.characters import CharacterSet, FewShot

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # A torchvision built for CUDA cannot load its compiled operators beside a torch
    # built for the CPU, and fails where it describes them. easyfsl needs none of
    # them: declared, they let the import pass.
    for module in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[module]
    OPERATORS = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")

from easyfsl.datasets import FewShotDataset
from easyfsl.methods import PrototypicalNetworks
from easyfsl.samplers import TaskSampler


class InMemory(FewShotDataset):
    """The same drawings, already decoded: nothing is read from disk for any side."""

    def __init__(self, characters: CharacterSet) -> None:
        self.images = characters.images.flatten(0, 1)
        self.labels = [
            label
            for label, drawings in enumerate(characters.images)
            for _ in range(len(drawings))
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        return self.images[item].unsqueeze(0).float() / 255, self.labels[item]

    def get_labels(self) -> list[int]:
        return self.labels


class _SamplerOfOldTorch(Sampler):
    """torch's Sampler took the argument that easyfsl's TaskSampler still passes."""

    def __init__(self, data_source: None = None) -> None:
        super().__init__()


class _TaskSampler(TaskSampler, _SamplerOfOldTorch):
    pass


def episodes_of(tasks: FewShot, n_tasks: int, seed: int) -> DataLoader:
    """easyfsl's loader: each pass over it draws `n_tasks` episodes."""
    random.seed(seed)  # the only source of randomness that TaskSampler has
    dataset = InMemory(tasks.characters)
    sampler = _TaskSampler(dataset, tasks.way, tasks.shot, tasks.query, n_tasks)
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn
    )


def loading(tasks: FewShot, n_tasks: int, seed: int) -> Callable[[], None]:
    """A call that draws `n_tasks` episodes and does nothing with them."""
    loader = episodes_of(tasks, n_tasks, seed)

    def load() -> None:
        for _ in loader:
            pass

    return load


def training(tasks: FewShot, n_tasks: int, seed: int) -> Callable[[], None]:
    """A call that meta-trains on `n_tasks` episodes: the loop of easyfsl's tutorial,
    with the optimiser that `meta_train` uses."""
    loader = episodes_of(tasks, n_tasks, seed)
    learner = PrototypicalNetworks(nn.Sequential(*_conv4(), nn.Flatten())).train()
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3, fused=True)
    loss = nn.CrossEntropyLoss()

    def train() -> None:
        for support_x, support_y, query_x, query_y, _ in loader:
            optimizer.zero_grad()
            learner.process_support_set(support_x, support_y)
            loss(learner(query_x), query_y).backward()
            optimizer.step()

    return train


def _conv4() -> Iterator[nn.Module]:
    for inputs in (1, 64, 64, 64):
        yield nn.Conv2d(inputs, 64, 3, padding=1)
        yield nn.BatchNorm2d(64)
        yield nn.ReLU()
        yield nn.MaxPool2d(2)
