"""Prototypical Networks beside easyfsl: `python -m benchmarks.protonet`.

Two comparisons in one run, on the same drawings: meta-training Conv4-64 on 28 × 28
(drawing the episode, both passes of the network, backward, optimiser step), and
drawing episodes alone. The drawings are noise, which takes as long as any other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import metadata

import torch

from benchmarks.measure import Comparison, compare, processor, write
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.randomness import seeded
from labkit.tasks.characters import CharacterSet, FewShot
from labkit.training import meta_train

SEED = 0
CLASSES, DRAWINGS, SIZE = 200, 20, 28
LOADING_EPISODES = 100

SKIPPED = {
    "learn2learn": "0.2.0 does not build on Python 3.11",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--query", type=int, default=15)
    parser.add_argument("--episodes", type=int, default=20, help="trained on a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--write", action="store_true", help="keep a record in data/benchmarks/"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = {"torch": torch.__version__, "python": sys.version.split()[0]}
    print(f"{processor()}, {options.threads} thread(s), torch {versions['torch']}")

    tasks = FewShot(noise(), options.way, options.shot, options.query)
    skipped = dict(SKIPPED)
    comparisons: list[Comparison] = []
    try:
        from benchmarks import easyfsl_peer as peer
    except ImportError as error:
        skipped["easyfsl"] = f"cannot be imported ({error}); see benchmarks/README.md"
    else:
        versions["easyfsl"] = metadata.version("easyfsl")
        name = f"easyfsl {versions['easyfsl']}"
        for what, ours, theirs, episodes in (
            ("training", training, peer.training, options.episodes),
            ("loading", loading, peer.loading, LOADING_EPISODES),
        ):
            comparisons += compare(
                f"{what}, {options.way}-way {options.shot}-shot {options.query}-query",
                ours(tasks, episodes, SEED),
                {name: theirs(tasks, episodes, SEED)},
                episodes=episodes,
                rounds=options.rounds,
            )
            print(comparisons[-1])
    for peer_name, reason in skipped.items():
        print(f"skipped {peer_name}: {reason}")
    if options.write:
        path = write(
            "protonet",
            comparisons,
            command=" ".join(["python -m benchmarks.protonet", *sys.argv[1:]]),
            configuration={k: v for k, v in vars(options).items() if k != "write"},
            versions=versions,
            skipped=skipped,
        )
        print(f"written to {path.relative_to(path.parents[2])}")


def noise() -> CharacterSet:
    """As many drawings as a small background set has, of no matter what."""
    shape = (CLASSES, DRAWINGS, SIZE, SIZE)
    return CharacterSet(
        images=torch.randint(256, shape, dtype=torch.uint8, generator=seeded(SEED)),
        alphabet=torch.zeros(CLASSES, dtype=torch.int64),
        names=tuple(f"noise/character{k:03}" for k in range(CLASSES)),
        alphabets=("noise",),
    )


def loading(tasks: FewShot, n_tasks: int, seed: int) -> Callable[[], None]:
    """A call that draws `n_tasks` episodes, one at a time as training does."""
    source = seeded(seed)

    def load() -> None:
        for _ in range(n_tasks):
            tasks.sample(1, generator=source)

    return load


def training(tasks: FewShot, n_tasks: int, seed: int) -> Callable[[], None]:
    """A call that meta-trains on `n_tasks` episodes, through `meta_train` itself."""
    learner = ProtoNet(Conv4())

    def train() -> None:
        meta_train(learner, tasks, steps=n_tasks, seed=seed)

    return train


if __name__ == "__main__":
    main()
