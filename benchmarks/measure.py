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
    smallest and the largest of them.
    """

    what: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    ratio_range: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.ratio_range
        return (
            f"{self.what}: labkit {self.ours:,.1f}/s, {self.peer_name} "
            f"{self.peer:,.1f}/s, ratio {self.ratio:.2f} "
            f"(rounds from {low:.2f} to {high:.2f})"
        )


def seconds_by_round(
    contestants: Mapping[str, Callable[[], None]], rounds: int
) -> dict[str, list[float]]:
    """Run each contestant once a round, one after the other, after one warm-up.

    With one thread the clock is the processor time of this process: what an idle
    machine takes, whoever else runs here. With more it is the clock on the wall.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for contestant in contestants.values():
        contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            began = clock()
            contestant()
            seconds[name].append(clock() - began)
    return seconds


def compare(
    what: str,
    ours: Callable[[], None],
    peer: Callable[[], None],
    *,
    peer_name: str,
    episodes: int,
    rounds: int,
) -> Comparison:
    """Measure two contestants that each process `episodes` episodes a call."""
    seconds = seconds_by_round({"ours": ours, "peer": peer}, rounds)
    ratios = [p / o for o, p in zip(seconds["ours"], seconds["peer"], strict=True)]
    return Comparison(
        what=what,
        ours=episodes / statistics.median(seconds["ours"]),
        peer=episodes / statistics.median(seconds["peer"]),
        peer_name=peer_name,
        ratio=statistics.median(ratios),
        ratio_range=(min(ratios), max(ratios)),
    )


def write(
    name: str,
    comparisons: list[Comparison],
    *,
    command: str,
    configuration: dict[str, object],
    versions: dict[str, str],
    skipped: dict[str, str],
) -> Path:
    """Keep the comparisons as data/benchmarks/NAME.json."""
    record = {
        "benchmark": name,
        "command": command,
        "configuration": configuration,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "versions": versions,
        "skipped": skipped,
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
