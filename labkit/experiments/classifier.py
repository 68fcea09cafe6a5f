"""Ordinary training of a classifier: no episodes, every class at once."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from labkit.networks.network import Network
from labkit.networks.with_head import WithHead
from labkit.progress import Progress
from labkit.randomness import TRAINING, seeded
from labkit.tasks.characters import CharacterSet


def train_classifier(
    network: Network,
    characters: CharacterSet,
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> WithHead:
    """Train the network, in place, with a linear layer to tell all characters apart.

    Each step draws `batch_size` drawings with replacement and descends with Adam on the
    mean cross-entropy. The network must be on the device of the characters.

    Returns:
        The whole classifier, in evaluation mode. `classifier.body` is the network.
    """
    images, device = characters.images, characters.images.device
    n_classes, n_drawings = images.shape[:2]
    classifier = WithHead(network, n_classes, seed=seed).to(device).train()
    optimizer = torch.optim.Adam(
        classifier.parameters(), learning_rate, fused=device.type in ("cpu", "cuda")
    )
    source = seeded(seed, TRAINING, device=device)
    progress = Progress("training a classifier", steps)
    for step in range(steps):
        drawn = torch.randint(
            n_classes * n_drawings, (batch_size,), generator=source, device=device
        )
        x = images.flatten(0, 1)[drawn].unsqueeze(1).float() / 255
        loss = F.cross_entropy(classifier(x), drawn // n_drawings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress(step + 1)
    return classifier.eval()
