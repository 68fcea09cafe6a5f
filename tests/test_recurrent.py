"""The LSTM learner and MANN: by their equations, and as learners that read a stream."""

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learners.mann import FLOOR, MANN
from labkit.learners.recurrent import LSTMLearner
from labkit.measures.streams import stream_loss
from labkit.networks.conv4 import Conv4
from labkit.networks.flat import Flat
from labkit.objective import accuracy, cross_entropy
from labkit.randomness import seeded
from labkit.training import meta_train

T, L, C, D = 3, 7, 3, 4


def lstm(network=None):
    return LSTMLearner(network or Flat(features=D), C, hidden=6, seed=1)


def mann(network=None):
    # fewer slots than the heads write in L steps, so that slots are used again
    return MANN(
        network or Flat(features=D), C, hidden=6, slots=5, width=3, heads=2, seed=1
    )


both = pytest.mark.parametrize("make", [lstm, mann])


def ready(learner):
    return learner.double().eval()


def examples(seed=0):
    source = seeded(seed)
    x = torch.randn(T, L, D, generator=source, dtype=torch.float64)
    y = F.one_hot(torch.randint(C, (T, L), generator=source), C).double()
    return x, y


def assert_same(state, other):
    for one, two in zip(state.memory, other.memory, strict=True):
        torch.testing.assert_close(one, two)
    assert torch.equal(state.label, other.label)


def lstm_step(x, h, c, cell, suffix=""):
    """One step for one vector, gates in the order of PyTorch."""
    W_x, W_h, b_x, b_h = (
        getattr(cell, f"{kind}{suffix}")
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    i, f, g, o = (W_x @ x + W_h @ h + b_x + b_h).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def previous_label(y, t, i):
    return y[t, i - 1] if i else torch.zeros(C, dtype=torch.float64)


def test_the_lstm_reads_each_example_with_the_label_before_it():
    learner, (x, y) = ready(lstm()), examples()
    logits, _ = learner.stream(x, y)
    for t in range(T):
        h = c = torch.zeros(6, dtype=torch.float64)
        for i in range(L):
            read = torch.cat([x[t, i], previous_label(y, t, i)])
            h, c = lstm_step(read, h, c, learner.lstm, "_l0")
            torch.testing.assert_close(logits[t, i], learner.head(h))


def test_mann_is_equations_2_to_8_by_the_loop_over_slots():
    learner, (x, y) = ready(mann()), examples()
    N, W, R = learner.slots, learner.width, learner.heads
    logits, _ = learner.stream(x, y)
    for t in range(T):
        h = c = torch.zeros(6, dtype=torch.float64)
        M = torch.zeros(N, W, dtype=torch.float64)
        reads = [torch.zeros(N, dtype=torch.float64) for _ in range(R)]
        usage = torch.arange(N) * 1e-6
        recalled = torch.zeros(R * W, dtype=torch.float64)
        for i in range(L):
            read = torch.cat([x[t, i], previous_label(y, t, i), recalled])
            h, c = lstm_step(read, h, c, learner.controller)
            heads = learner.interface(h).view(R, -1)
            least_used = usage.sort(stable=True).indices[:R]
            M[least_used] = 0
            old, writes = M.clone(), []
            for r in range(R):
                gate = heads[r, 2 * W].sigmoid()
                lru = F.one_hot(least_used[r], N)
                writes.append(gate * reads[r] + (1 - gate) * lru)  # eq. 7
                for n in range(N):
                    M[n] = M[n] + writes[r][n] * heads[r, W : 2 * W].tanh()  # eq. 8
            assert not torch.equal(M, old)
            for r in range(R):
                key, strength = heads[r, :W].tanh(), 1 + F.softplus(heads[r, -1])
                lengths = [key.square().sum() * row.square().sum() for row in M]
                K = torch.stack(
                    [key @ M[n] / (lengths[n] + FLOOR).sqrt() for n in range(N)]
                )
                reads[r] = (strength * K).exp() / (strength * K).exp().sum()  # eq. 3
            recalled = torch.cat([w @ M for w in reads])
            usage = learner.decay * usage + sum(reads) + sum(writes)  # eq. 5
            expected = learner.head(torch.cat([h, recalled]))
            torch.testing.assert_close(logits[t, i], expected, rtol=1e-4, atol=1e-5)


@both
def test_one_more_example_gives_the_state_of_reading_all_again(make):
    learner, (x, y) = ready(make()), examples()
    state = None
    for i in range(L):
        state = learner.adapt(x[:, i : i + 1], y[:, i : i + 1], state)
        assert_same(state, learner.adapt(x[:, : i + 1], y[:, : i + 1]))
    assert_same(
        state, learner.adapt(x[:, 3:], y[:, 3:], learner.adapt(x[:, :3], y[:, :3]))
    )


@both
def test_the_stream_in_one_pass_is_adapt_on_what_came_before_and_predict(make):
    learner, (x, y) = ready(make()), examples()
    logits, _ = learner.stream(x, y)
    state = learner.start(T)
    for i in range(L):
        one = slice(i, i + 1)
        torch.testing.assert_close(logits[:, one], learner.predict(state, x[:, one]))
        state = learner.adapt(x[:, one], y[:, one], state)


@both
def test_no_answer_depends_on_its_own_label_or_on_what_comes_later(make):
    learner, (x, y) = ready(make()), examples()
    logits, _ = learner.stream(x, y)
    for i in range(L):
        later_x, later_y = x.clone(), y.roll(1, dims=-1)
        later_x[:, i + 1 :] += 1
        later_y[:, :i] = y[:, :i]
        changed, _ = learner.stream(later_x, later_y)
        torch.testing.assert_close(changed[:, : i + 1], logits[:, : i + 1])
        assert i == L - 1 or not torch.allclose(changed[:, i + 1], logits[:, i + 1])


@both
def test_tasks_and_queries_are_each_alone(make):
    learner, (x, y) = ready(make()), examples()
    queries, _ = examples(seed=1)
    state = learner.adapt(x, y)
    together = learner.predict(state, queries)
    for t in range(T):
        own = learner.adapt(x[t : t + 1], y[t : t + 1])
        for i in range(L):
            alone = learner.predict(own, queries[t : t + 1, i : i + 1])
            torch.testing.assert_close(together[t, i], alone[0, 0])
    assert_same(state, learner.adapt(x, y))  # asking left no trace


@both
def test_the_state_does_not_grow_with_what_was_read(make):
    learner, (x, y) = ready(make()), examples()

    def size(state):
        return sum(tensor.numel() for tensor in (*state.memory, state.label))

    assert size(learner.start(T)) == size(learner.adapt(x, y))


def test_an_empty_memory_is_filled_slot_by_slot():
    learner, (x, y) = mann().double(), examples()
    learner.interface.weight.data.zero_()
    learner.interface.bias.data.zero_()
    gates = learner.interface.bias.data.view(learner.heads, -1)[:, 2 * learner.width]
    gates.fill_(-50)  # write to the least used slots alone
    learner.interface.bias.data.view(learner.heads, -1)[:, learner.width] = 1
    used = []
    for i in (1, 2):
        state = learner.adapt(x[:, :i], y[:, :i])
        used.append(state.memory[2].abs().sum(-1) > 1e-6)
    assert used[0].tolist() == [[True, True, False, False, False]] * T
    assert used[1].tolist() == [[True, True, True, True, False]] * T


def test_training_on_streams_finds_which_label_goes_with_which_sign():
    """Two classes, told apart by the sign of x; which is which is new in every task."""

    class Signs:
        def sample(self, n_tasks, *, generator):
            sign = torch.randint(2, (n_tasks, 5), generator=generator)
            flip = torch.randint(2, (n_tasks, 1), generator=generator)
            x = (2.0 * sign - 1).unsqueeze(-1)
            y = F.one_hot(sign ^ flip, 2).float()
            return Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:])

    learner = LSTMLearner(Flat(features=1), 2, hidden=16)
    meta_train(
        learner,
        Signs(),
        steps=200,
        objective=stream_loss,
        tasks_per_step=32,
        learning_rate=0.02,
    )
    e = Signs().sample(200, generator=seeded(9))
    answers = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
    assert accuracy(answers, e.query_y).mean() > 0.95


@both
def test_the_gradient_through_the_stream_is_that_of_finite_differences(make):
    learner, (x, y) = ready(make()), examples()
    episode, step = Episode(x, y, x, y), 1e-6
    stream_loss(learner, episode, cross_entropy).backward()
    direction = {
        name: torch.randn(p.shape, generator=seeded(i), dtype=p.dtype)
        for i, (name, p) in enumerate(learner.named_parameters())
    }
    slope = sum((p.grad * direction[n]).sum() for n, p in learner.named_parameters())
    losses = []
    for sign in (1, -2):  # one step ahead, then two back
        with torch.no_grad():
            for name, p in learner.named_parameters():
                p += sign * step * direction[name]
            losses.append(stream_loss(learner, episode, cross_entropy))
    torch.testing.assert_close(
        (losses[0] - losses[1]) / (2 * step), slope, rtol=1e-5, atol=1e-8
    )


@both
def test_a_training_step_never_waits_for_the_device(make):
    """Tensors without data cannot be looked at: any look at a value raises. Copies from
    the host go unseen."""
    with torch.device("meta"):
        x, y = torch.rand(2, 5, 1, 16, 16), torch.rand(2, 5, C)
    learner = make(Conv4(size=16, width=4)).to("meta").train()
    stream_loss(learner, Episode(x, y, x, y), cross_entropy).backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())
    learner.predict(learner.adapt(x, y), x)


@pytest.mark.parametrize("gate", range(4), ids=["input", "forget", "cell", "output"])
def test_the_forget_gates_and_no_others_begin_open(gate):
    hidden = 50
    lstm = LSTMLearner(Flat(features=2), classes=3, hidden=hidden).lstm
    mean = lstm.get_parameter("bias_ih_l0").chunk(4)[gate].mean().item()
    assert mean == pytest.approx(1.0 if gate == 1 else 0.0, abs=3 * hidden**-1)


@both
def test_construction_draws_nothing_from_the_global_generator(make):
    before = torch.get_rng_state()
    make()
    assert torch.equal(before, torch.get_rng_state())


@both
def test_batch_statistics_of_the_network_make_the_learner_transductive(make):
    assert make().normalisation == "inductive"
    shared = Conv4(size=16, width=4, track_running_stats=False)
    assert make(shared).normalisation == "transductive"
