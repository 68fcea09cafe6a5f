"""Pictures of tasks: what is struck out, and planes in which nearest means nearest."""

import torch
from matplotlib import pyplot as plt

from labkit.episode import Episode
from labkit.figures.prototypical import Plane, plot_embedding, plot_episode, plot_task
from labkit.randomness import seeded

WAY, SHOTS, QUERIES = 3, 2, 4


def episode():
    def side(each, seed):
        x = torch.rand(1, WAY * each, 1, 8, 8, generator=seeded(seed))
        return x, torch.eye(WAY).repeat_interleave(each, 0)[None]

    return Episode(*side(SHOTS, 0), *side(QUERIES, 1))


def points(n, seed=0, dimensions=6):
    return torch.randn(n, dimensions, generator=seeded(seed))


def test_wrong_answers_are_struck_out_and_named():
    answers = torch.arange(WAY).repeat_interleave(QUERIES)
    answers[1], answers[-1] = 2, 0
    _, axes = plt.subplots()
    plot_episode(axes, episode(), answers, room=SHOTS + 1)
    assert len(axes.lines) == 2
    assert [text.get_text() for text in axes.texts][:2] == ["C", "A"]
    assert len(axes.patches) == WAY * (SHOTS + QUERIES)


def test_a_plane_through_three_points_holds_them():
    three = points(3)
    plane = Plane.of(three)
    torch.testing.assert_close(plane.lift(plane.project(three)), three)


def test_in_that_plane_the_nearest_of_the_three_is_the_nearest_in_space():
    three, others = points(3), points(200, seed=1)
    plane = Plane.of(three).turned_towards(Plane.of(points(3, seed=2)))
    flat = torch.cdist(plane.project(others), plane.project(three))
    assert torch.equal(flat.argmin(-1), torch.cdist(others, three).argmin(-1))


def test_the_figure_counts_right_answers():
    prototypes = [points(WAY), points(WAY, seed=1)]
    query = prototypes[1].repeat_interleave(QUERIES, 0)
    plot_task(episode(), query, prototypes, shots=(1, SHOTS))
    titles = [axes.get_title() for axes in plt.gcf().axes]
    assert titles[1] == f"2 shots: {WAY * QUERIES} of {WAY * QUERIES} queries right"


def test_own_kind_is_the_share_of_drawings_beside_one_of_their_class():
    near_pairs = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.1, 0.0]])
    _, axes = plt.subplots()
    drawings = torch.rand(4, 1, 8, 8, generator=seeded(0))
    for classes, share in (([0, 0, 1, 1], 1.0), ([0, 0, 1, 2], 0.5)):
        labels = torch.tensor(classes)
        assert plot_embedding(axes, drawings, labels, near_pairs, "title") == share
