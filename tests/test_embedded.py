"""Drawings embedded beforehand, and embeddings averaged over views."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.device import generator
from labkit.evaluation import task_scores
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.views import Views
from labkit.tasks.characters import FewShot
from labkit.tasks.embedded import Embedded
from labkit.tasks.glyphs import draw_alphabets

CHARACTERS = draw_alphabets(2, 8, 6, generator=generator(0))


@pytest.mark.parametrize("within_alphabet", [False, True])
def test_embedding_beforehand_changes_no_score(within_alphabet):
    tasks = FewShot(CHARACTERS, 5, 1, query=3, within_alphabet=within_alphabet)
    learner = ProtoNet(Conv4(width=8)).eval()
    direct = task_scores(learner, tasks, n_tasks=30)
    embedded = Embedded.by(learner.network, tasks)
    learner.network = nn.Identity()
    torch.testing.assert_close(task_scores(learner, embedded, n_tasks=30), direct)


def test_one_view_is_the_unit_embedding_itself():
    network, x = Conv4(width=8).eval(), torch.rand(2, 3, 1, 28, 28)
    expected = F.normalize(network(x), dim=-1)
    torch.testing.assert_close(Views(network, views=1).eval()(x), expected)


def test_views_that_do_not_move_are_all_the_same():
    network, x = Conv4(width=8).eval(), torch.rand(2, 1, 28, 28)
    still = Views(network, views=5, linear=0.0, shift=0.0).eval()
    torch.testing.assert_close(still(x), Views(network, views=1).eval()(x))


def test_training_sees_the_image_alone():
    network, x = Conv4(width=8), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(Views(network).train()(x), network.train()(x))


def test_a_drawing_averaged_over_views_does_not_depend_on_its_companions():
    network, x = Views(Conv4(width=8)).eval(), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))
