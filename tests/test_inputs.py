"""What does not fit is told in a sentence that names the thing and the remedy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labkit.arguments import require_real, require_whole
from labkit.episode import Episode
from labkit.gaussian import coverage, negative_log_likelihood
from labkit.learner import Learner
from labkit.learners.baselines.fine_tuning import FineTuning
from labkit.learners.cnp import CNP
from labkit.learners.in_batches import InBatches
from labkit.learners.in_context import InContext
from labkit.learners.maml import MAML
from labkit.learners.matching_fce import MatchingNetFCE
from labkit.learners.protonet import ProtoNet
from labkit.learners.recurrent import LSTMLearner
from labkit.learners.snail import SNAIL
from labkit.networks.conv4 import Conv4
from labkit.networks.flat import Flat
from labkit.networks.mlp import MLP
from labkit.networks.resnet import ResNet
from labkit.networks.transformer import Transformer
from labkit.networks.with_head import WithHead
from labkit.objective import accuracy, cross_entropy, squared_error
from labkit.randomness import seeded

T, C = 2, 3


@pytest.fixture(autouse=True)
def as_readers_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are enforced in tests alone; here nothing but labkit itself looks."""
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)


def images(*shape, dtype=torch.float32):
    return torch.rand(T, C, *shape, generator=seeded(0)).to(dtype)


def labels():
    return torch.eye(C).expand(T, -1, -1)


def protonet():
    return ProtoNet(Conv4(size=16, width=4))


@pytest.mark.parametrize(
    ("x", "error", "told"),
    [
        (
            images(3, 16, 16),
            ValueError,
            r"Conv4 reads.*\(1, 16, 16\).*mean over the ch",
        ),
        (images(1, 20, 20), ValueError, r"Conv4 reads.*resize them"),
        (images(16, 16, 1), ValueError, r"channels come first: x\.movedim"),
        (
            images(1, 16, 16, dtype=torch.uint8),
            TypeError,
            r"uint8: .*x\.float\(\) / 255",
        ),
        (images(1, 16, 16, dtype=torch.float64), TypeError, r"float32 and .*float64"),
        (images(1, 16, 16).numpy(), TypeError, r"support_x is a ndarray.*as_tensor"),
        (images(1, 16, 16).to("meta"), ValueError, r"support_x is on meta"),
    ],
    ids=["RGB", "size", "channels last", "bytes", "double", "numpy", "device"],
)
@pytest.mark.parametrize(
    "make",
    [
        protonet,
        lambda: FineTuning(
            WithHead(Conv4(size=16, width=4, track_running_stats=False), C),
            loss=cross_entropy,
            steps=1,
            rate=0.1,
        ),
    ],
    ids=["ProtoNet", "FineTuning"],
)
def test_an_image_that_does_not_fit_is_told(make, x, error, told):
    with pytest.raises(error, match=told):
        make().adapt(x, labels())


@pytest.mark.parametrize(
    ("network", "x"),
    [
        (ResNet(width=4), torch.rand(2, 3, 1, 28, 28)),
        (MLP(3), torch.rand(2, 3, 4)),
        (Flat(features=4), torch.ones(2, 3, 4, dtype=torch.int64)),
    ],
    ids=["ResNet", "MLP", "Flat"],
)
def test_every_network_looks_at_its_input(network, x):
    with pytest.raises((ValueError, TypeError), match=type(network).__name__):
        network(x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CNP(1, 1),
        lambda: SNAIL(1, 1),
        lambda: InContext(Transformer(width=8, heads=2), 1, 1),
    ],
    ids=["CNP", "SNAIL", "InContext"],
)
def test_learners_without_images_look_at_their_examples(make):
    learner, x = make(), torch.zeros(T, 4, 1)
    learner.adapt(x, x)
    with pytest.raises(TypeError, match="support_x is a ndarray"):
        learner.adapt(x.numpy(), x)
    with pytest.raises(TypeError, match=r"float32 and its input is .*float64"):
        learner.adapt(x.double(), x.double())
    with pytest.raises(ValueError, match="reads examples of the shape"):
        learner.adapt(x.repeat(1, 1, 2), x)


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (images(4), torch.zeros(T, C), r"\[tasks, examples, C\].*one_hot"),
        (images(4), torch.zeros(T, C + 1, 2), "begin with the same"),
        (torch.zeros(4), torch.zeros(4, 1, 1), r"must be \[tasks, examples"),
    ],
)
def test_a_support_that_is_none_is_told_by_learner_and_episode_alike(x, y, told):
    for look in (CNP(4, 2).adapt, lambda x, y: Episode(x, y, x, y)):
        with pytest.raises(ValueError, match=told):
            look(x, y)


def test_an_episode_of_arrays_or_of_two_types_of_number_is_told():
    x = np.zeros((1, 2, 3))
    with pytest.raises(TypeError, match="support_x is a ndarray"):
        Episode(x, x, x, x)  # type: ignore[arg-type]
    one = torch.zeros(1, 2, 3)
    with pytest.raises(ValueError, match=r"float32 and query_x.*float64"):
        Episode(one, one, one.double(), one)


def test_a_learner_of_a_readers_own_is_looked_after_too():
    class Mine(Learner):
        def adapt(self, support_x, support_y):
            return support_x.mean()

        def predict(self, adapted, query_x):
            return query_x.reshape(T, -1, 1) * adapted

    with pytest.raises(TypeError, match="support_x is a ndarray"):
        Mine().adapt(np.zeros((T, 4, 1)), torch.zeros(T, 4, 1))
    with pytest.raises(ValueError, match="holds no query"):
        Mine().predict(torch.ones(()), torch.zeros(T, 0, 1))


@pytest.mark.parametrize("score", [cross_entropy, accuracy])
@pytest.mark.parametrize("targets", ["indices", "zeros and ones"])
def test_one_column_is_no_choice_of_classes(score, targets):
    """Softmax and argmax over one column are always right."""
    column = torch.arange(6).view(T, C, 1) % (2 if targets[0] == "z" else C)
    with pytest.raises(ValueError, match=r"one column.*one_hot.*squared_error"):
        score(torch.randn(T, C, 1, generator=seeded(0)), column.float())


@pytest.mark.parametrize("score", [cross_entropy, accuracy])
@pytest.mark.parametrize(
    "row", [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, -1.0], [0.0, 255.0, 0.0]]
)
def test_a_target_that_is_no_distribution_has_no_score(score, row):
    target = labels().clone()
    target[1, 2] = torch.tensor(row)
    scores = score(torch.zeros(T, C, C), target)
    assert scores.isnan().tolist() == [False, True]
    softened = 0.9 * labels() + 0.1 / C
    assert score(torch.zeros(T, C, C), softened).isfinite().all()


@pytest.mark.parametrize("score", [negative_log_likelihood, coverage])
def test_a_gaussian_is_compared_with_targets_of_its_shape_alone(score):
    prediction = torch.zeros(T, 5, 4)
    assert score(prediction, torch.zeros(T, 5, 2)).shape == (T,)
    for wrong in (torch.zeros(T, 5, 1), torch.zeros(T, 1, 2), torch.zeros(T, 5, 4)):
        with pytest.raises(ValueError, match=r"\[T, Q, 2C\]"):
            score(prediction, wrong)


def test_a_network_of_one_set_of_weights_does_not_adapt():
    network = WithHead(ResNet(width=4), C)
    learner = MAML(network, loss=cross_entropy, inner_steps=1, inner_rate=0.1)
    with pytest.raises(ValueError, match=r"ResNet takes one set.*Wrapped"):
        learner.adapt(images(1, 48, 48), labels())


@pytest.mark.parametrize(
    "learner",
    [
        MAML(MLP(2, (4,), C), loss=cross_entropy, inner_steps=2, inner_rate=0.1),
        FineTuning(MLP(2, (4,), C), loss=cross_entropy, steps=2, rate=0.1),
    ],
    ids=["MAML", "FineTuning"],
)
def test_inference_mode_adapts_as_no_grad_does(learner):
    x, y = torch.rand(T, C, 2, generator=seeded(1)), labels().clone()
    with torch.no_grad():
        expected = learner.predict(learner.adapt(x, y), x)
    with torch.inference_mode():
        inside = learner.predict(learner.adapt(x * 1, y * 1), x * 1)
    torch.testing.assert_close(inside.clone(), expected)


WHOLE: dict[str, Callable[[int], object]] = {
    "inner_steps": lambda n: maml(inner_steps=n - 1),
    "steps": lambda n: fine_tuning(steps=n - 1),
    "channels": lambda n: Conv4(channels=n),
    "size": lambda n: InBatches(protonet(), torch.arange(3), n),
    "width": lambda n: MLP(2, (n,), 3),
    "outputs": lambda n: WithHead(MLP(), n),
    "layers": lambda n: Transformer(layers=n),
    "hidden": lambda n: LSTMLearner(MLP(), 3, hidden=n),
    "classes": lambda n: LSTMLearner(MLP(), n + 1),
    "K": lambda n: MatchingNetFCE(MLP(), K=n - 1),
}


def maml(**options):
    settings = {"inner_steps": 1, "inner_rate": 0.1} | options
    return MAML(MLP(), loss=squared_error, **settings)


def fine_tuning(**options):
    return FineTuning(MLP(), loss=squared_error, **{"steps": 1, "rate": 0.1} | options)


@pytest.mark.parametrize("name", WHOLE)
def test_a_count_below_what_makes_sense_is_refused_by_name(name):
    WHOLE[name](1)
    with pytest.raises(ValueError, match=f"{name}=.* must be"):
        WHOLE[name](0)


@pytest.mark.parametrize(
    "make",
    [
        lambda value: maml(inner_rate=value),
        lambda value: maml(inner_clip_norm=value),
        lambda value: fine_tuning(rate=value),
        lambda value: CNP(smallest=value),
    ],
)
def test_a_rate_that_is_no_number_is_refused(make):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be a finite number"):
            make(value)


def test_numbers_are_looked_at():
    require_whole(1, n=np.int64(3), none=None)
    require_real(above=0.0, x=np.float32(0.5), none=None)
    for wrong in (0, 1.5, "3", True, float("nan")):
        with pytest.raises(ValueError, match="n="):
            require_whole(1, n=wrong)
    for wrong in (0.0, -1, float("inf"), "3", False):
        with pytest.raises(ValueError, match="x="):
            require_real(above=0.0, x=wrong)


def test_an_ordinary_module_is_refused_by_every_learner_with_a_network():
    makers: tuple[Callable[[Any], object], ...] = (
        ProtoNet,
        lambda net: LSTMLearner(net, 3),
        lambda net: FineTuning(net, loss=squared_error, steps=1, rate=0.1),
    )
    for make in makers:
        with pytest.raises(TypeError, match=r"Linear is no labkit.*Wrapped\(module"):
            make(nn.Linear(2, 3))
