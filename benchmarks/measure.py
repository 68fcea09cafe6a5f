"""Times of several contestants on a machine that is also busy with other things."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).resolve().parents[1] / "data" / "benchmarks"


@dataclass(frozen=True)
class Comparison:
    """Episodes a second of each contestant, and how many times the peer's ours are.

    The rate is the median over rounds; the ratio is the median of the rounds' own
    ratios, so that what slows down a whole round cancels. `ratio_range` is the
    smallest and the largest of them. `..._wall` are rates by the clock on the wall.
    """

    what: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    ratio_range: tuple[float, float]
    ours_wall: float
    peer_wall: float

    def __str__(self) -> str:
        low, high = self.ratio_range
        return (
            f"{self.what}: labkit {self.ours:,.1f}/s, {self.peer_name} "
            f"{self.peer:,.1f}/s, ratio {self.ratio:.2f} "
            f"(rounds from {low:.2f} to {high:.2f}; on the wall "
            f"{self.ours_wall:,.1f}/s and {self.peer_wall:,.1f}/s)"
        )


@dataclass(frozen=True)
class Seconds:
    """What one call took. `charged` is what contestants are compared by."""

    charged: float
    wall: float


def seconds(contestant: Callable[[], object]) -> Seconds:
    """Time one call.

    With one thread and no GPU the clock is the processor time of this process: what an
    idle machine takes, whoever else runs here. Otherwise it is the clock on the wall,
    read when the device has finished.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    clock = time.process_time if alone else time.perf_counter
    _wait()
    began, began_wall = clock(), time.perf_counter()
    contestant()
    _wait()
    return Seconds(clock() - began, time.perf_counter() - began_wall)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_by_round(
    contestants: Mapping[str, Callable[[], None]], rounds: int
) -> dict[str, list[Seconds]]:
    """Run each contestant once a round, one after the other, after one warm-up."""
    for contestant in contestants.values():
        contestant()
    by_round: dict[str, list[Seconds]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            by_round[name].append(seconds(contestant))
    return by_round


def compare(
    what: str,
    ours: Callable[[], None],
    peers: Mapping[str, Callable[[], None]],
    *,
    episodes: int,
    rounds: int,
) -> list[Comparison]:
    """Measure contestants that each process `episodes` episodes a call."""
    by_round = seconds_by_round({"labkit": ours, **peers}, rounds)

    def rate(name: str, clock: str) -> float:
        return episodes / statistics.median(getattr(s, clock) for s in by_round[name])

    comparisons = []
    for name in peers:
        pairs = zip(by_round["labkit"], by_round[name], strict=True)
        ratios = [theirs.charged / own.charged for own, theirs in pairs]
        comparisons.append(
            Comparison(
                what=what,
                ours=rate("labkit", "charged"),
                peer=rate(name, "charged"),
                peer_name=name,
                ratio=statistics.median(ratios),
                ratio_range=(min(ratios), max(ratios)),
                ours_wall=rate("labkit", "wall"),
                peer_wall=rate(name, "wall"),
            )
        )
    return comparisons


def write(
    name: str,
    comparisons: list[Comparison],
    *,
    command: str,
    configuration: dict[str, object],
    versions: dict[str, str],
    skipped: dict[str, str],
    **more: object,
) -> Path:
    """Keep the comparisons, and what else there is, as data/benchmarks/NAME.json."""
    record = {
        "benchmark": name,
        "command": command,
        "configuration": configuration,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "versions": versions,
        "skipped": skipped,
        **more,
        "processor": processor(),
        "threads": torch.get_num_threads(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return path


def processor() -> str:
    """The processor's name and the instructions torch uses on it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
