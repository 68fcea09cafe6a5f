"""The trainings in which something emerges: as they stand, as recorded, as watched."""

from dataclasses import replace

import pytest
import torch

from labkit.evaluation import evaluate
from labkit.experiments import find, records
from labkit.experiments.emergence import EXPERIMENTS, TESTS, Watch, of_long, of_sweep
from labkit.learners.attention_only import AttentionOnly
from labkit.measures.induction import induction_score, matches
from labkit.randomness import seeded
from labkit.tasks.bursty import Bursty
from labkit.training import meta_train

TRAINED = [n for n in EXPERIMENTS if n in records.recorded()]
TASKS = Bursty(classes=64, labels=16, dimension=8, shot=4)


def test_a_watched_training_is_that_of_the_query_loss():
    plain, watched = (AttentionOnly(8, 16, shot=4, width=16) for _ in range(2))
    watch = Watch.of(TASKS, every=2, n_tasks=50, generator=seeded(1))
    meta_train(plain, TASKS, steps=5, tasks_per_step=8)
    meta_train(watched, TASKS, steps=5, tasks_per_step=8, objective=watch)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name])
    assert watch.steps == [0, 2, 4]


def test_what_is_watched_is_what_evaluation_and_the_scores_say():
    learner = AttentionOnly(8, 16, shot=4, width=16)
    watch = Watch.of(TASKS, every=1, n_tasks=200, generator=seeded(1))
    watch.look(learner)
    for test in TESTS:
        e = watch.tests[test]

        class Same:
            def sample(self, n_tasks, *, generator, e=e):
                return e

        found = evaluate(learner, Same(), n_tasks=200, tasks_per_batch=200).mean
        assert watch.curves[test] == [pytest.approx(found)]
    e = watch.tests["new classes"]
    _, maps = learner.attention(e.support_x, e.support_y, e.query_x)
    expected = induction_score(maps, matches(e)).mean().item()
    assert watch.curves["induction score"] == [pytest.approx(expected)]
    assert torch.equal(watch.maps[0], maps[0])


def test_every_training_has_its_name_and_tests_that_differ_only_in_the_query():
    names = of_sweep(64, 0.5, 1), of_sweep(1024, 0.9, 0, 1.0), of_long(0.75, 0, 2)
    assert [EXPERIMENTS[name].draw for name in names] == [1, 0, 0]
    assert EXPERIMENTS[names[1]].zipf == 1
    experiment = EXPERIMENTS[names[0]]
    assert experiment.burstiness == 0.5
    assert list(experiment.evaluations()) == list(TESTS)
    for test in TESTS:
        expected = replace(experiment.tasks(), test=test)
        assert experiment.evaluations()[test]() == expected


def test_a_part_goes_on_from_the_one_before_on_other_sequences():
    first, second = (EXPERIMENTS[of_long(0.75, 1, part)] for part in (1, 2))
    assert first.start == "" and second.start == of_long(0.75, 1, 1)
    assert replace(second, start="", part=1, steps=first.steps) == first


@pytest.mark.parametrize("name", TRAINED)
def test_a_checkpoint_still_gives_its_recorded_accuracies(name):
    experiment, record = find(name), records.read(name)
    learner = records.load_weights(experiment.learner(), name)
    for figure in record.results:
        tasks = experiment.evaluations()[figure.tasks]()
        again = experiment.evaluate(
            learner, tasks, n_tasks=figure.n_tasks, seed=figure.seed
        )
        # another processor rounds otherwise, which may turn a close query or two
        assert again.mean == pytest.approx(figure.mean, abs=2e-3)
