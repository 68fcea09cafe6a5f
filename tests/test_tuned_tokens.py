"""Fine-tuning on a prompt's examples: each task its own copy, as by the plain loop."""

import copy

import torch
from torch.nn import functional as F

from labkit.learners.baselines.tuned_tokens import TunedTokens
from labkit.learners.in_context_tokens import InContextTokens
from labkit.networks.transformer import Transformer
from labkit.randomness import seeded
from labkit.tasks.languages.invented import Languages
from labkit.tasks.languages.vocabulary import TOKENS

T, S, Q = 3, 4, 2


def model():
    network = Transformer(width=16, layers=2, heads=2, context=28)
    learner = InContextTokens(network, tokens=len(TOKENS), words=4, places=7, code=4)
    return learner.double()


def episode():
    return Languages(S, Q).sample(T, generator=seeded(0))


def test_every_task_is_tuned_as_if_it_were_alone_with_adam_by_the_loop():
    shared, e = model(), episode()
    tuned = TunedTokens(shared, steps=3, rate=1e-2)
    with torch.no_grad():  # as under `evaluate`
        adapted = tuned.adapt(e.support_x, e.support_y)
        answers = tuned.predict(adapted, e.query_x)
    for task in range(T):
        own = copy.deepcopy(shared)
        optimizer = torch.optim.Adam(own.parameters(), lr=1e-2)
        for _ in range(3):
            losses = []
            for x, y in zip(e.support_x[task], e.support_y[task], strict=True):
                logits = own.stream(x[None, None], y[None, None])[0, 0]
                losses.append(F.cross_entropy(logits, y))
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()
        for name, value in own.named_parameters():
            torch.testing.assert_close(
                adapted[name][task], value.detach(), atol=1e-8, rtol=1e-6
            )
        nothing = own.adapt(e.support_x[:1, :0], e.support_y[:1, :0])
        expected = own.predict(nothing, e.query_x[task : task + 1])
        assert torch.equal(answers[task : task + 1], expected)


def test_the_model_keeps_its_weights_and_the_copies_learn_the_support():
    shared, e = model(), episode()
    before = {name: value.clone() for name, value in shared.state_dict().items()}
    tuned = TunedTokens(shared, steps=60, rate=1e-2)
    answers = tuned.predict(tuned.adapt(e.support_x, e.support_y), e.support_x)
    assert torch.equal(answers, e.support_y)
    for name, value in shared.state_dict().items():
        assert torch.equal(value, before[name])
