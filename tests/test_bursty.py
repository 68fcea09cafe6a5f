"""Bursty sequences: each kind of test leaves the way to be right that it should."""

from dataclasses import replace

import pytest
import torch

from labkit.randomness import seeded
from labkit.tasks.bursty import Bursty, means

T = 4000
SMALL = Bursty(classes=64, labels=16, dimension=24, shot=8, copies=2, noise=0.1)


def draw(tasks, n=T, seed=0):
    return tasks.sample(n, generator=seeded(seed))


def nearest_class(tasks, x):
    """Which of the M classes an item is of, by comparing it with all."""
    all_means = means(tasks.classes, tasks.dimension, tasks.world, x.device)
    return (
        torch.cdist(x.reshape(1, -1, x.shape[-1]), all_means[None])
        .argmin(-1)
        .view(x.shape[:-1])
    )


def in_context(episode):
    """[T]: is the label of the query in the context?"""
    return (episode.support_y * episode.query_y).sum((1, 2)) > 0


def test_a_sequence_has_pairs_to_learn_from_and_one_query():
    e = draw(SMALL, 5)
    assert e.support_x.shape == (5, 8, 24) and e.support_y.shape == (5, 8, 16)
    assert e.query_x.shape == (5, 1, 24) and e.query_y.shape == (5, 1, 16)
    assert torch.equal(e.support_y.sum(-1), torch.ones(5, 8))


def test_every_class_of_a_context_occurs_as_often_and_has_its_own_label():
    e = draw(SMALL)
    assert set(e.support_y.sum(1).unique().tolist()) == {0.0, 2.0}
    classes = nearest_class(SMALL, e.support_x)
    same_class = classes[:, :, None] == classes[:, None, :]
    same_label = e.support_y @ e.support_y.mT > 0.5
    assert (same_class == same_label).float().mean() > 0.999


def test_a_class_has_the_same_label_in_every_sequence():
    e = draw(SMALL)
    for x, y in ((e.support_x, e.support_y), (e.query_x, e.query_y)):
        classes = nearest_class(SMALL, x)
        assert (classes % 16 == y.argmax(-1)).float().mean() > 0.999


@pytest.mark.parametrize("burstiness", [0.0, 0.6, 1.0])
def test_burstiness_is_how_often_the_context_holds_the_class_of_the_query(burstiness):
    e = draw(replace(SMALL, burstiness=burstiness))
    found = in_context(e).double().mean()
    assert (
        abs(found - burstiness) < 4 * (burstiness * (1 - burstiness) / T) ** 0.5 + 1e-9
    )


def test_where_the_class_is_there_twice_it_can_be_anywhere_in_the_context():
    e = draw(replace(SMALL, burstiness=1.0))
    places = (e.support_y * e.query_y).sum(-1).mean(0)
    assert (places - 0.25).abs().max() < 4 * (0.25 * 0.75 / T) ** 0.5


def test_items_lie_about_the_mean_of_their_class_as_far_as_the_noise_says():
    tasks = replace(SMALL, noise=0.5)
    e = draw(tasks)
    centre = means(64, 24, 0, e.device)[nearest_class(tasks, e.query_x)]
    distance = (e.query_x * (1 + 0.5**2) ** 0.5 - centre).square().sum(-1).mean()
    assert distance == pytest.approx(0.5**2, rel=0.05)
    assert e.query_x.square().sum(-1).mean() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("zipf", [0.0, 1.0, 2.0])
def test_single_classes_are_drawn_by_zipfs_law(zipf):
    """Of one class a sequence nothing is excluded: the frequencies are exact."""
    tasks = Bursty(classes=8, labels=4, shot=2, zipf=zipf)
    n = 100_000
    drawn = tasks.draw_classes(n, 1, generator=seeded(0)).flatten()
    expected = torch.arange(1, 9).double() ** -zipf
    expected /= expected.sum()
    found = drawn.bincount(minlength=8) / n
    assert ((found - expected).abs() < 4 * (expected / n).sqrt()).all()


def test_several_classes_are_those_of_drawing_again_until_the_label_is_new():
    """Against the naive loop: first by Zipf's law, then among the other labels."""
    tasks = Bursty(classes=6, labels=3, shot=2, zipf=1.0)
    n, weights = 60_000, 1 / torch.arange(1.0, 7)
    pairs = tasks.draw_classes(n, 2, generator=seeded(0)).sort(1).values
    found = (pairs[:, 0] * 6 + pairs[:, 1]).bincount(minlength=36).view(6, 6) / n
    expected = torch.zeros(6, 6)
    for first in range(6):
        others = [k for k in range(6) if k % 3 != first % 3]
        for second in others:
            p = weights[first] / weights.sum() * weights[second] / weights[others].sum()
            expected[min(first, second), max(first, second)] += p
    assert (found - expected).abs().max() < 0.01


def test_in_weights_the_context_does_not_know_the_answer_and_the_training_does():
    e = draw(replace(SMALL, test="in weights"))
    assert not in_context(e).any()
    known = nearest_class(SMALL, e.query_x) % 16 == e.query_y.argmax(-1)
    assert known.float().mean() > 0.999


def test_new_classes_are_nowhere_near_those_of_the_training_and_in_the_context():
    e = draw(replace(SMALL, test="new classes", noise=0.0))
    assert in_context(e).all()
    all_means = means(64, 24, 0, e.device)
    assert torch.cdist(e.query_x, all_means.expand(T, -1, -1)).min() > 0.1
    same_item = torch.cdist(e.query_x, e.support_x)[:, 0] < 1e-3
    assert torch.equal(same_item, (e.support_y * e.query_y).sum(-1) > 0)


def test_swapped_labels_are_those_of_another_class_of_the_context():
    e = draw(replace(SMALL, test="swapped labels"))
    trained = nearest_class(SMALL, e.query_x) % 16
    assert in_context(e).all()
    assert (trained == e.query_y.argmax(-1)).float().mean() < 1e-3
    there = e.support_y.sum(1).gather(1, trained) > 0
    assert there.float().mean() > 0.999
    told = nearest_class(SMALL, e.support_x) == nearest_class(SMALL, e.query_x)
    right = (e.support_y * e.query_y).sum(-1) > 0
    assert (told == right).float().mean() > 0.999


def test_label_noise_swaps_the_labels_of_that_fraction_of_training_sequences():
    e = draw(replace(SMALL, label_noise=0.3))
    wrong = (nearest_class(SMALL, e.support_x) % 16 != e.support_y.argmax(-1)).any(1)
    assert abs(wrong.double().mean() - 0.3) < 0.03


def test_a_world_is_the_same_in_training_and_tests_and_another_is_not():
    one, two = (
        means(64, 24, 0, torch.device("cpu")),
        means(64, 24, 1, torch.device("cpu")),
    )
    assert torch.equal(one, means(64, 24, 0, torch.device("cpu")))
    assert (one - two).norm(dim=1).min() > 0.3


def test_the_seed_decides_and_nothing_else_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = draw(SMALL, 4, 1), draw(SMALL, 4, 1), draw(SMALL, 4, 2)
    assert torch.rand(1) == expected
    assert torch.equal(one.support_x, two.support_x)
    assert not torch.equal(one.support_x, other.support_x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 65}, "classes=65 must be a multiple of labels=16"),
        ({"copies": 3}, "shot=8 must be a multiple of copies=3"),
        ({"labels": 4, "copies": 1}, "has 9 classes.*labels=4"),
        ({"copies": 8, "test": "swapped labels"}, "use fewer copies"),
        ({"copies": 8, "label_noise": 0.1}, "use fewer copies"),
        ({"burstiness": 1.5}, "burstiness=1.5"),
        ({"labels": 0}, "labels=0"),
        ({"noise": -1.0}, "noise=-1.0"),
    ],
)
def test_impossible_sequences_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
