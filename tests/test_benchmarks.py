"""Benchmarks report what they measured, and name the peers they did not."""

import importlib.util
import json
import subprocess
import sys

import pytest
import torch

from benchmarks import measure
from benchmarks.protonet import loading, noise, training
from labkit.tasks.characters import FewShot


@pytest.fixture
def clock(monkeypatch):
    """Time passes only when a contestant says so."""
    now = [0.0]
    monkeypatch.setattr(measure.time, "process_time", lambda: now[0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    return now


def test_a_slow_round_slows_both_and_leaves_the_ratio(clock):
    paces = iter([1.0, 1.0, 1.0, 5.0, 1.0])  # of the warm-up, then of four rounds
    pace = [1.0]

    def ours():
        pace[0] = next(paces)
        clock[0] += 2 * pace[0]

    def peer():
        clock[0] += 6 * pace[0]

    found = measure.compare(
        "work", ours, peer, peer_name="other", episodes=10, rounds=4
    )
    assert found.ratio == pytest.approx(3.0)
    assert found.ratio_range == pytest.approx((3.0, 3.0))
    assert found.ours == pytest.approx(10 / 2)
    assert found.peer == pytest.approx(10 / 6)


def test_both_contestants_of_ours_run():
    tasks = FewShot(noise(), way=3, shot=1, query=2)
    loading(tasks, 2, seed=0)()
    training(tasks, 2, seed=0)()


@pytest.mark.skipif(
    importlib.util.find_spec("easyfsl") is not None, reason="easyfsl is installed here"
)
def test_without_its_peers_it_says_which_it_skipped():
    command = [sys.executable, "-m", "benchmarks.protonet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "skipped easyfsl" in ran.stdout
    assert "benchmarks/README.md" in ran.stdout


def test_a_record_holds_what_is_needed_to_repeat_it(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    found = measure.Comparison("work", 2.0, 1.0, "other 1.0", 2.0, (1.9, 2.1))
    path = measure.write(
        "protonet",
        [found],
        command="python -m benchmarks.protonet",
        configuration={"way": 5},
        versions={"torch": torch.__version__},
        skipped={},
    )
    record = json.loads(path.read_text())
    assert record["comparisons"][0]["ratio"] == 2.0
    assert record["processor"] and record["threads"] >= 1
