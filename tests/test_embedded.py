"""Drawings embedded beforehand, and embeddings averaged over views."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.evaluation import task_scores
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.views import Views
from labkit.randomness import seeded
from labkit.tasks.characters import FewShot
from labkit.tasks.embedded import Embedded
from labkit.tasks.glyphs import draw_alphabets

CHARACTERS = draw_alphabets(2, 8, 6, generator=seeded(0))


@pytest.mark.parametrize("within_alphabet", [False, True])
def test_embedding_beforehand_changes_no_score(within_alphabet):
    tasks = FewShot(CHARACTERS, 5, 1, query=3, within_alphabet=within_alphabet)
    learner: Any = ProtoNet(Conv4(width=8)).eval()
    direct = task_scores(learner, tasks, n_tasks=30)
    embedded = Embedded.by(learner.network, tasks)
    learner.network = nn.Identity()
    torch.testing.assert_close(task_scores(learner, embedded, n_tasks=30), direct)


def test_embedding_keeps_whether_labels_are_permuted():
    fixed = FewShot(CHARACTERS, 5, 1, query=3, permuted_labels=False)
    embedded = Embedded.by(Conv4(width=8).eval(), fixed)
    direct, again = (
        tasks.sample(20, generator=seeded(0)) for tasks in (fixed, embedded)
    )
    assert torch.equal(again.query_y, direct.query_y)


def test_one_view_is_the_unit_embedding_itself():
    network, x = Conv4(width=8).eval(), torch.rand(2, 3, 1, 28, 28)
    expected = F.normalize(network(x), dim=-1)
    torch.testing.assert_close(Views(network, views=1).eval()(x), expected)


def test_views_that_do_not_move_are_all_the_same():
    network, x = Conv4(width=8).eval(), torch.rand(2, 1, 28, 28)
    still = Views(network, views=5, linear=0.0, shift=0.0).eval()
    torch.testing.assert_close(still(x), Views(network, views=1).eval()(x))


def test_the_first_view_is_the_image_and_the_others_move_it_as_far_as_warping_does():
    linear, shift = 0.2, 0.05
    views = Views(Conv4(width=8), views=5001, linear=linear, shift=shift)
    moved = views.get_buffer("maps") - torch.eye(2, 3)
    assert torch.equal(moved[0], torch.zeros(2, 3))
    expected = torch.tensor([linear, linear, 2 * shift]).expand(2, 3)
    torch.testing.assert_close(moved[1:].std(0), expected, rtol=0.05, atol=0)


def test_training_sees_the_image_alone():
    network, x = Conv4(width=8), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(Views(network).train()(x), network.train()(x))


def test_a_drawing_averaged_over_views_does_not_depend_on_its_companions():
    network, x = Views(Conv4(width=8)).eval(), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (torch.zeros(95, 4), r"each of the 16 · 6 drawings, .* \[95, 4\]"),
        (torch.zeros(96, 4, 1), r"\[96, 4, 1\]"),
        (torch.zeros(96, 4).long(), "torch.int64"),
        (torch.zeros(96, 4, device="meta"), "on meta and the characters on cpu"),
    ],
)
def test_features_must_be_one_row_of_numbers_for_each_drawing(embeddings, message):
    with pytest.raises(ValueError, match=message):
        Embedded(CHARACTERS, 5, 1, 3, embeddings=embeddings)
