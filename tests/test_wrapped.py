"""Wrapped: an ordinary module computes with one set of weights a task, and rightly."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.func import functional_call

from labkit.episode import Episode
from labkit.learners.baselines.fine_tuning import FineTuning
from labkit.learners.maml import MAML
from labkit.learners.protonet import ProtoNet
from labkit.networks.with_head import WithHead
from labkit.networks.wrapped import Wrapped
from labkit.objective import cross_entropy, meta_loss
from labkit.randomness import seeded
from tests.tensors import draw

T, SIZE, C = 3, 9, 4


class Residual(nn.Module):
    """A residual block as torchvision's, with operations in place."""

    def __init__(self, width: int, norm: type[nn.Module], **options: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = norm(width, **options)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm(width, **options)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(h)) + x)


def resnet(norm=nn.BatchNorm2d, **options):
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(1, 4, 3, stride=2),
            block=Residual(4, norm, **options),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(4, C),
        )
    )


class Tied(nn.Module):
    """The same matrix twice, and attention between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
        self.second.weight = self.first.weight
        self.among = nn.TransformerEncoderLayer(SIZE, 3, 12, 0.0, batch_first=True)
        self.last = nn.Linear(SIZE, C)

    def forward(self, x):
        return self.last(self.among(self.second(self.first(x).tanh())).mean(-2))


def wrapped(module, axes=3):
    return Wrapped(module, features=C, axes=axes).double()


def images(*leading, seed=0):
    return draw(*leading, 1, SIZE, SIZE, seed=seed)


def episode():
    y = torch.eye(C).double().repeat(2, 1).expand(T, -1, -1)
    return Episode(images(T, 2 * C), y, images(T, 2 * C, seed=1), y)


def meta_gradient_by_loop(module, learner, e, order):
    """Algorithm 1, task after task, through the module and nothing of the wrapper."""
    own = dict(module.named_parameters())
    total = torch.zeros(())
    for one in e.chunks(1):
        fast = own
        for _ in range(learner.inner_steps):
            predicted = functional_call(module, fast, (one.support_x[0],))[None]
            loss = cross_entropy(predicted, one.support_y).sum()
            steps = torch.autograd.grad(loss, list(fast.values()), create_graph=order)
            fast = {
                name: value - learner.inner_rate * step
                for (name, value), step in zip(fast.items(), steps, strict=True)
            }
        predicted = functional_call(module, fast, (one.query_x[0],))[None]
        total = total + cross_entropy(predicted, one.query_y).sum() / T
    return torch.autograd.grad(total, list(own.values()))


MODULES = {
    "batch": lambda: resnet(track_running_stats=False),
    "instance": lambda: resnet(nn.InstanceNorm2d, affine=True),
    "group": lambda: resnet(lambda width: nn.GroupNorm(2, width)),
    "running": lambda: resnet().eval(),
}


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("kind", MODULES)
def test_mamls_meta_gradient_is_that_of_a_loop_over_the_native_layers(
    kind, first_order
):
    module = MODULES[kind]().double()
    learner = MAML(
        wrapped(module),
        loss=cross_entropy,
        inner_steps=2,
        inner_rate=0.3,
        first_order=first_order,
        normalisation="transductive" if kind == "batch" else "inductive",
    ).train(kind != "running")
    e = episode()
    meta_loss(learner, e, cross_entropy).backward()
    expected = meta_gradient_by_loop(module, learner, e, not first_order)
    for p, by_loop in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, by_loop, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_tied_weights_adapt_as_one_and_attention_is_differentiated_twice(training):
    module = Tied().double()
    assert len(dict(wrapped(module, 2).named_parameters())) == len(
        [*module.parameters()]
    )
    learner = MAML(
        wrapped(module, 2), loss=cross_entropy, inner_steps=1, inner_rate=0.3
    ).train(training)
    y = torch.eye(C).double().expand(T, -1, -1)
    x = draw(T, C, 5, SIZE)
    e = Episode(x, y, x + 0.1, y)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        meta_loss(learner, e, cross_entropy).backward()
        expected = meta_gradient_by_loop(module, learner, e, True)
    for p, by_loop in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, by_loop, atol=1e-11, rtol=1e-9)


def test_an_inductive_learner_normalises_queries_as_the_support():
    network = wrapped(resnet(track_running_stats=False))
    learner = MAML(network, loss=cross_entropy, inner_steps=1, inner_rate=0.3).eval()
    e = episode()
    adapted = learner.adapt(e.support_x, e.support_y)
    in_company = learner.predict(adapted, e.query_x)[:, :2]
    torch.testing.assert_close(
        in_company, learner.predict(adapted, e.query_x[:, :2]), atol=1e-12, rtol=1e-12
    )
    of_support = learner.predict(adapted, e.support_x)
    weights = {n: p for n, p in adapted.items() if n.startswith("module.")}
    torch.testing.assert_close(of_support, network(e.support_x, weights))


def test_running_statistics_move_by_the_mean_over_tasks():
    network, x = wrapped(resnet()), images(T, 6)
    alone = []
    for t in range(T):
        one = resnet().double()
        one.load_state_dict(network.module.state_dict())
        one(x[t])
        alone.append(one.block.norm2.running_var)
    own = {n: p.expand(T, *p.shape) for n, p in network.named_parameters()}
    network(x, own)
    moved = network.module.block.norm2.running_var
    torch.testing.assert_close(moved, torch.stack(alone).mean(0))
    assert not torch.equal(alone[0], alone[1])


def test_shared_and_own_parameters_give_what_the_module_gives():
    network, x = wrapped(resnet()).eval(), images(2, 3)
    native = network.module(x.flatten(0, 1)).view(2, 3, C)
    torch.testing.assert_close(network(x), native)
    torch.testing.assert_close(network(x, dict(network.named_parameters())), native)


def test_dropout_draws_another_mask_for_each_task_and_none_in_evaluation():
    network = Wrapped(nn.Sequential(nn.Linear(8, C), nn.Dropout()), features=C, axes=1)
    own = {n: p.expand(2, *p.shape) for n, p in network.named_parameters()}
    x = torch.ones(2, 5, 8)
    dropped = network(x, own) == 0
    assert not torch.equal(dropped[0], dropped[1])
    first, second = network.eval()(x, own)
    assert torch.equal(first, second)


def test_fine_tuning_draws_other_weights_for_every_task_and_the_same_again():
    module = resnet(track_running_stats=False)
    network = Wrapped(module, features=C, axes=3)
    before = torch.get_rng_state()
    first, again = (network.initial_parameters(2, generator=seeded(1)) for _ in "ab")
    assert torch.equal(before, torch.get_rng_state())
    weight = first["module.stem.weight"]
    assert torch.equal(weight, again["module.stem.weight"])
    assert weight.shape == (2, *module.stem.weight.shape)
    assert not torch.equal(weight[0], weight[1])
    e = Episode(*(t.float() for t in vars(episode()).values()))
    learner = FineTuning(network, loss=cross_entropy, steps=30, rate=0.3).eval()
    tuned = learner.predict(learner.adapt(e.support_x, e.support_y), e.support_x)
    assert cross_entropy(tuned, e.support_y).mean() < 0.7


def test_it_is_the_body_of_any_learner():
    learner = ProtoNet(Wrapped(resnet(), features=C, axes=3)).double()
    assert meta_loss(learner, episode(), cross_entropy).isfinite()
    network = WithHead(Wrapped(resnet(), features=C, axes=3), C)
    maml = MAML(network, loss=cross_entropy, inner_steps=1, inner_rate=0.1).double()
    meta_loss(maml, episode(), cross_entropy).backward()
    assert all(
        p.grad.abs().sum() > 0 for n, p in maml.named_parameters() if "norm" in n
    )


def test_what_a_module_without_running_statistics_makes_of_a_learner_is_known():
    without = Wrapped(resnet(track_running_stats=False), features=C, axes=3)
    assert without.uses_batch_statistics
    assert ProtoNet(without).normalisation == "transductive"
    assert not Wrapped(resnet(), features=C, axes=3).uses_batch_statistics


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, C, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


def test_recurrent_layers_embed_and_do_not_adapt():
    network = Wrapped(Recurrent(), features=C, axes=2)
    x, y = torch.rand(2, C, 5, 3), torch.eye(C).expand(2, -1, -1)
    assert ProtoNet(network).adapt(x, y).shape == (2, C, C)
    learner = MAML(network, loss=cross_entropy, inner_steps=1, inner_rate=0.1)
    with pytest.raises(ValueError, match=r"LSTM with its own parameters alone\. Write"):
        learner.adapt(x, y)


@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        (nn.Conv2d(1, C, 3), {}, r"made \(6, 4, 7, 7\) of 6 examples.*nn.Flatten"),
        (resnet(), {"features": 5}, r"made \(6, 4\).*features=5"),
        (resnet(), {"axes": 6}, r"has 5 axes; examples of axes=6"),
    ],
)
def test_what_does_not_fit_is_told(module, options, told):
    network = Wrapped(module, **{"features": C, "axes": 3} | options)
    with pytest.raises(ValueError, match=told):
        network(images(2, 3).float())


def test_what_cannot_be_wrapped_is_told():
    with pytest.raises(ValueError, match=r"lazy layers.*call it once"):
        Wrapped(nn.LazyLinear(C), features=C, axes=1)

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vector = nn.Parameter(torch.zeros(C))

        def forward(self, x):
            return x + self.vector

    network = Wrapped(Own(), features=C, axes=1)
    with pytest.raises(ValueError, match=r"Own has parameters.*from_scratch=False"):
        network.initial_parameters(2, generator=seeded(0))
