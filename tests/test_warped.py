"""Warped tasks: other pixels, the same task."""

import pytest
import torch

from labkit.episode import Episode
from labkit.randomness import seeded
from labkit.tasks.sinusoids import Sinusoids
from labkit.tasks.warped import Warped


class Dots:
    """Every image is one dot in the middle."""

    def sample(self, n_tasks, *, generator):
        x = torch.zeros(n_tasks, 400, 1, 21, 21, device=generator.device)
        x[..., 10, 10] = 1
        y = torch.ones(n_tasks, 400, 1, device=generator.device)
        return Episode(x, y, x, y)


def position(images):
    """Centre of mass, in fractions of the side from the middle."""
    axis = (torch.arange(21) - 10) / 21
    mass = images.sum((-1, -2))
    down = (images * axis[:, None]).sum((-1, -2)) / mass
    right = (images * axis).sum((-1, -2)) / mass
    return torch.stack([right, down], -1)


def test_no_strength_is_no_change():
    plain = Dots().sample(2, generator=seeded(0))
    same = Warped(Dots(), linear=0.0, shift=0.0).sample(2, generator=seeded(0))
    torch.testing.assert_close(same.support_x, plain.support_x)


def test_shift_is_a_standard_deviation_in_fractions_of_the_side():
    episode = Warped(Dots(), linear=0.0, shift=0.1).sample(2, generator=seeded(0))
    spread = position(episode.support_x).flatten(0, -2).std(0)
    torch.testing.assert_close(spread, torch.full((2,), 0.1), atol=0.01, rtol=0)


def test_linear_moves_a_point_by_its_distance_from_the_centre():
    """A dot at (a, a): each of its coordinates moves by a times two random numbers."""
    warped = Warped(Off(), linear=0.1, shift=0.0)
    images = warped.sample(100, generator=seeded(0)).support_x
    moved = position(images).flatten(0, -2)
    expected = (10 - Off.PLACE) / 21 * 2**0.5 * 0.1
    torch.testing.assert_close(
        moved.std(0), torch.full((2,), expected), rtol=0.15, atol=0
    )


class Off(Dots):
    """Every image is a dot away from the centre."""

    PLACE = 7

    def sample(self, n_tasks, *, generator):
        episode = super().sample(n_tasks, generator=generator)
        for x in (episode.support_x, episode.query_x):
            x.zero_()[..., self.PLACE, self.PLACE] = 1
        return episode


class Corners(Dots):
    """Every image is a dot near each of two opposite corners."""

    def sample(self, n_tasks, *, generator):
        episode = super().sample(n_tasks, generator=generator)
        for x in (episode.support_x, episode.query_x):
            x.zero_()[..., (3, 17), (3, 17)] = 1
        return episode


def test_a_bend_moves_far_points_apart_and_its_size_is_in_fractions_of_the_side():
    bent = Warped(Corners(), linear=0.0, shift=0.0, bend=0.03)
    images = bent.sample(2, generator=seeded(0)).support_x.flatten(0, 1)
    upper = images.clone()
    upper[..., 10:, :] = 0
    lower = images - upper
    moves = torch.stack([position(corner)[:, 0] for corner in (upper, lower)])
    moves = moves - moves.mean(1, keepdim=True)
    correlation = torch.corrcoef(moves.flatten(2).transpose(1, 2).reshape(2, -1))
    assert correlation[0, 1].abs() < 0.1
    assert 0.01 < moves.std() < 0.03


def test_every_image_has_a_map_of_its_own_and_labels_stay():
    plain = Dots().sample(2, generator=seeded(0))
    episode = Warped(Dots()).sample(2, generator=seeded(0))
    flat = episode.support_x.flatten(0, 1).flatten(1)
    assert flat.unique(dim=0).shape[0] > 790
    assert not torch.equal(episode.support_x, episode.query_x)
    assert torch.equal(episode.support_y, plain.support_y)


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(tasks=Dots().sample(1, generator=seeded(0))), "tasks must .*is Episode"),
        (dict(tasks=Dots(), linear=-0.1), "linear=-0.1 must be a standard deviation"),
        (dict(tasks=Dots(), shift=float("nan")), "shift=nan must be"),
        (dict(tasks=Dots(), bend="0.1"), "bend='0.1' must be"),
    ],
)
def test_what_is_no_task_or_no_deviation_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Warped(**arguments)


@pytest.mark.usefixtures("as_called_by_readers")
def test_only_images_can_be_moved():
    with pytest.raises(ValueError, match=r"Warped moves images.*float32 \[2, 10, 1\]"):
        Warped(Sinusoids(shot=10)).sample(2, generator=seeded(0))
