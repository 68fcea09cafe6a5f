"""Queries in batches: who is asked with whom, and whose answer is whose."""

from typing import Literal

import torch

from labkit.learner import Learner
from labkit.learners.in_batches import InBatches

QUERY = torch.arange(6.0).view(1, 6, 1)
ORDER = torch.tensor([0, 2, 4, 1, 3, 5])


class Mean(Learner):
    """Answers every query with the mean of those asked together with it."""

    normalisation: Literal["inductive", "transductive"] = "transductive"

    def adapt(self, support_x, support_y):
        return None

    def predict(self, adapted, query_x):
        return query_x.mean(1, keepdim=True).expand_as(query_x)


class Same(Mean):
    normalisation = "inductive"

    def predict(self, adapted, query_x):
        return query_x


def test_a_query_is_answered_with_its_batch_and_answers_keep_their_place():
    answers = InBatches(Mean(), ORDER, 3).predict(None, QUERY)
    assert answers.flatten().tolist() == [2.0, 3.0, 2.0, 3.0, 2.0, 3.0]


def test_it_makes_no_difference_to_an_inductive_learner():
    asked = InBatches(Same(), ORDER, 4)
    assert torch.equal(asked.predict(None, QUERY), QUERY)
    assert asked.normalisation == "inductive"
