"""Pictures of adaptation: paths, angles and curves are where the numbers say."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from labkit.evaluation import Evaluation
from labkit.experiments.records import Result
from labkit.figures.maml import (
    plot_adaptation,
    plot_directions,
    plot_extrapolation,
    plot_fan,
    plot_graph,
    plot_rates,
    plot_surface,
    plot_weights,
)
from labkit.learners.maml import MAML
from labkit.networks.mlp import MLP
from labkit.objective import squared_error
from tests.pictures import half_lengths

HESSIAN = torch.tensor([[[2.0, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 2.0]]])
OPTIMUM = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def panels():
    return plt.gcf().axes


def line(axes, label):
    (found,) = (one for one in axes.lines if one.get_label() == label)
    return found.get_xydata().tolist()


def test_a_fan_has_a_panel_a_start_with_each_tasks_path_and_every_start():
    paths = {"one": torch.zeros(3, 2, 2), "other": torch.ones(3, 2, 2)}
    paths["one"][1:, 1] = 0.5
    plot_fan(HESSIAN, OPTIMUM, paths)
    first, second = panels()
    assert [axes.get_title() for axes in panels()] == ["from one", "from other"]
    ways = [drawn.get_xydata().tolist() for drawn in first.lines]
    assert paths["one"][:, 1].tolist() in ways
    for axes in (first, second):
        assert line(axes, "other") == [[1.0, 1.0]]
        assert line(axes, "mean of the optima") == [[0.5, 0.5]]


def test_contours_are_ellipses_along_the_flat_direction():
    _, axes = plt.subplots()
    axes.set(xlim=(-5, 5), ylim=(-5, 5))
    plot_surface(axes, HESSIAN[0], OPTIMUM[0], "task", "C0")
    (contours,) = axes.collections
    innermost = np.asarray(contours.get_paths()[0].vertices)
    # ½ · 2 · r² and ½ · 0.1 · r² are 0.05 at r = √0.05 and r = 1.
    assert innermost.max(0) == pytest.approx([1 + 0.05**0.5, 1.0], abs=0.02)


@pytest.mark.parametrize("degrees", [30.0, 120.0])
@pytest.mark.parametrize("turn", [0.0, 170.0])
def test_the_angle_between_two_directions_is_the_smaller_one(degrees, turn):
    ends = torch.tensor([turn, turn + degrees]).deg2rad()
    one, other = torch.stack([ends.cos(), ends.sin()], -1)
    arrows = {"one": one, "other": 3 * other}
    path = torch.zeros(2, 2)
    angle = plot_directions(HESSIAN[0], OPTIMUM[0], path, arrows)
    assert angle == pytest.approx(degrees, abs=1e-3)


def test_the_graph_names_every_quantity_and_every_factor():
    plot_graph()
    (axes,) = panels()
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("$I$") == texts.count(r"$-\alpha$") == 2
    for name in (
        r"$\theta_0$",
        r"$\theta_1$",
        r"$\theta_2 = \theta'$",
        "$H_0$",
        "$H_1$",
    ):
        assert name in texts


def test_weights_vanish_where_a_step_jumps_to_the_optimum():
    plot_weights(0.5, {"joint": 0, "MAML": 2}, torch.tensor([1.0, 4.0]))
    (axes,) = panels()
    joint, maml = (dict(map(tuple, line(axes, name))) for name in ("joint", "MAML"))
    nearest = min(maml, key=lambda curvature: abs(curvature - 2))
    assert joint[nearest] == nearest
    assert maml[nearest] == pytest.approx(0, abs=1e-3)


def test_adaptation_is_drawn_for_each_number_of_steps_and_the_learner_left_alone():
    learner = MAML(MLP(seed=1), loss=squared_error, inner_steps=3, inner_rate=0.01)
    x = torch.linspace(-4, 4, 5).view(1, 5, 1)
    one, none = torch.ones(1), torch.zeros(1)
    plot_adaptation(learner, x, one, none, steps=(0, 1, 10))
    (axes,) = panels()
    curves = [line(axes, name) for name in ("0 steps", "1 step", "10 steps")]
    assert curves[0] != curves[1] != curves[2]
    start = learner.network(torch.tensor([[-5.0]])).item()
    assert curves[0][0] == pytest.approx([-5.0, start], abs=1e-5)
    assert learner.inner_steps == 3


def test_extrapolation_shows_the_published_beside_the_measured():
    protocol: dict[str, Any] = {
        "n_tasks": 600,
        "seed": 0,
        "normalisation": "inductive",
    }
    ours = {k: Evaluation(1.0 / (1 + k), 0.1, **protocol) for k in (0, 1, 10)}
    stored = {2: Result("two steps", 0.4, 0.1, **protocol)}
    plot_extrapolation(
        {"ours": ours, "stored": stored}, {"ours": {1: 0.67}}, {"fixed": 3.0}
    )
    (axes,) = panels()
    means, _, _ = axes.containers[0]
    assert half_lengths(axes.containers[0]) == pytest.approx([0.1] * 3)
    assert means.get_xydata().tolist() == [
        [0, 1],
        [1, 0.5],
        [10, pytest.approx(1 / 11)],
    ]
    assert line(axes, "ours, published") == [[1.0, 0.67]]
    assert axes.texts[0].get_text() == "fixed, 3"


def test_rates_are_sorted_from_the_smallest_to_the_largest():
    plot_rates({"bias": torch.tensor([0.3, -0.1, 0.1])})
    (axes,) = panels()
    curve = line(axes, "bias")
    assert curve[0] == pytest.approx([0, -0.1])
    assert curve[50] == pytest.approx([0.5, 0.1])
    assert curve[-1] == pytest.approx([1, 0.3])
