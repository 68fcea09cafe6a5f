"""Tasks of several kinds in one batch: what can be mixed."""

import pytest

from labkit.randomness import seeded
from labkit.tasks.mixture import Mixture
from labkit.tasks.sinusoids import Sinusoids

FEW, MANY = Sinusoids(shot=2), Sinusoids(shot=4)


@pytest.mark.usefixtures("as_called_by_readers")
@pytest.mark.parametrize(
    ("kinds", "weights", "message"),
    [
        ((), (), "must be whole numbers"),
        ((FEW, MANY), (0.5, 0.5), "must be whole numbers"),
        ((FEW, "sinusoids"), (1, 1), r"kinds\[1\] must be a distribution.*is str"),
    ],
)
def test_what_is_no_mixture_is_refused(kinds, weights, message):
    with pytest.raises(ValueError, match=message):
        Mixture(kinds, weights)


def test_kinds_of_unlike_shapes_are_named_with_their_shapes():
    with pytest.raises(ValueError, match=r"same shapes.*\[2, 1\].* or .*\[4, 1\]"):
        Mixture((FEW, MANY), (1, 1)).sample(2, generator=seeded(0))
