"""evaluate: an honest mean, with an interval that covers the truth 95% of the time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from labkit.episode import Episode
from labkit.evaluation import Evaluation, evaluate, task_scores
from labkit.learner import Learner
from labkit.learners.protonet import ProtoNet
from labkit.learners.recurrent import LSTMLearner
from labkit.measures.streams import evaluate_stream
from labkit.networks.conv4 import Conv4
from labkit.networks.network import Network
from labkit.objective import accuracy, cross_entropy, squared_error
from labkit.randomness import seeded
from labkit.tasks.characters import FewShot
from labkit.tasks.glyphs import draw_alphabets
from labkit.tasks.stream import Stream


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
            x = super().sample(n_tasks, generator=generator).query_x
            x[3] = torch.nan
            x, y = x.repeat(1, 1, 2), torch.eye(2)[[0, 1, 0]].expand(n_tasks, -1, -1)
            return Episode(x, y, x, y)

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


def characters(query=3):
    return FewShot(draw_alphabets(2, 5, 8, generator=seeded(0)), 5, 1, query=query)


class Readers(Network):
    """A network as a reader writes it, with what the case needs at its end."""

    def __init__(self, *last):
        super().__init__()
        self.features = 6
        linear = nn.utils.skip_init(nn.Linear, 28 * 28, 6)
        nn.init.normal_(linear.weight, std=0.1, generator=seeded(1))
        nn.init.zeros_(linear.bias)
        self.layers = nn.Sequential(linear, *last)

    def forward(self, x, parameters=None):
        return self.layers(x.flatten(0, 1).flatten(1)).unflatten(0, x.shape[:2])


class AgainstTheMean(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class AlwaysTraining(nn.BatchNorm1d):
    def forward(self, x):
        self.training = True
        return super().forward(x)


class AfterTheOneBefore(nn.Module):
    def forward(self, x):
        return x + x.roll(1, 0)


@pytest.mark.parametrize("query", [1, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm1d(6, track_running_stats=False),
        lambda: AlwaysTraining(6),
        AgainstTheMean,
        AfterTheOneBefore,
    ],
)
def test_a_learner_whose_queries_tell_each_other_is_reported_as_transductive(
    make, query
):
    learner = ProtoNet(Readers(make()))
    assert learner.normalisation == "inductive"  # as far as it knows
    with pytest.warns(UserWarning, match=r"ProtoNet says it is inductive.*running"):
        found = evaluate(learner, characters(query), n_tasks=4)
    assert found.normalisation == "transductive"
    assert found.mean == task_scores(learner, characters(query), n_tasks=4).mean()


@pytest.mark.parametrize(
    "last",
    [
        nn.BatchNorm1d(6),
        nn.LayerNorm(6),
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2), nn.Flatten()),
        nn.Identity(),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_learner_that_looks_at_each_query_alone_is_reported_as_inductive(last):
    learner = ProtoNet(Readers(last))
    assert evaluate(learner, characters(), n_tasks=4).normalisation == "inductive"


class Noisy(nn.Module):
    """Draws in evaluation too: from torch's generator, and from one of its own."""

    def __init__(self):
        super().__init__()
        self.own = seeded(3)

    def forward(self, x):
        noise = torch.randn(x.shape) + torch.randn(x.shape, generator=self.own)
        return x + 0.1 * noise


def test_finding_out_draws_nothing_and_changes_no_figure():
    figures, after = [], []
    for found_out in (True, False):
        torch.manual_seed(0)
        learner = ProtoNet(Readers(Noisy()))
        if found_out:
            figures.append(evaluate(learner, characters(), n_tasks=20).mean)
        else:
            figures.append(task_scores(learner, characters(), n_tasks=20).mean().item())
        after.append(torch.get_rng_state())
    assert figures[0] == figures[1]
    assert torch.equal(*after)


def test_noise_in_the_answers_is_no_company():
    learner = ProtoNet(Readers(Noisy()))
    assert evaluate(learner, characters(), n_tasks=4).normalisation == "inductive"


def test_streams_that_share_statistics_are_reported_as_transductive():
    tasks = Stream(FewShot(draw_alphabets(2, 5, 8, generator=seeded(0)), 5, 2, query=1))
    modes = []
    for track in (True, False):
        last = nn.BatchNorm1d(6, track_running_stats=track)
        learner = LSTMLearner(Readers(last), 5, hidden=4)
        found = evaluate_stream(learner, tasks, presentations=2, n_tasks=4)
        modes += [figure.normalisation for figure in found]
    assert modes == ["inductive"] * 2 + ["transductive"] * 2


def test_several_threads_may_evaluate_one_learner():
    learner = ProtoNet(Conv4(width=4)).train()
    expected = task_scores(learner, characters(), n_tasks=30)
    buffers = {name: value.clone() for name, value in learner.named_buffers()}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda _: task_scores(learner, characters(), n_tasks=30), range(8)
        )
        assert all(torch.equal(scores, expected) for scores in found)
    assert all(module.training for module in learner.modules())
    for name, value in learner.named_buffers():
        assert torch.equal(value, buffers[name])


@pytest.mark.parametrize("wrong", [{"n_tasks": -1}, {"tasks_per_batch": 0}])
def test_numbers_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        evaluate(Zero(), Noise(), score=squared_error, **wrong)


def test_tasks_without_a_query_are_told():
    class NoQuery(Noise):
        def sample(self, n_tasks, *, generator):
            e = super().sample(n_tasks, generator=generator)
            return Episode(e.support_x, e.support_y, e.query_x[:, :0], e.query_y[:, :0])

    with pytest.raises(ValueError, match=r"query_x .* holds no query"):
        evaluate(Zero(), NoQuery(), score=squared_error, n_tasks=2)


def test_an_infinite_score_is_no_average():
    class Far(Zero):
        def predict(self, adapted, query_x):
            return super().predict(adapted, query_x) + 1e30

    with pytest.raises(ArithmeticError, match="8 of 8 tasks have no finite score"):
        evaluate(Far(), Noise(), score=squared_error, n_tasks=8)
