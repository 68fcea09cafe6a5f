"""evaluate: an honest mean, with an interval that covers the truth 95% of the time."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from labkit.episode import Episode
from labkit.evaluation import Evaluation, evaluate, task_scores
from labkit.learner import Learner
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.objective import accuracy, cross_entropy, squared_error
from labkit.randomness import seeded
from labkit.tasks.characters import FewShot
from labkit.tasks.glyphs import draw_alphabets


@dataclass
class Noise:
    """Queries whose target is standard normal: predicting 0 has expected MSE 1."""

    def sample(self, n_tasks, *, generator):
        x = torch.zeros(n_tasks, 3, 1, device=generator.device)
        y = torch.randn(n_tasks, 3, 1, generator=generator, device=generator.device)
        return Episode(x, y, x, y)


class Zero(Learner):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)  # would remember its input, were it training
        self.modes = []

    def adapt(self, support_x, support_y):
        self.modes.append(self.training)

    def predict(self, adapted, query_x):
        return 0 * self.norm(query_x)


def test_the_interval_is_1_96_standard_errors_with_n_minus_one_in_the_deviation():
    two = torch.tensor([0.0, 2.0])  # s = √2, s/√2 = 1
    assert Evaluation.of(two, 0, "inductive").ci95 == pytest.approx(1.96)


def test_the_interval_covers_the_truth_about_95_times_in_100():
    runs = [
        evaluate(Zero(), Noise(), score=squared_error, n_tasks=100, seed=seed)
        for seed in range(200)
    ]
    covered = sum(abs(run.mean - 1) <= run.ci95 for run in runs)
    assert 180 <= covered <= 198


def test_every_task_counts_once_whatever_the_batch():
    scores = task_scores(
        Zero(), Noise(), score=squared_error, n_tasks=25, tasks_per_batch=10
    )
    assert scores.shape == (25,)
    assert scores.dtype == torch.float64
    assert scores.unique().numel() == 25


def test_same_seed_same_tasks_another_seed_others():
    first, second, other = (
        evaluate(Zero(), Noise(), score=squared_error, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.mean != other.mean


def test_the_learner_is_evaluated_in_evaluation_mode_and_left_as_it_was():
    learner = Zero()
    learner.train()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    evaluate(learner, Noise(), score=squared_error, n_tasks=10)
    assert learner.modes == [False]
    assert learner.training
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("score", [squared_error, accuracy])
def test_a_task_without_a_score_is_an_error_and_no_average(score):
    class Broken(Noise):
        def sample(self, n_tasks, *, generator):
            e = super().sample(n_tasks, generator=generator)
            e.query_x[3] = torch.nan
            return e

    with pytest.raises(ArithmeticError, match=r"1 of 8 tasks.*number 3: .*NaN"):
        evaluate(Zero(), Broken(), score=score, n_tasks=8)


def test_a_distribution_that_draws_another_number_of_tasks_is_refused():
    class Eight(Noise):
        def sample(self, n_tasks, *, generator):
            return super().sample(8, generator=generator)

    with pytest.raises(ValueError, match=r"Eight.sample\(2\) drew 8 tasks"):
        evaluate(Zero(), Eight(), score=squared_error, n_tasks=2)


def test_a_part_that_was_frozen_in_evaluation_mode_stays_so():
    learner = Zero().train()
    learner.norm.eval()
    evaluate(learner, Noise(), score=squared_error, n_tasks=10)
    assert learner.training and not learner.norm.training


def test_the_number_of_threads_moves_a_figure_by_less_than_one_query_in_a_thousand():
    characters = draw_alphabets(2, 10, 20, generator=seeded(0))
    tasks, learner = FewShot(characters, 5, 1, query=5), ProtoNet(Conv4(width=16))
    threads = torch.get_num_threads()
    try:
        figures = []
        for n in (1, 2):
            torch.set_num_threads(n)
            figures.append(evaluate(learner, tasks, n_tasks=100))
    finally:
        torch.set_num_threads(threads)
    assert figures[0].mean == pytest.approx(figures[1].mean, abs=1e-3)


def test_one_task_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 tasks"):
        evaluate(Zero(), Noise(), score=squared_error, n_tasks=1)


def test_percent_reads_as_papers_print_it():
    figure = Evaluation(0.98123, 0.00188, 600, 0, "inductive")
    assert figure.percent() == "98.1 ± 0.2%"


def test_scores_are_means_over_each_tasks_own_queries():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert accuracy(logits, target).tolist() == [1.0, 0.5]
    right = torch.log1p(torch.exp(torch.tensor(-2.0)))
    expected = torch.stack([right, right + 1])  # a wrong answer costs 2 nats more
    torch.testing.assert_close(cross_entropy(logits, target), expected)
    assert squared_error(logits, target).tolist() == [0.5, 1.5]
