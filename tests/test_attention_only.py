"""Two layers of attention: by the loop, and with an induction head written by hand."""

from dataclasses import replace

import pytest
import torch

from labkit.learners.attention_only import AttentionOnly
from labkit.measures.induction import (
    induction_score,
    induction_weights,
    matches,
    previous_token_score,
)
from labkit.objective import accuracy, cross_entropy, meta_loss
from labkit.randomness import seeded
from labkit.tasks.bursty import Bursty
from labkit.training import meta_train

TASKS = Bursty(classes=64, labels=8, dimension=6, shot=4, copies=1, noise=0.0)
T, S, WIDTH = 5, 4, 16


def learner(seed=0):
    return AttentionOnly(6, 8, shot=S, width=WIDTH, seed=seed).double().eval()


def episode(tasks=TASKS, n=T):
    drawn = tasks.sample(n, generator=seeded(0))
    return type(drawn)(*(tensor.double() for tensor in vars(drawn).values()))


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def support(e):
    return e.support_x, e.support_y


# The learner


def test_the_whole_pass_is_that_of_a_loop_over_tasks_layers_and_tokens():
    one, e = learner(), episode()
    logits, maps = one.attention(e.support_x, e.support_y, e.query_x)
    for t in range(T):
        tokens = []
        for i in range(S):
            tokens.append(e.support_x[t, i] @ one.embed_x)
            tokens.append(e.support_y[t, i] @ one.embed_y)
        tokens.append(e.query_x[t, 0] @ one.embed_x)
        h = [token + one.positions[i] for i, token in enumerate(tokens)]
        for number, layer in enumerate((one.first, one.second)):
            heard = []
            for i in range(len(h)):
                asked = h[i] @ layer.query
                logit = [asked @ (h[j] @ layer.key) / WIDTH**0.5 for j in range(i + 1)]
                weight = torch.stack(logit).softmax(0)
                heard.append(
                    sum(weight[j] * (h[j] @ layer.value) for j in range(i + 1))
                )
                close(maps[t, number, i, : i + 1], weight)
                assert (maps[t, number, i, i + 1 :] == 0).all()
            h = [token + more for token, more in zip(h, heard, strict=True)]
        close(logits[t, 0], h[-1] @ one.answer)


def test_prediction_from_the_cache_is_that_of_the_whole_pass():
    one, e = learner(), episode()
    adapted = one.adapt(*support(e))
    for layer in adapted:
        assert [part.shape for part in layer] == 2 * [(T, 2 * S, WIDTH)]
    close(one.predict(adapted, e.query_x), one.attention(*support(e), e.query_x)[0])


def test_queries_do_not_see_each_other_and_adapting_changes_no_weight():
    one, e = learner(), episode()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    adapted = one.adapt(*support(e))
    queries = torch.cat([e.query_x, e.support_x], dim=1)
    together = one.predict(adapted, queries)
    for q in range(S + 1):
        close(one.predict(adapted, queries[:, q : q + 1]), together[:, q : q + 1])
    for name, value in one.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_shorter_support_is_read_and_a_longer_refused():
    one, e = learner(), episode()
    short = e.support_x[:, :2], e.support_y[:, :2]
    expected = one.attention(*short, e.query_x)[0]
    close(one.predict(one.adapt(*short), e.query_x), expected)
    with pytest.raises(ValueError, match=r"5 examples.*shot=4"):
        one.adapt(*(tensor[:, [0, 1, 2, 3, 0]] for tensor in support(e)))


def test_the_seed_decides_the_weights_and_nothing_else_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = learner(1), learner(1), learner(2)
    assert torch.rand(1) == expected
    assert torch.equal(one.answer, two.answer)
    assert not torch.equal(one.answer, other.answer)


def test_a_training_step_never_waits_for_the_device():
    with torch.device("meta"):
        x, y, query = torch.rand(2, 4, 6), torch.rand(2, 4, 8), torch.rand(2, 1, 6)
    one = AttentionOnly(6, 8, shot=S).to("meta")
    one.predict(one.adapt(x, y), query).sum().backward()
    assert all(p.grad.shape == p.shape for p in one.parameters())


def test_a_little_training_learns_a_few_classes_by_heart():
    tasks = Bursty(classes=16, labels=16, dimension=16, shot=2, burstiness=0.5)
    one = AttentionOnly(16, 16, shot=2, width=32)
    meta_train(one, tasks, steps=150, tasks_per_step=64, learning_rate=1e-2)
    fresh = replace(tasks, test="in weights").sample(500, generator=seeded(5))
    with torch.no_grad():
        assert meta_loss(one, fresh, accuracy) > 0.9
        assert meta_loss(one, fresh, cross_entropy) < 1


# The induction head, written down


@pytest.mark.parametrize("test", ["new classes", "swapped labels"])
@pytest.mark.parametrize("copies", [1, 2])
def test_weights_written_by_hand_are_right_on_classes_that_nobody_has_seen(
    copies, test
):
    tasks = Bursty(
        classes=640,
        labels=32,
        dimension=64,
        shot=8,
        copies=copies,
        noise=0.1,
        test=test,
    )
    weights = induction_weights(64, 32, shot=8)
    width = weights["embed_x"].shape[1]
    one = AttentionOnly(64, 32, shot=8, width=width).double()
    one.load_state_dict(weights)
    e = episode(tasks, 1000)
    logits, maps = one.attention(e.support_x, e.support_y, e.query_x)
    assert accuracy(logits, e.query_y).mean() == 1
    assert previous_token_score(maps).min() > 1 - 1e-6
    assert induction_score(maps, matches(e)).mean() > 1 - 1e-3
    assert (
        accuracy(one.predict(one.adapt(*support(e)), e.query_x), e.query_y).mean() == 1
    )


# The scores


def maps_with(second_layer):
    """One sequence of four pairs; attention of the query as given, by token."""
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 1, -1, list(second_layer)] = torch.tensor(list(second_layer.values()))
    return maps


ONE = torch.tensor([[False, True, False, False]])  # its label is token 3
TWO = torch.tensor([[True, True, False, False]])  # tokens 1 and 3


@pytest.mark.parametrize(
    ("weights", "matches", "expected"),
    [
        ({3: 1.0}, ONE, 1),
        ({1: 1.0}, ONE, -1 / 3),
        ({8: 1.0}, ONE, 0),  # itself
        ({2: 1.0}, ONE, 0),  # the item, and not its label
        ({1: 0.25, 3: 0.25, 5: 0.25, 7: 0.25}, ONE, 0),
        ({3: 0.4, 5: 0.3, 8: 0.3}, ONE, 0.4 - 0.1),
        ({1: 0.5, 3: 0.5}, TWO, 1),
        ({1: 0.25, 3: 0.25, 5: 0.25, 7: 0.25}, TWO, 0),
        ({3: 0.6, 7: 0.2}, TWO, 0.4),
    ],
)
def test_the_induction_score_of_attention_known_by_hand(weights, matches, expected):
    found = induction_score(maps_with(weights), matches)
    torch.testing.assert_close(found, torch.tensor([expected]).float())


def test_items_match_that_have_the_label_of_the_query():
    e = episode(replace(TASKS, copies=2, burstiness=1.0))
    for t in range(T):
        same = [torch.equal(y, e.query_y[t, 0]) for y in e.support_y[t]]
        assert matches(e)[t].tolist() == same
        assert sum(same) == 2


def test_the_previous_token_score_reads_labels_and_not_items():
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 0, torch.tensor([1, 3]), torch.tensor([0, 2])] = 1.0  # two labels of four
    maps[0, 0, 4, 3] = 1.0  # an item that looks back counts for nothing
    assert previous_token_score(maps).tolist() == [0.5]
