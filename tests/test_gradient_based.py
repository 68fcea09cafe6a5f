"""The experiments of MAML's family: how they are judged, and what their records say."""

import pytest
import torch

from labkit.experiments import EXPERIMENTS, find, records
from labkit.experiments.experiment import run
from labkit.experiments.gradient_based import GradientBased, Judged
from labkit.experiments.sinusoids import EXPERIMENTS as SINUSOIDS
from labkit.experiments.sinusoids import after
from labkit.tasks import omniglot
from labkit.tasks.sinusoids import Sinusoids

FAMILY = [n for n, one in EXPERIMENTS.items() if isinstance(one, GradientBased)]
RECORDED = [n for n in FAMILY if n in records.recorded()]
FEWER = 60


def test_a_learner_is_judged_under_a_protocol_and_keeps_its_own():
    experiment = SINUSOIDS["maml-sinusoids"]
    learner = experiment.learner()
    errors = [
        experiment.evaluate(
            learner, Judged(Sinusoids(5, 5), inner_steps=steps), n_tasks=2, seed=0
        ).mean
        for steps in (0, 1, 5)
    ]
    assert len(set(errors)) == 3
    assert learner.inner_steps == experiment.inner_steps


@pytest.mark.parametrize("mode", ["inductive", "transductive"])
def test_the_mode_of_a_figure_is_that_it_was_judged_in(mode):
    if not omniglot.available("small2"):
        pytest.skip("needs Omniglot: python -m labkit data omniglot small2")
    experiment = find("maml-glyphs-1shot")
    suffix = ", transductive" if mode == "transductive" else ""
    name = f"held-out alphabets, 5-way 1-shot between alphabets{suffix}"
    tasks = experiment.evaluations()[name]()
    found = experiment.evaluate(experiment.learner(), tasks, n_tasks=2, seed=0)
    assert found.normalisation == mode


@pytest.mark.parametrize("name", ["reptile-sinusoids", "meta-sgd-sinusoids"])
def test_an_experiment_runs_from_tasks_to_figures(name):
    record = run(name, find(name), seed=5, device=torch.device("cpu"), smoke=True)
    assert [figure.unit for figure in record.results] == ["squared error"] * 5


@pytest.mark.parametrize("name", RECORDED)
def test_a_checkpoint_still_gives_its_recorded_figures(name):
    """On fewer tasks, so within four standard errors of what these leave open."""
    experiment, record = find(name), records.read(name)
    learner = records.load_weights(experiment.learner(), name)
    for figure in record.results:
        if figure.tasks.startswith("held-out") and not omniglot.available("small2"):
            continue
        tasks = experiment.evaluations()[figure.tasks]()
        again = experiment.evaluate(learner, tasks, n_tasks=FEWER, seed=figure.seed)
        error = figure.ci95 / 1.96 * (figure.n_tasks / again.n_tasks) ** 0.5
        assert again.mean == pytest.approx(figure.mean, abs=4 * error)
        assert again.normalisation == figure.normalisation


def test_a_member_of_the_family_is_better_than_published_after_1_5_and_10_steps():
    found = [records.read(n) for n in RECORDED if n.endswith("-sinusoids")]
    best = [
        record.experiment
        for record in found
        if all(
            record.result(after(k)).mean + record.result(after(k)).ci95 < published
            for k, published in ((1, 0.67), (5, 0.38), (10, 0.35))
        )
    ]
    assert {"maml-sinusoids", "meta-sgd-sinusoids"} <= set(best)
