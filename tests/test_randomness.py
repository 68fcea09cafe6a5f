"""Randomness has one owner: named streams from one seed, in every experiment."""

from itertools import combinations

import pytest
import torch

from labkit.experiments import EXPERIMENTS
from labkit.objective import squared_error
from labkit.randomness import TEST, TRAINING, seeded, spawn
from labkit.training import meta_train


def numbers(source, n=4000):
    return torch.randn(n, generator=source, dtype=torch.float64)


def test_a_stream_begins_the_same_each_time_and_is_like_no_other():
    assert torch.equal(numbers(seeded(3, "a")), numbers(seeded(3, "a")))
    streams = [seeded(3, "a"), seeded(3, "b"), seeded(4, "a"), seeded(spawn(3, "a"))]
    correlation = torch.corrcoef(torch.stack([numbers(one) for one in streams]))
    assert correlation.fill_diagonal_(0).abs().max() < 0.1


def test_seeds_spawned_from_many_names_and_seeds_differ():
    """Also in the 32 bits that a CPU's generator takes of them."""
    spawned = [spawn(seed, f"part {i}") for seed in range(20) for i in range(20)]
    assert len({seed & 0xFFFFFFFF for seed in spawned}) == 400
    assert all(0 <= seed < 2**63 for seed in spawned)


def test_a_negative_seed_is_named():
    with pytest.raises(ValueError, match="seed=-1 must be 0 or larger"):
        seeded(-1)


def test_a_large_seed_is_a_seed():
    assert spawn(2**70, "a") != spawn(2**70 + 1, "a")


def initial(experiment, seed=0):
    """The drawn tensors a learner starts with, each as one vector."""
    learner = experiment.learner(experiment.seed_of(seed))
    return {
        name: value.detach().flatten().double()
        for name, value in learner.named_parameters()
        if value.numel() > 8 and value.detach().std() > 0
    }


KINDS = {tuple(initial(one)): name for name, one in EXPERIMENTS.items()}.values()
"""One experiment for each set of tensors that a learner can start with."""


@pytest.mark.parametrize("name", KINDS)
def test_no_two_tensors_of_a_learner_start_as_the_same_numbers(name):
    tensors = initial(EXPERIMENTS[name])
    for (one, a), (other, b) in combinations(tensors.items(), 2):
        n = min(len(a), len(b))
        pair = torch.stack([a[:n], b[:n]])
        bound = 6 / n**0.5  # of six standard deviations
        assert torch.corrcoef(pair)[0, 1].abs() < bound, f"{one} and {other}"


@pytest.mark.parametrize("name", KINDS)
def test_another_seed_changes_the_weights_and_not_their_kind(name):
    first, second = (initial(EXPERIMENTS[name], seed) for seed in (0, 1))
    assert list(first) == list(second)
    drawn = [n for n in first if not n.endswith(("scale", "rates")) and "norm" not in n]
    changed = [n for n in drawn if not torch.equal(first[n], second[n])]
    assert changed == drawn


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_trains_and_is_judged_on_streams_of_its_own(name):
    """And one that continues another does not meet that one's tasks again."""
    experiment = EXPERIMENTS[name]
    own = experiment.seed_of(0)
    streams = [seeded(own, TRAINING), seeded(0, TEST), seeded(1, TEST)]
    if experiment.start:
        streams.append(seeded(EXPERIMENTS[experiment.start].seed_of(0), TRAINING))
    correlation = torch.corrcoef(torch.stack([numbers(one) for one in streams]))
    assert correlation.fill_diagonal_(0).abs().max() < 0.1


class Recorder:
    """Tasks of an experiment, and every number drawn for them."""

    def __init__(self, tasks):
        self.tasks, self.drawn = tasks, []

    def sample(self, n_tasks, *, generator):
        episode = self.tasks.sample(n_tasks, generator=generator)
        self.drawn.append(episode)
        return episode


def test_training_meets_no_weight_vector_of_its_test_tasks():
    experiment = EXPERIMENTS["linear-regression"]
    training = Recorder(experiment.training_tasks(torch.device("cpu")))
    learner = experiment.learner()
    meta_train(
        learner,
        training,
        steps=3,
        tasks_per_step=64,
        loss=squared_error,
        seed=experiment.seed_of(0),
        objective=experiment.objective(),
    )
    (test,) = [make() for name, make in experiment.evaluations().items()][:1]
    judged = Recorder(test)
    experiment.evaluate(learner, judged, n_tasks=500, seed=0)
    seen, asked = (
        torch.cat([e.support_x[:, 0] for e in one.drawn]) for one in (training, judged)
    )
    assert torch.cdist(seen, asked).min() > 1e-4
