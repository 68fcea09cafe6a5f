"""Changed tasks are the tasks of the seed, changed."""

from typing import Any

import pytest
import torch

from labkit.randomness import seeded
from labkit.tasks.changed import Changed
from labkit.tasks.languages.changes import mislabelled
from labkit.tasks.languages.invented import Languages

TASKS = Languages(6, 2)


def test_a_change_draws_nothing_from_the_tasks():
    changed = Changed(TASKS, lambda e, g: mislabelled(e, 1.0, generator=g))
    plain, other = seeded(3), seeded(3)
    for _ in range(3):
        before, after = (
            tasks.sample(5, generator=source)
            for tasks, source in ((TASKS, plain), (changed, other))
        )
        for part in ("support_x", "query_x", "query_y"):
            assert torch.equal(getattr(before, part), getattr(after, part))
        assert not torch.equal(before.support_y, after.support_y)


def test_the_same_seed_gives_the_same_change_and_each_batch_another():
    draws = []

    def note(episode, generator):
        draws.append(torch.rand(1, generator=generator))
        return episode

    noted = Changed(TASKS, note)
    for _ in range(2):
        source = seeded(0)
        for _ in range(2):
            noted.sample(2, generator=source)
    assert draws[:2] == draws[2:]
    assert draws[0] != draws[1]


@pytest.mark.usefixtures("as_called_by_readers")
def test_what_cannot_be_sampled_is_refused():
    episode: Any = TASKS.sample(1, generator=seeded(0))
    with pytest.raises(ValueError, match=r"tasks must be a distribution.*is Episode"):
        Changed(episode, lambda e, g: e)
