"""Four ways to one meta-gradient, and one way that looks right and is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.func import grad, vmap

from labkit.episode import Episode
from labkit.learners import meta_gradients
from labkit.learners.anil import ANIL
from labkit.learners.maml import MAML
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.with_head import WithHead
from labkit.objective import cross_entropy, squared_error
from tests.tensors import draw

T = 4
NEEDS_A_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"
)


def sinusoids(hidden=(40, 40), inner_steps=2):
    network = MLP(1, hidden, 1)
    learner = MAML(
        network, loss=squared_error, inner_steps=inner_steps, inner_rate=0.1
    ).double()
    return learner, Episode(*(draw(T, 5, 1, seed=seed) for seed in range(4)))


def two_steps():
    """The widths say nothing to the compiler, layers and steps take it long."""
    return sinusoids(hidden=(4,))


def quick_to_compile():
    return sinusoids(hidden=(4,), inner_steps=1)


def characters():
    network = WithHead(Conv4(size=16, width=3, track_running_stats=False), 3)
    learner = MAML(
        network,
        loss=cross_entropy,
        inner_steps=2,
        inner_rate=0.3,
        normalisation="transductive",
    ).double()
    x, z = (draw(T, 6, 1, 16, 16, seed=seed) for seed in range(2))
    y = torch.eye(3, dtype=torch.float64).repeat(2, 1).expand(T, -1, -1)
    return learner, Episode(x, y, z, y)


@pytest.mark.parametrize(
    ("rung", "sample"),
    [
        (meta_gradients.meta_gradient_by_vmap, sinusoids),
        (meta_gradients.meta_gradient_by_task_axis, sinusoids),
        pytest.param(
            meta_gradients.meta_gradient_compiled, two_steps, marks=NEEDS_A_COMPILER
        ),
        (meta_gradients.meta_gradient_by_task_axis, characters),
    ],
)
def test_every_rung_gives_the_gradient_of_the_python_loop(rung, sample, monkeypatch):
    # The compiler cannot read the checks of shapes that the tests put around functions.
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    learner, episode = sample()
    expected = meta_gradients.meta_gradient_by_loop(learner, episode)
    assert set(expected) == {name for name, _ in learner.network.named_parameters()}
    found = rung(learner, episode)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3


@pytest.mark.parametrize("rung", ["by_loop", "by_vmap"])
@pytest.mark.parametrize(
    "changed",
    [
        lambda plain: setattr(plain, "first_order", True),
        lambda plain: setattr(plain, "inner_clip_norm", 1.0),
        lambda plain: setattr(plain, "__class__", ANIL),
        lambda plain: plain.network.weight0.requires_grad_(False),
    ],
    ids=["first order", "clipped", "another member of the family", "frozen"],
)
def test_a_rung_refuses_a_rule_that_it_does_not_follow(rung, changed):
    learner, episode = sinusoids()
    changed(learner)
    with pytest.raises(ValueError, match="by_task_axis takes every member"):
        getattr(meta_gradients, f"meta_gradient_{rung}")(learner, episode)


def test_without_a_compiler_it_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(meta_gradients.NoCompilerError, match="apt install g"),
    ):
        meta_gradients.meta_gradient_compiled(*quick_to_compile())
    torch.compiler.reset()


@NEEDS_A_COMPILER
def test_with_a_compiler_it_says_what_else_is_wrong(monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    learner, episode = quick_to_compile()

    def branching(prediction, target):
        if prediction.sum() > 0:  # a graph has no branches that depend on data
            return squared_error(prediction, target)
        return 2 * squared_error(prediction, target)

    learner.loss = branching
    torch.compiler.reset()
    with pytest.raises(RuntimeError, match=r"could not translate.*compiler works"):
        meta_gradients.meta_gradient_compiled(learner, episode)
    torch.compiler.reset()


TRANSLATED = """
import torch
from labkit.learners.meta_gradients import meta_gradient_by_loop, meta_gradient_compiled
from labkit.learners.maml import MAML
from labkit.networks.mlp import MLP
from labkit.objective import squared_error
from labkit.randomness import seeded
from labkit.tasks.sinusoids import Sinusoids
learner = MAML(MLP(1, (40, 40)), loss=squared_error, inner_steps=1, inner_rate=0.01)
episode = Sinusoids(10, 10).sample(25, generator=seeded(0))
found = meta_gradient_compiled(learner, episode)
for name, gradient in meta_gradient_by_loop(learner, episode).items():
    assert torch.allclose(found[name], gradient, atol=1e-5), name
"""


@NEEDS_A_COMPILER
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="needs AVX-512"
)
def test_what_was_translated_for_another_processor_is_not_taken(tmp_path):
    """Found by its graph alone, the program for AVX-512 gave NaN under AVX2."""
    for capability in ("avx512", "avx2"):
        settings = {
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
            "ATEN_CPU_CAPABILITY": capability,
        }
        subprocess.run(
            [sys.executable, "-c", TRANSLATED],
            env=os.environ | settings,
            check=True,
            cwd=Path(__file__).parents[1],
        )


def test_vmap_is_silently_wrong_at_second_order_through_batch_norm():
    assert (
        meta_gradients.second_order_error_of_vmap(meta_gradients.torch_batch_norm) > 0.3
    )
    assert (
        meta_gradients.second_order_error_of_vmap(meta_gradients.written_batch_norm)
        < 1e-12
    )


def test_the_two_batch_norms_are_one_function_and_vmap_is_right_at_first_order():
    x, weight, scale = draw(3, 5, 4, seed=0), draw(6, 4, seed=1), draw(6, seed=2)
    gradients = []
    for normalise in (
        meta_gradients.torch_batch_norm,
        meta_gradients.written_batch_norm,
    ):

        def loss(weight, x, normalise=normalise):
            return normalise(x @ weight.T, scale).sin().sum()

        gradients.append(vmap(grad(loss), in_dims=(None, 0))(weight, x))
        gradients.append(torch.stack([grad(loss)(weight, task) for task in x]))
    for other in gradients[1:]:
        torch.testing.assert_close(gradients[0], other)
