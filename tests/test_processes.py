"""Learners that read a set or a sequence: CNP, ANP, SNAIL."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.gaussian import moments, negative_log_likelihood
from labkit.learners.anp import ANP
from labkit.learners.cnp import CNP
from labkit.learners.snail import SNAIL
from labkit.networks.attention import Attention
from labkit.objective import meta_loss
from labkit.randomness import seeded

T, S, Q = 3, 9, 4

MAKERS: dict[str, Callable[..., Any]] = {
    "CNP": lambda **k: CNP(width=16, **k),
    "ANP": lambda **k: ANP(width=16, heads=4, **k),
    "SNAIL": lambda **k: SNAIL(width=4, longest=10, **k),
}
every_learner = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))


def drawn(*shape):
    return torch.randn(shape, generator=seeded(sum(shape)), dtype=torch.float64)


def episode(inputs=1, outputs=1):
    return Episode(
        drawn(T, S, inputs),
        drawn(T, S, outputs),
        drawn(T, Q, inputs),
        drawn(T, Q, outputs),
    )


def predict(learner, e):
    return learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)


def attend(learner_attention, queries, keys, values):
    """The block by loops over queries, heads and keys; for one task."""
    a = learner_attention
    q, k, v = a.to_query(queries), a.to_key(keys), a.to_value(values)
    d = q.shape[-1] // a.heads
    rows = []
    for i in range(len(q)):
        heads = []
        for h in range(a.heads):
            part = slice(h * d, (h + 1) * d)
            logits = torch.stack([q[i, part] @ k_j[part] for k_j in k]) / d**0.5
            weights = logits.exp() / logits.exp().sum()
            heads.append(sum(w * v_j[part] for w, v_j in zip(weights, v, strict=True)))
        rows.append(q[i] + torch.cat(heads))
    hidden = F.layer_norm(torch.stack(rows), (q.shape[-1],))
    return F.layer_norm(hidden + F.relu(a.to_output(hidden)), (q.shape[-1],))


def test_attention_is_the_loop_over_heads_and_keys():
    attention = Attention(8, heads=2, seed=1).double()
    q, k, v = drawn(2, 3, 8), drawn(2, 5, 8), drawn(2, 5, 8) + 1
    out = attention(q, k, v)
    for t in range(2):
        torch.testing.assert_close(out[t], attend(attention, q[t], k[t], v[t]))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width=10 cannot be divided among heads=4"):
        Attention(10, heads=4)


def gaussian_of(raw):
    return raw[0], 0.1 + 0.9 * torch.log1p(raw[1].exp())


def test_a_cnp_is_its_equations_by_the_loop():
    learner, e = MAKERS["CNP"]().double(), episode()
    mean, scale = moments(predict(learner, e))
    for t in range(T):
        pairs = zip(e.support_x[t], e.support_y[t], strict=True)
        r = sum(learner.encoder(torch.cat(pair)) for pair in pairs) / S
        for i, x in enumerate(e.query_x[t]):
            m, s = gaussian_of(learner.decoder(torch.cat([x, r])))
            torch.testing.assert_close(mean[t, i, 0], m)
            torch.testing.assert_close(scale[t, i, 0], s)


def test_an_anp_is_its_equations_by_the_loop():
    learner, e = MAKERS["ANP"]().double(), episode()
    mean, scale = moments(predict(learner, e))
    for t in range(T):
        h = learner.encoder(torch.cat([e.support_x[t], e.support_y[t]], -1))
        r = attend(learner.among_examples, h, h, h)
        keys, queries = learner.locate(e.support_x[t]), learner.locate(e.query_x[t])
        read = attend(learner.from_query, queries, keys, r)
        for i, x in enumerate(e.query_x[t]):
            m, s = gaussian_of(learner.decoder(torch.cat([x, read[i]])))
            torch.testing.assert_close(mean[t, i, 0], m)
            torch.testing.assert_close(scale[t, i, 0], s)


def test_snail_is_its_layers_by_the_loop_over_tokens():
    """Each query is the last token of a sequence of its own, read token by token."""
    learner, e = MAKERS["SNAIL"]().double(), episode()
    mean, scale = moments(predict(learner, e))
    for t, i in ((0, 0), (2, 3)):
        pairs = zip(e.support_x[t], e.support_y[t], strict=True)
        tokens = [torch.cat([x, y, torch.ones(1)]) for x, y in pairs]
        tokens.append(torch.cat([e.query_x[t, i], torch.zeros(2)]).double())
        x = [learner.embed(token.double()) for token in tokens]
        for layer in learner.layers:
            out = []
            for now in range(len(x)):
                if hasattr(layer, "dilation"):
                    then = now - layer.dilation
                    gates = layer.taps(x[now]).chunk(2)[0]
                    if then >= 0:
                        gates = gates + layer.taps(x[then]).chunk(2)[1]
                    a, b = gates.chunk(2)
                    added = a.tanh() * b.sigmoid()
                else:
                    qkv = [layer.project(token).chunk(3) for token in x[: now + 1]]
                    logits = torch.stack([qkv[-1][0] @ k for _, k, _ in qkv])
                    weights = (logits / layer.width**0.5).softmax(0)
                    added = sum(
                        w * v for w, (_, _, v) in zip(weights, qkv, strict=True)
                    )
                out.append(torch.cat([x[now], added]))
            x = out
        m, s = gaussian_of(learner.to_output(x[-1]))
        torch.testing.assert_close(mean[t, i, 0], m)
        torch.testing.assert_close(scale[t, i, 0], s)


def test_the_convolutions_of_snail_span_the_longest_sequence():
    dilations = [getattr(la, "dilation", 0) for la in SNAIL(longest=50).layers]
    assert dilations == [0, 1, 2, 4, 8, 16, 32, 0]


@every_learner
def test_reading_one_example_more_gives_the_state_of_reading_all(make):
    learner, e = make().double(), episode()
    state = None
    for i in range(S):
        one = slice(i, i + 1)
        state = learner.adapt(e.support_x[:, one], e.support_y[:, one], state)
    at_once = learner.adapt(e.support_x, e.support_y)
    torch.testing.assert_close(state, at_once, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        learner.predict(state, e.query_x), predict(learner, e), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "order_matters"), [("CNP", False), ("ANP", False), ("SNAIL", True)]
)
def test_only_snail_depends_on_the_order_of_the_support(name, order_matters):
    learner, e = MAKERS[name]().double(), episode()
    order = torch.randperm(S, generator=seeded(0))
    permuted = Episode(
        e.support_x[:, order], e.support_y[:, order], e.query_x, e.query_y
    )
    change = (predict(learner, permuted) - predict(learner, e)).abs().max()
    assert change > 1e-4 if order_matters else change < 1e-12


@every_learner
def test_a_query_does_not_change_with_its_companions(make):
    learner, e = make().double(), episode()
    state = learner.adapt(e.support_x, e.support_y)
    together = learner.predict(state, e.query_x)
    for i in range(Q):
        alone = learner.predict(state, e.query_x[:, i : i + 1])
        torch.testing.assert_close(alone, together[:, i : i + 1])
    assert learner.normalisation == "inductive"


@every_learner
def test_tasks_do_not_mix(make):
    learner, e = make().double(), episode()
    together = predict(learner, e)
    for t in range(T):
        torch.testing.assert_close(predict(learner, e[t : t + 1])[0], together[t])


@every_learner
def test_inputs_and_targets_may_be_vectors(make):
    learner = make(inputs=2, outputs=3).double()
    prediction = predict(learner, episode(2, 3))
    assert prediction.shape == (T, Q, 6)


@every_learner
def test_no_deviation_is_below_the_smallest(make):
    learner, e = make(smallest=0.05).double(), episode()
    far = Episode(100 * e.support_x, e.support_y, 100 * e.query_x, e.query_y)
    assert moments(predict(learner, far))[1].min() >= 0.05 - 1e-12


@every_learner
def test_a_training_step_never_waits_for_the_device(make):
    """Tensors without data cannot be looked at: any look at a value raises. Copies from
    the host go unseen."""
    x, y = (torch.rand(T, S, 1, device="meta") for _ in "xy")
    learner = make().to("meta").train()
    meta_loss(learner, Episode(x, y, x, y), negative_log_likelihood).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


@every_learner
def test_lower_precision_changes_a_loss_little(make):
    learner, e = make(), episode()
    e = Episode(*(x.float() for x in (e.support_x, e.support_y, e.query_x, e.query_y)))
    full = meta_loss(learner, e, negative_log_likelihood)
    with torch.autocast("cpu", torch.bfloat16):
        lower = meta_loss(learner, e, negative_log_likelihood)
    assert lower.dtype == torch.float32
    torch.testing.assert_close(lower, full, atol=0.05, rtol=0.05)


@every_learner
def test_construction_draws_nothing_and_follows_its_seed(make):
    before = torch.get_rng_state()
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    weights = [
        torch.cat([p.flatten() for p in m.parameters()]) for m in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@every_learner
def test_a_few_steps_lower_the_loss_of_an_episode(make):
    learner, e = make().double(), episode()
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = meta_loss(learner, e, negative_log_likelihood)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
