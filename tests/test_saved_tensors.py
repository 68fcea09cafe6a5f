"""Bytes held for the backward pass, in graphs small enough to count by hand."""

import torch

from labkit.measures.saved_tensors import saved_bytes

x = torch.ones(100, requires_grad=True)  # 400 bytes


def test_a_product_keeps_both_factors():
    y = torch.ones(100, requires_grad=True)
    assert saved_bytes(lambda: (x * y).sum()) == 800


def test_a_sum_keeps_nothing():
    assert saved_bytes(lambda: (x + x).sum()) == 0


def test_what_is_shared_is_counted_once():
    assert saved_bytes(lambda: (x * x + x * x).sum()) == 400


def test_a_gradient_through_which_no_gradient_passes_is_not_kept():
    def step(second_order):
        loss = x.exp().square().sum()
        (slope,) = torch.autograd.grad(loss, x, create_graph=second_order)
        return (x - slope).sum()

    assert saved_bytes(lambda: step(second_order=False)) == 0
    assert saved_bytes(lambda: step(second_order=True)) > 0
