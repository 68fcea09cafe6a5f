"""Streams of examples: their order, what can be known in them, how they are judged."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

from labkit.experiments import records
from labkit.experiments.stream import EXPERIMENTS, presented
from labkit.learners.mann import MANN
from labkit.learners.recurrent import StreamLearner
from labkit.measures.streams import (
    by_presentation,
    ceiling_by_elimination,
    evaluate_stream,
    presentation_of,
)
from labkit.networks.flat import Flat
from labkit.randomness import seeded
from labkit.tasks import omniglot
from labkit.tasks.characters import CharacterSet, FewShot
from labkit.tasks.stream import Stream

N = 5
RECORDED = [name for name in EXPERIMENTS if name in records.recorded()]


def characters(classes=12, drawings=6):
    """Drawing d of class c is one pixel of brightness 10 c + d: it tells who it is."""
    value = 10 * torch.arange(classes)[:, None] + torch.arange(drawings)
    names = tuple(f"A/character{i:02}" for i in range(classes))
    return CharacterSet(
        value.to(torch.uint8)[:, :, None, None],
        torch.zeros(classes, dtype=torch.int64),
        names,
        ("A",),
    )


def identities(x):
    value = (x * 255).round().long().flatten(2)[..., 0]
    return value // 10, value % 10


class Eliminator(StreamLearner):
    """Knows every class that has come before, and guesses among the labels left."""

    def __init__(self):
        super().__init__(Flat(features=1), N)

    def stream(self, x, y, state=None):
        who, _ = identities(x)
        logits = torch.zeros_like(y)
        for t, i in torch.cartesian_prod(*map(torch.arange, who.shape)):
            before = y[t, :i]
            known = before[who[t, :i] == who[t, i]]
            left = 1 - before.sum(0).clamp(max=1)
            logits[t, i] = known[0] if len(known) else left
        return logits, None


class FixedLabelReader(Eliminator):
    """Looks nothing up: the label is the class modulo N."""

    def stream(self, x, y, state=None):
        return F.one_hot(identities(x)[0] % N, N).float(), None


def streams(shot=4):
    return Stream(FewShot(characters(), N, shot, query=1))


def fixed_labels():
    return FewShot(characters(), N, 4, query=1, permuted_labels=False)


def test_a_stream_shows_each_class_equally_often_in_any_order():
    e = streams().sample(200, generator=seeded(0))
    assert e.support_y.sum(1).eq(4).all()
    first = e.support_y[:, 0].mean(0)
    assert (first - 1 / N).abs().max() < 0.12  # four standard deviations
    assert presentation_of(e.support_y).max() == 4


def test_drawings_keep_their_labels_and_none_comes_twice():
    e = streams().sample(50, generator=seeded(0))
    who, drawing = identities(torch.cat([e.support_x, e.query_x], 1))
    label = torch.cat([e.support_y, e.query_y], 1).argmax(-1)
    for t in range(50):
        assert len(set(zip(who[t].tolist(), label[t].tolist(), strict=True))) == N
        assert len(set(zip(who[t].tolist(), drawing[t].tolist(), strict=True))) == 25


def test_labels_mean_something_else_in_every_task_unless_they_are_fixed():
    def spread(tasks):
        e = Stream(tasks).sample(400, generator=seeded(0))
        of_class_0 = e.support_y[identities(e.support_x)[0] == 0].mean(0)
        return of_class_0.max().item()

    assert spread(FewShot(characters(), N, 4, query=1)) < 0.4
    assert spread(fixed_labels()) == 1


def test_fixed_labels_are_the_class_modulo_the_number_of_labels():
    e = Stream(fixed_labels()).sample(99, generator=seeded(0))
    who, _ = identities(e.support_x)
    assert torch.equal(e.support_y.argmax(-1), who % N)
    assert who.unique().tolist() == list(range(10))  # two a label; two are left over


def test_presentations_are_counted_class_by_class():
    targets = F.one_hot(torch.tensor([[1, 1, 0, 2, 1, 0]]), 3).float()
    assert presentation_of(targets).tolist() == [[1, 2, 1, 1, 3, 2]]


def test_accuracy_by_presentation_by_hand():
    targets = F.one_hot(torch.tensor([[1, 1, 0, 0]]), 2).float()
    answers = F.one_hot(torch.tensor([[0, 1, 0, 1]]), 2).float()
    shares = by_presentation(answers, targets, presentation_of(targets), count=2)
    assert shares.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_elimination_cannot_do_better_than_its_ceiling(n):
    """Against every order of new classes and every guess that elimination allows."""
    right = asked = 0
    for labels in permutations(range(n)):
        for j, label in enumerate(labels):
            left = [k for k in range(n) if k not in labels[:j]]
            right += (left[0] == label) * 1
            asked += 1
    assert ceiling_by_elimination(n) == pytest.approx(right / asked)


def test_the_ceiling_for_five_classes_is_the_figure_of_the_chapter():
    assert ceiling_by_elimination(5) == pytest.approx(137 / 300)


def test_perfect_memory_reaches_the_ceiling_first_and_then_everything():
    scores = evaluate_stream(Eliminator(), streams(), presentations=4, n_tasks=600)
    assert abs(scores[0].mean - ceiling_by_elimination(N)) < 2 * scores[0].ci95
    assert [score.mean for score in scores[1:]] == [1, 1, 1]
    assert scores[0].n_tasks == 600


def test_a_leak_shows_at_the_first_presentation():
    """A learner that has the labels in its weights is right before it can know."""
    fixed = Stream(fixed_labels())
    leaking = evaluate_stream(FixedLabelReader(), fixed, presentations=4, n_tasks=50)
    assert leaking[0].mean == 1
    honest = evaluate_stream(
        FixedLabelReader(), streams(), presentations=4, n_tasks=300
    )
    assert all(abs(score.mean - 1 / N) < 2.5 * score.ci95 for score in honest)


class Lengths(MANN):
    """Notes how long the streams are that it reads."""

    def stream(self, x, y, state=None):
        self.lengths = [*getattr(self, "lengths", []), x.shape[1]]
        return super().stream(x, y, state)


def test_a_warm_up_reads_short_streams_first_and_goes_on_where_it_was(tmp_path):
    """Half of the steps as a warm-up, in an experiment of four steps of warm-up to two.

    With both checkpoints there, the same call trains no further.
    """
    experiment = replace(
        EXPERIMENTS["mann-stream-glyphs"],
        embedding="pixels",
        glyph_alphabets=1,
        warm_up=4,
        steps=2,
        tasks_per_step=1,
    )
    learner = Lengths(Flat(features=400), 5, hidden=8, slots=6, width=4, heads=1)
    kept = tmp_path / "run.pt"
    experiment.train(learner, steps=2, seed=0, label="trial", kept=kept)
    assert learner.lengths == [25] * 4 + [50] * 2
    assert {path.name for path in tmp_path.iterdir()} == {"run.pt", "run.warm-up.pt"}
    again = Lengths(Flat(features=400), 5, hidden=8, slots=6, width=4, heads=1)
    history = experiment.train(again, steps=2, seed=0, label="trial", kept=kept)
    assert len(history.losses) == 2 and not hasattr(again, "lengths")
    for ours, theirs in zip(learner.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("source", ["fresh glyphs", "held-out alphabets"])
def test_stored_weights_still_give_their_recorded_figure(name, source):
    """On a fifth of the tasks, within four standard errors."""
    if source == "held-out alphabets" and not omniglot.available("small2"):
        pytest.skip("needs Omniglot: python -m labkit data omniglot small2")
    experiment = EXPERIMENTS[name]
    learner = records.load_weights(experiment.learner(), name)
    tasks_name = presented(source, 2)
    tasks = experiment.evaluations()[tasks_name]()
    again = experiment.evaluate(learner, tasks, n_tasks=200, seed=0)
    recorded = records.read(name).result(tasks_name)
    assert again.mean == pytest.approx(recorded.mean, abs=2 * again.ci95)


@pytest.mark.parametrize("name", RECORDED)
def test_no_recorded_figure_is_above_the_ceiling_at_the_first_presentation(name):
    for source in ("fresh glyphs", "held-out alphabets"):
        figure = records.read(name).result(presented(source, 1))
        assert figure.mean < ceiling_by_elimination(N) + 2 * figure.ci95
