"""What centred kernel alignment overlooks, and what it sees."""

import torch

from labkit.measures.similarity import linear_cka
from tests.tensors import draw


def test_rotation_shift_and_scale_change_nothing():
    a = draw(3, 20, 4)
    rotation = torch.linalg.qr(draw(4, 4, seed=1)).Q
    same = linear_cka(a, 7 * a @ rotation + draw(4, seed=2))
    torch.testing.assert_close(same, torch.ones(3, dtype=torch.float64))


def test_it_is_the_correlation_of_the_matrices_of_inner_products():
    a, b = draw(1, 20, 4), draw(1, 20, 6, seed=1)
    centre = torch.eye(20, dtype=torch.float64) - 1 / 20
    k, m = (centre @ f[0] @ f[0].T @ centre for f in (a, b))
    expected = (k * m).sum() / (k.norm() * m.norm())
    torch.testing.assert_close(linear_cka(a, b)[0], expected)


def test_unrelated_representations_are_unlike():
    a, b = draw(1, 2000, 3), draw(1, 2000, 3, seed=1)
    assert linear_cka(a, b).item() < 0.01
