"""Benchmarks report what they measured, and name the peers they did not."""

import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.func import functional_call

from benchmarks import maml, measure
from benchmarks.protonet import loading, noise, training
from labkit.episode import Episode
from labkit.tasks.characters import FewShot
from labkit.training import History, meta_train


@pytest.fixture
def clock(monkeypatch):
    """Time passes only when a contestant says so."""
    now = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_a_slow_round_slows_both_and_leaves_the_ratio(clock):
    paces = iter([1.0, 1.0, 1.0, 5.0, 1.0])  # of the warm-up, then of four rounds
    pace = [1.0]

    def ours():
        pace[0] = next(paces)
        clock[0] += 2 * pace[0]

    def peer():
        clock[0] += 6 * pace[0]

    (found,) = measure.compare("work", ours, {"other": peer}, episodes=10, rounds=4)
    assert found.ratio == pytest.approx(3.0)
    assert found.ratio_range == pytest.approx((3.0, 3.0))
    assert found.ours == pytest.approx(10 / 2)
    assert found.peer == pytest.approx(10 / 6)
    assert found.peer_wall == pytest.approx(10 / 6)
    assert found.peer_name == "other"


def noting(function, answers):
    """The function, which adds what it answers to a list."""

    def noted(*arguments, **keywords):
        answers.append(function(*arguments, **keywords))
        return answers[-1]

    return noted


def test_contestants_of_ours_do_the_work_they_are_timed_for(monkeypatch):
    histories: list[History] = []
    episodes: list[Episode] = []
    for module in ("maml", "protonet"):
        path = f"benchmarks.{module}.meta_train"
        monkeypatch.setattr(path, noting(meta_train, histories))
    monkeypatch.setattr(FewShot, "sample", noting(FewShot.sample, episodes))
    tasks = FewShot(noise(), way=3, shot=1, query=2)
    loading(tasks, 2, seed=0)()
    assert [episode.n_tasks for episode in episodes] == [1, 1]
    training(tasks, 2, seed=0)()
    work = replace(maml.WORKS[0], tasks=2, steps=3)
    maml.training(work, torch.device("cpu"))()
    few_shot, sinusoids = histories
    assert len(few_shot.losses) == 2 and len(episodes) == 4
    first, second, third = sinusoids.losses  # on one episode, again and again
    assert first > second > third


def by_hand(model, episode, loss, inner_steps, inner_rate, first_order=False):
    """MAML of PyTorch's own layers, one task after the other."""
    for task in episode.chunks(1):
        fast = dict(model.named_parameters())
        for _ in range(inner_steps):
            inner = loss(
                functional_call(model, fast, task.support_x[0]), task.support_y[0]
            )
            gradients = torch.autograd.grad(
                inner, list(fast.values()), create_graph=not first_order
            )
            fast = {
                name: value - inner_rate * gradient
                for (name, value), gradient in zip(fast.items(), gradients, strict=True)
            }
        outer = loss(functional_call(model, fast, task.query_x[0]), task.query_y[0])
        (outer / episode.n_tasks).backward()


@pytest.mark.parametrize("work", [maml.WORKS[0], maml.WORKS[1]])
def test_contestants_must_agree_on_the_meta_gradient(work):
    work = replace(work, tasks=2)
    maml.check(work, {"by hand": by_hand})
    with pytest.raises(AssertionError, match="first order and labkit disagree"):
        maml.check(work, {"first order": partial(by_hand, first_order=True)})


def test_the_work_of_one_step_is_twelve_passes_through_the_network():
    """Forward on the support, twice that backward, and double for the derivative of
    these three (nine in all); three on the query. The first layer is spared those of
    its input's gradient."""
    work = maml.WORKS[0]
    layers = [1 * 40, 40 * 40, 40 * 1]
    passes = [4 + 2, 12, 12]
    expected = sum(2 * 10 * size * n for size, n in zip(layers, passes, strict=True))
    assert maml.flops_per_task(work) == expected


@pytest.mark.parametrize(
    ("benchmark", "peer"), [("protonet", "easyfsl"), ("maml", "higher")]
)
def test_without_its_peers_it_says_which_it_skipped(benchmark, peer):
    if importlib.util.find_spec(peer) is not None:
        pytest.skip(f"{peer} is installed here")
    only_none = ["--work", "none"] if benchmark == "maml" else []
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *only_none]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"skipped {peer}" in ran.stdout
    assert "benchmarks/README.md" in ran.stdout


def test_a_record_holds_what_is_needed_to_repeat_it(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    found = measure.Comparison(
        "work", 2.0, 1.0, "other 1.0", 2.0, (1.9, 2.1), ours_wall=1.5, peer_wall=0.7
    )
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
