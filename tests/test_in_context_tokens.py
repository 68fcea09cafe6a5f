"""The transformer that writes: from its cache what it would from the whole text."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from labkit.episode import Episode
from labkit.evaluation import evaluate
from labkit.learners.in_context import prefix_loss
from labkit.learners.in_context_tokens import InContextTokens, token_cross_entropy
from labkit.measures.by_shots import by_shots, evaluate_by_shots, exact_match
from labkit.networks.transformer import Transformer
from labkit.randomness import seeded
from labkit.tasks.languages.changes import shorter
from labkit.tasks.languages.rules import Rules
from labkit.tasks.languages.vocabulary import TOKENS

T, S, Q, WORDS, PLACES = 3, 4, 2, 4, 7
LENGTH = 2 * PLACES  # a question and an answer for each


def one(context=(S + Q) * LENGTH, width=64, layers=2, seed=0):
    network = Transformer(width=width, layers=layers, heads=4, context=context)
    return InContextTokens(
        network, tokens=len(TOKENS), words=WORDS, places=PLACES, seed=seed
    )


def episode():
    return Rules(S, Q).sample(T, generator=seeded(0))


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_what_is_written_from_the_cache_is_the_likeliest_token_after_the_whole_text():
    learner, e = one().double().eval(), episode()
    written = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
    for q in range(Q):
        x = torch.cat([e.support_x, e.query_x[:, q : q + 1]], dim=1)
        y = torch.zeros(T, 1, PLACES, dtype=torch.int64)
        for place in range(PLACES):  # everything is read again for every token
            logits = learner.stream(x, torch.cat([e.support_y, y], dim=1))
            y[:, 0, place] = logits[:, -1, place].argmax(-1)
        assert torch.equal(written[:, q], y[:, 0])


def test_examples_added_to_the_cache_are_as_if_read_at_once():
    learner, e = one().double(), episode()
    first = learner.adapt(e.support_x[:, :1], e.support_y[:, :1])
    both = learner.adapt(e.support_x[:, 1:], e.support_y[:, 1:], first)
    close(both, learner.adapt(e.support_x, e.support_y))


def test_a_token_is_told_by_nothing_that_comes_after():
    learner, e = one().double(), episode()
    before = learner.stream(e.support_x, e.support_y)
    changed = e.support_y.clone()
    changed[:, 2, 3] = (changed[:, 2, 3] + 1) % len(TOKENS)
    after = learner.stream(e.support_x, changed)
    close(after[:, :2], before[:, :2])
    close(after[:, 2, :4], before[:, 2, :4])
    assert (after[:, 2, 4] - before[:, 2, 4]).abs().max() > 1e-3


def test_the_loss_is_the_mean_over_all_tokens_of_all_answers():
    learner, e = one().double(), episode()
    x = torch.cat([e.support_x, e.query_x], dim=1)
    y = torch.cat([e.support_y, e.query_y], dim=1)
    losses = []
    for task in range(T):
        for i in range(S + Q):
            prompt = x[task : task + 1, : i + 1], y[task : task + 1, : i + 1]
            logits = learner.stream(*prompt)[0, -1]
            losses += [
                F.cross_entropy(a, b) for a, b in zip(logits, y[task, i], strict=True)
            ]
    close(prefix_loss(learner, e, token_cross_entropy), torch.stack(losses).mean())


def test_adapting_changes_no_weight_and_works_without_examples():
    learner, e = one().eval(), episode()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    empty = shorter(e, 0)
    adapted = learner.adapt(empty.support_x, empty.support_y)
    assert adapted.shape[-2] == 0
    assert learner.predict(adapted, e.query_x).shape == (T, Q, PLACES)
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_prompt_too_long_says_how_long_it_may_be():
    learner, e = one(context=3 * LENGTH), episode()
    with pytest.raises(ValueError, match=r"56 tokens.*at most context=42.*Shorten"):
        learner.adapt(e.support_x, e.support_y)
    full = learner.adapt(e.support_x[:, :3], e.support_y[:, :3])
    with pytest.raises(ValueError, match="43 tokens"):
        learner.predict(full, e.query_x)


class CoinTosses:
    """Two tosses, and two more that have nothing to do with them."""

    def sample(self, n_tasks, *, generator):
        tosses = torch.randint(2, (n_tasks, S + 1, 4), generator=generator)
        x, y = tosses.split(2, dim=-1)
        return Episode(x[:, :S], y[:, :S], x[:, S:], y[:, S:])


@pytest.fixture
def guesser():
    """Untrained: of two tokens with two values each, a quarter is right by luck."""
    network = Transformer(width=16, layers=2, heads=4, context=4 * (S + 1))
    return InContextTokens(network, tokens=2, words=2, places=2, code=8).eval()


def test_one_pass_with_true_tokens_finds_the_exact_matches_of_decoding(guesser):
    e = CoinTosses().sample(60, generator=seeded(2))
    with torch.no_grad():
        found = by_shots(guesser, e, token_cross_entropy)
        x = torch.cat([e.support_x, e.query_x], dim=1)
        y = torch.cat([e.support_y, e.query_y], dim=1)
        for shot in range(S + 1):
            adapted = guesser.adapt(x[:, :shot], y[:, :shot])
            answer = guesser.predict(adapted, x[:, shot : shot + 1])
            exact = exact_match(answer, y[:, shot : shot + 1])
            assert torch.equal(exact, found[:, shot])
    assert 0.1 < found.mean() < 0.4


def test_the_figure_of_evaluate_is_the_last_of_those_by_shots(guesser):
    options: dict[str, Any] = {"n_tasks": 60, "seed": 3, "tasks_per_batch": 20}
    of_all = evaluate_by_shots(guesser, CoinTosses(), **options)
    at_end = evaluate(guesser, CoinTosses(), score=exact_match, **options)
    assert len(of_all) == S + 1 and of_all[-1] == at_end


def test_a_training_step_never_waits_for_the_device():
    with torch.device("meta"):
        x = torch.zeros(T, S, WORDS, dtype=torch.int64)
        y = torch.zeros(T, S, PLACES, dtype=torch.int64)
    learner = one().to("meta")
    token_cross_entropy(learner.stream(x, y), y).mean().backward()
    assert all(p.grad.shape == p.shape for p in learner.parameters())


def test_the_same_seed_gives_the_same_weights():
    e = episode()
    first, again, other = (one(seed=s).stream(e.query_x, e.query_y) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_codes_must_fit_into_the_width():
    with pytest.raises(ValueError, match="4 words of code=16 do not fit into width=32"):
        one(width=32)
