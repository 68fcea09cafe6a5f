"""The transformer and its cache: reading piece by piece is reading at once."""

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.learners.in_context import InContext, prefix_loss
from labkit.networks.transformer import Transformer
from labkit.objective import meta_loss, squared_error
from labkit.randomness import seeded
from labkit.tasks.linear_regression import Gaussian, LinearRegression
from labkit.training import meta_train

T, S, Q, D, WIDTH = 3, 6, 4, 5, 16


def network(context=2 * S + 1, seed=0):
    return Transformer(width=WIDTH, layers=2, heads=4, context=context, seed=seed)


@pytest.fixture(params=[False, True], ids=["x once", "x repeated"])
def one(request):
    return InContext(network(), D, 1, repeat_x=request.param).double().eval()


def episode():
    drawn = LinearRegression(Gaussian(D), S, Q).sample(T, generator=seeded(0))
    return Episode(*(tensor.double() for tensor in vars(drawn).values()))


def tokens(n=9):
    return torch.randn(T, n, WIDTH, generator=seeded(1), dtype=torch.float64)


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


# The network


def test_attention_is_a_softmax_over_the_tokens_before_by_the_loop():
    net = network().double()
    block, x = net.blocks[0], tokens()
    found, _ = block(x, None, None)
    for t in range(T):
        projected = block.query_key_value(block.norm1(x[t]))
        query, key, value = projected.chunk(3, dim=-1)
        size = WIDTH // 4
        for i in range(x.shape[1]):
            heads = []
            for head in range(4):
                part = slice(head * size, (head + 1) * size)
                logits = key[: i + 1, part] @ query[i, part] / size**0.5
                heads.append(logits.softmax(0) @ value[: i + 1, part])
            h = x[t, i] + block.write(torch.cat(heads))
            close(found[t, i], h + block.mlp(block.norm2(h)))


def test_an_output_depends_on_no_later_token():
    net, x = network().double(), tokens()
    changed = x.clone()
    changed[:, 5:] = x[:, 5:].flip(-1)
    before, after = net(x), net(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("pieces", [(9,), (4, 5), (1, 1, 3, 4)])
def test_reading_in_pieces_with_a_cache_is_reading_at_once(pieces):
    net, x = network().double(), tokens()
    cache, outputs = None, []
    for piece in x.split(pieces, dim=1):
        h, cache = net.read(piece, cache)
        outputs.append(h)
    close(torch.cat(outputs, dim=1), net(x))
    close(cache, net.read(x)[1])


def test_tokens_peeked_at_come_next_each_by_itself():
    net, x = network().double(), tokens()
    _, cache = net.read(x[:, :5])
    found = net.peek(x[:, 5:], cache)
    for q in range(4):
        alone = torch.cat([x[:, :5], x[:, 5 + q : 6 + q]], dim=1)
        close(found[:, q], net(alone)[:, -1])


def test_a_sequence_too_long_says_how_many_tokens_there_is_room_for():
    net = network(context=8)
    with pytest.raises(ValueError, match=r"9 tokens.*at most context=8"):
        net(tokens().float())
    _, cache = net.read(tokens(8).float())
    with pytest.raises(ValueError, match="9 tokens"):
        net.peek(tokens(2).float(), cache)
    with pytest.raises(ValueError, match="10 tokens"):
        net.read(tokens(2).float(), cache)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width=10 cannot be divided among heads=4"):
        Transformer(width=10, heads=4)


def test_the_same_seed_gives_the_same_weights_and_nothing_else_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = network(seed=1), network(seed=1), network(seed=2)
    assert torch.rand(1) == expected
    x = tokens().float()
    assert torch.equal(one(x), two(x))
    assert not torch.equal(one(x), other(x))


def test_half_precision_changes_outputs_by_no_more_than_its_digits():
    net, x = network(), tokens().float()
    with torch.autocast("cpu", torch.bfloat16):
        low = net(x)
    assert (low - net(x)).abs().max() < 0.05


# The learner


def test_prediction_from_the_cache_is_that_of_the_whole_prompt(one):
    """Query q after the prompt, as the last token of x_1 y_1 … x_S y_S x."""
    e = episode()
    predicted = one.predict(one.adapt(e.support_x, e.support_y), e.query_x)
    prompt = one.prompt(e.support_x, e.support_y)
    for q in range(Q):
        asked = torch.cat([prompt, one.embed_x(e.query_x[:, q : q + 1])], dim=1)
        close(predicted[:, q], one.answer(one.network(asked)[:, -1]))


def test_adding_an_example_to_the_cache_is_reading_all_again(one):
    e = episode()
    state = one.adapt(e.support_x[:, :4], e.support_y[:, :4])
    for i in (4, 5):
        new = e.support_x[:, i : i + 1], e.support_y[:, i : i + 1]
        state = one.adapt(*new, state)
    close(state, one.adapt(e.support_x, e.support_y))


def test_one_pass_predicts_at_every_prefix_what_adapting_to_it_does(one):
    e = episode()
    streamed = one.stream(e.support_x, e.support_y)
    for i in range(S):
        adapted = one.adapt(e.support_x[:, :i], e.support_y[:, :i])
        asked = one.predict(adapted, e.support_x[:, i : i + 1])
        close(asked, streamed[:, i : i + 1])


def test_prefix_loss_is_the_mean_of_the_losses_of_all_prefixes():
    e = episode()
    one = InContext(network(context=2 * (S + Q)), D, 1).double()
    x = torch.cat([e.support_x, e.query_x], dim=1)
    y = torch.cat([e.support_y, e.query_y], dim=1)
    losses = [
        meta_loss(
            one,
            Episode(x[:, :i], y[:, :i], x[:, i : i + 1], y[:, i : i + 1]),
            squared_error,
        )
        for i in range(S + Q)
    ]
    close(prefix_loss(one, e, squared_error), torch.stack(losses).mean())


def test_the_token_of_a_target_carries_its_x_if_asked():
    e = episode()
    once, again = (
        InContext(network(), D, 1, repeat_x=repeat).double() for repeat in (False, True)
    )
    support = e.support_x, e.support_y
    difference = again.prompt(*support) - once.prompt(*support)
    close(difference[:, 0::2], torch.zeros_like(difference[:, 0::2]))
    close(difference[:, 1::2], once.embed_x(e.support_x))


def test_adapting_changes_no_weight_and_queries_do_not_see_each_other(one):
    e = episode()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    adapted = one.adapt(e.support_x, e.support_y)
    together = one.predict(adapted, e.query_x)
    close(one.predict(adapted, e.query_x[:, 2:3]), together[:, 2:3])
    for name, value in one.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("objective", [prefix_loss, meta_loss])
def test_a_training_step_never_waits_for_the_device(objective):
    with torch.device("meta"):
        x, y = torch.rand(2, 5, D), torch.rand(2, 5, 1)
    one = InContext(network(context=20), D, 1).to("meta")
    objective(one, Episode(x, y, x, y), squared_error).backward()
    assert all(p.grad.shape == p.shape for p in one.parameters())


def test_trained_on_all_prefixes_it_beats_what_ignores_the_examples():
    """d = 1: after three examples the error is far below that of predicting 0."""
    tasks = LinearRegression(Gaussian(1), shot=3)
    one = InContext(Transformer(width=32, layers=2, context=8), 1, 1)
    meta_train(
        one,
        tasks,
        loss=squared_error,
        objective=prefix_loss,
        steps=200,
        tasks_per_step=64,
        learning_rate=3e-3,
    )
    fresh = tasks.sample(1000, generator=seeded(5))
    with torch.no_grad():
        found = meta_loss(one, fresh, squared_error)
    assert found < 0.3 * F.mse_loss(torch.zeros(1000, 1, 1), fresh.query_y)
