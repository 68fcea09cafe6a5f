"""Second-order MAML beside higher and TorchOpt: `python -m benchmarks.maml`.

Meta-training, in one run on the same tasks: both losses, the meta-gradient through the
inner steps, the optimiser's step. All contestants must first agree on the meta-gradient
in double precision. The inputs are noise, which takes as long as any other.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Comparison, compare, processor, seconds, write
from labkit.device import choose
from labkit.episode import Episode
from labkit.learners.maml import MAML
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import Score, cross_entropy, meta_loss, squared_error
from labkit.randomness import seeded
from labkit.training import meta_train

SEED = 0
WAY, SIZE = 5, 28
PEERS = {"higher": "higher", "TorchOpt": "torchopt"}
SKIPPED = {"learn2learn": "0.2.0 does not build on Python 3.11"}

MetaGradient = Callable[[nn.Module, Episode, Score, int, float], None]


@dataclass(frozen=True)
class Work:
    """tasks: in a meta-training step. steps: of meta-training in a round.

    tasks_per_chunk: how many of them labkit differentiates at once on a CPU, where
    what they need should fit its cache; on a GPU it is all of them.
    """

    what: str
    tasks: int
    query: int
    inner_steps: int
    inner_rate: float
    steps: int = 1
    tasks_per_chunk: int | None = None

    @property
    def regression(self) -> bool:
        return self.what.startswith("sinusoids")

    def episode(self, device: torch.device) -> Episode:
        source = seeded(SEED)
        if self.regression:
            shapes = [(self.tasks, self.query, 1)] * 4
            drawn = [torch.randn(shape, generator=source) for shape in shapes]
            return Episode(*drawn).to(device)
        x, z = (
            torch.rand(self.tasks, WAY * n, 1, SIZE, SIZE, generator=source)
            for n in (1, self.query)
        )
        y = torch.eye(WAY).expand(self.tasks, -1, -1)
        return Episode(x, y, z, y.repeat(1, self.query, 1)).to(device)

    def learner(self) -> MAML:
        if self.regression:
            return MAML(
                MLP(),
                loss=squared_error,
                inner_steps=self.inner_steps,
                inner_rate=self.inner_rate,
            )
        return MAML(
            WithHead(Conv4(track_running_stats=False), WAY),
            loss=cross_entropy,
            inner_steps=self.inner_steps,
            inner_rate=self.inner_rate,
            normalisation="transductive",  # as the peers' examples are
        )


WORKS = [
    Work(
        "sinusoids 10-shot, 25 tasks, 1 step",
        tasks=25,
        query=10,
        inner_steps=1,
        inner_rate=0.01,
        steps=50,
    ),
    Work(
        "characters 5-way 1-shot 1-query, 32 tasks, 1 step",
        tasks=32,
        query=1,
        inner_steps=1,
        inner_rate=0.4,
        tasks_per_chunk=16,
    ),
    Work(
        "characters 5-way 1-shot 1-query, 32 tasks, 5 steps",
        tasks=32,
        query=1,
        inner_steps=5,
        inner_rate=0.4,
        tasks_per_chunk=16,
    ),
    Work(
        "characters 5-way 1-shot 15-query, 4 tasks, 1 step",
        tasks=4,
        query=15,
        inner_steps=1,
        inner_rate=0.4,
        tasks_per_chunk=2,
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument(
        "--work", default="", help="only the works whose name contains this"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep a record in data/benchmarks/"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    versions = {"torch": torch.__version__, "python": sys.version.split()[0]}
    peak = gemm_rate(device)
    print(
        f"{processor()}, {options.threads} thread(s), {device_name(device)}, torch "
        f"{versions['torch']}, {peak / 1e9:,.0f} GFLOP/s in a matrix product"
    )
    peers, skipped = import_peers(versions)
    comparisons: list[Comparison] = []
    fractions: dict[str, float] = {}
    for work in WORKS:
        if options.work not in work.what:
            continue
        check(work, peers)
        contestants = {
            name: peer_training(work, meta_gradient, device)
            for name, meta_gradient in peers.items()
        }
        found = compare(
            work.what,
            training(work, device),
            contestants,
            episodes=work.tasks * work.steps,
            rounds=options.rounds,
        )
        comparisons += found
        print(*found, sep="\n")
        if found:
            fraction = found[0].ours * flops_per_task(work) / peak
            fractions[work.what] = fraction
            print(f"    labkit is at {fraction:.0%} of that rate")
    for peer_name, reason in skipped.items():
        print(f"skipped {peer_name}: {reason}")
    if options.write:
        path = write(
            "maml" if device.type == "cpu" else f"maml-{device.type}",
            comparisons,
            command=" ".join(["python -m benchmarks.maml", *sys.argv[1:]]),
            configuration={k: v for k, v in vars(options).items() if k != "write"},
            versions=versions,
            skipped=skipped,
            device=device_name(device),
            environment={k: v for k, v in os.environ.items() if k.startswith("MALLOC")},
            matrix_product_gflops=peak / 1e9,
            fraction_of_matrix_product=fractions,
        )
        print(f"written to {path.relative_to(path.parents[2])}")


def import_peers(
    versions: dict[str, str],
) -> tuple[dict[str, MetaGradient], dict[str, str]]:
    """The meta-gradient of each peer that is installed, and why others are not."""
    peers, skipped = {}, dict(SKIPPED)
    for name, package in PEERS.items():
        try:
            module = import_module(f"benchmarks.{package}_peer")
        except ImportError as error:
            skipped[name] = f"cannot be imported ({error}); see benchmarks/README.md"
        else:
            versions[name] = metadata.version(package)
            peers[f"{name} {versions[name]}"] = module.meta_gradient
    return peers, skipped


class Always:
    """A task distribution of one episode."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode

    def sample(self, n_tasks: int, *, generator: torch.Generator) -> Episode:
        return self.episode


def training(work: Work, device: torch.device) -> Callable[[], None]:
    """A call that meta-trains for `work.steps` steps, through `meta_train` itself."""
    learner, tasks = work.learner().to(device), Always(work.episode(device))

    def train() -> None:
        meta_train(
            learner,
            tasks,
            steps=work.steps,
            loss=learner.loss,
            tasks_per_step=work.tasks,
            tasks_per_chunk=work.tasks_per_chunk if device.type == "cpu" else None,
        )

    return train


def peer_training(
    work: Work, meta_gradient: MetaGradient, device: torch.device
) -> Callable[[], None]:
    """The same with a peer, on PyTorch's own layers and with the same optimiser."""
    model, episode = layers(work.learner())[0].to(device), work.episode(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def train() -> None:
        for _ in range(work.steps):
            optimizer.zero_grad()
            meta_gradient(
                model, episode, loss_of(work), work.inner_steps, work.inner_rate
            )
            optimizer.step()

    return train


def loss_of(work: Work) -> Callable[[Tensor, Tensor], Tensor]:
    return F.mse_loss if work.regression else F.cross_entropy


def layers(learner: MAML) -> tuple[nn.Sequential, list[tuple[str, Tensor]]]:
    """The learner's network of PyTorch's layers, in the same state.

    Also which parameter is which: (name in the learner's network, parameter here).
    Convolutions have a bias as in the peers' examples. It has no counterpart, because
    the normalisation that follows takes it away; it starts at zero.
    """
    own = dict(learner.network.named_parameters())
    stack: list[nn.Module] = []
    pairs: list[tuple[str, Tensor]] = []
    if isinstance(learner.network, MLP):
        for layer, (ins, outs) in enumerate([(1, 40), (40, 40), (40, 1)]):
            linear = nn.Linear(ins, outs)
            stack += [linear, nn.ReLU()]
            pairs += [
                (f"weight{layer}", linear.weight),
                (f"bias{layer}", linear.bias),
            ]
        stack.pop()
    else:
        for block, channels in enumerate([1, 64, 64, 64]):
            convolution = nn.Conv2d(channels, 64, 3, padding=1)
            nn.init.zeros_(convolution.get_parameter("bias"))
            normalisation = nn.BatchNorm2d(64, track_running_stats=False)
            stack += [convolution, normalisation, nn.ReLU(), nn.MaxPool2d(2)]
            pairs += [
                (f"body.conv{block}", convolution.weight),
                (f"body.scale{block}", normalisation.weight),
                (f"body.shift{block}", normalisation.bias),
            ]
        head = nn.Linear(64, WAY)
        stack += [nn.Flatten(), head]
        pairs += [("weight", head.weight), ("bias", head.bias)]
    for name, parameter in pairs:
        parameter.data.copy_(own[name].data)
    return nn.Sequential(*stack), pairs


def check(work: Work, peers: dict[str, MetaGradient]) -> None:
    """That all compute one meta-gradient, on two tasks in double precision.

    Raises:
        AssertionError: a peer's differs from ours by more than rounding.
    """
    learner = work.learner().double()
    drawn = work.episode(torch.device("cpu"))[:2]
    episode = Episode(*(value.double() for value in vars(drawn).values()))
    meta_loss(learner, episode, learner.loss).backward()
    for name, meta_gradient in peers.items():
        model, pairs = layers(learner)
        model.double()
        for own_name, parameter in pairs:
            parameter.data.copy_(learner.network.get_parameter(own_name).data)
        meta_gradient(model, episode, loss_of(work), work.inner_steps, work.inner_rate)
        for own_name, parameter in pairs:
            ours = learner.network.get_parameter(own_name).grad
            torch.testing.assert_close(
                parameter.grad,
                ours,
                rtol=1e-7,
                atol=1e-9,
                msg=f"{name} and labkit disagree on the gradient of {own_name}",
            )


def flops_per_task(work: Work) -> float:
    """Multiplications and additions in the matrix products and convolutions of one
    task's meta-gradient, twelve passes through the network for one step and as many
    queries as supports."""
    learner = work.learner()
    episode = work.episode(torch.device("cpu"))[:1]
    with FlopCounterMode(display=False) as counter:
        meta_loss(learner, episode, learner.loss).backward()
    return counter.get_total_flops()


def gemm_rate(device: torch.device, size: int = 1024) -> float:
    """Floating-point operations a second in a product of two square matrices."""
    a, b = (
        torch.randn(size, size, generator=seeded(seed)).to(device) for seed in (0, 1)
    )
    a @ b
    return 2 * size**3 / min(seconds(lambda: a @ b).charged for _ in range(10))


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main()
