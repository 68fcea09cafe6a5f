"""Labels that stay, and labels that are drawn with each task."""

import pytest
import torch

from labkit.randomness import seeded
from labkit.tasks.characters import CharacterSet
from labkit.tasks.fixed_labels import FixedLabels

WAY, PER_GROUP, DRAWINGS, TASKS = 3, 4, 5, 40


def group(first):
    """Four classes; every pixel of a drawing of class c is c."""
    classes = torch.arange(first, first + PER_GROUP, dtype=torch.uint8)
    return CharacterSet(
        classes[:, None, None, None].expand(-1, DRAWINGS, 2, 2).contiguous(),
        torch.zeros(PER_GROUP, dtype=torch.int64),
        tuple(f"A/{c}" for c in classes.tolist()),
        ("A",),
    )


GROUPS = tuple(group(PER_GROUP * i) for i in range(WAY))


def draw(permuted):
    tasks = FixedLabels(GROUPS, shot=2, query=3, permuted=permuted)
    return tasks.sample(TASKS, generator=seeded(0))


def classes(x):
    return (x[..., 0, 0, 0] * 255).round().long()


def test_the_label_of_a_class_is_its_group_in_every_task():
    episode = draw(permuted=False)
    for x, y in (
        (episode.support_x, episode.support_y),
        (episode.query_x, episode.query_y),
    ):
        assert torch.equal(classes(x) // PER_GROUP, y.argmax(-1))


def test_permuted_labels_agree_within_a_task_and_differ_between_tasks():
    episode = draw(permuted=True)
    for t in range(TASKS):
        label = dict(
            zip(
                classes(episode.support_x[t]).tolist(),
                episode.support_y[t].argmax(-1).tolist(),
                strict=True,
            )
        )
        assert sorted(label.values()) == list(range(WAY))
        asked = classes(episode.query_x[t]).tolist()
        assert [label[c] for c in asked] == episode.query_y[t].argmax(-1).tolist()
    first_group = episode.support_y[:, 0].argmax(-1)
    assert set(first_group.tolist()) == set(range(WAY))


def test_permuting_changes_the_labels_alone():
    assert torch.equal(draw(permuted=True).query_x, draw(permuted=False).query_x)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ((), "each label needs a group"),
        ((GROUPS[0], GROUPS[1].resize(3)), "must agree"),
        ((GROUPS[0], GROUPS[0]), "4 classes are in several groups, first 'A/0'"),
    ],
)
def test_groups_that_give_no_labels_are_refused_before_a_task_is_drawn(groups, message):
    with pytest.raises(ValueError, match=message):
        FixedLabels(groups, query=2)


def test_too_few_drawings_are_refused_before_a_task_is_drawn():
    with pytest.raises(ValueError, match="shot=3 and query=3 need 6"):
        FixedLabels(GROUPS, shot=3, query=3)
