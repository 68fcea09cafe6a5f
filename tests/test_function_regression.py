"""The experiments on Gaussian-process functions, and their stored weights."""

import pytest
import torch

from labkit.evaluation import evaluate
from labkit.experiments import find, records
from labkit.experiments.experiment import SMOKE_TASKS, run
from labkit.experiments.gaussian_processes import EXPERIMENTS, RBF
from labkit.gaussian import log_likelihood

STORED = [name for name in EXPERIMENTS if name in records.recorded()]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_from_tasks_to_figures(name, capsys):
    record = run(name, find(name), seed=5, device=torch.device("cpu"), smoke=True)
    assert [figure.unit for figure in record.results] == ["nats per target"] * 3
    assert {figure.n_tasks for figure in record.results} == {SMOKE_TASKS}
    assert f"{name}: {RBF}: " in capsys.readouterr().out


@pytest.mark.parametrize("name", STORED)
def test_stored_weights_give_the_recorded_likelihood(name):
    """On other tasks than the record's, so up to the intervals of both."""
    figure = records.read(name).result(RBF)
    learner = records.load_weights(find(name).learner(), name)
    tasks = find(name).evaluations()[RBF]()
    again = evaluate(
        learner, tasks, score=log_likelihood, n_tasks=300, seed=9, tasks_per_batch=1
    )
    assert again.mean == pytest.approx(figure.mean, abs=2 * (again.ci95 + figure.ci95))
