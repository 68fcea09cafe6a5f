"""Invented languages and rules: what is drawn, what is held out, what can be known."""

from dataclasses import replace

import pytest
import torch

from labkit.experiments import find, records
from labkit.experiments.languages import (
    LARGEST_SHOT,
    SHOTS_JUDGED,
    TRAINED_ORDERS,
    InContextLanguages,
    judged,
)
from labkit.files import CLONE
from labkit.learners.oracles.languages import LanguageOracle, read
from labkit.randomness import seeded
from labkit.tasks.languages.changes import (
    lines,
    mislabelled,
    reordered,
    shorter,
    switched,
)
from labkit.tasks.languages.grammar import FINISHED, LITERAL, NUMBER, Topic
from labkit.tasks.languages.invented import (
    HELD_OUT_ORDERS,
    ORDERS,
    SUFFIX,
    Arrangement,
    Languages,
    arrangements,
    draw_languages,
)
from labkit.tasks.languages.rules import (
    HELD_OUT,
    Rules,
    draw_rules,
    named,
    parse,
    trained_skeletons,
)
from labkit.tasks.languages.vocabulary import (
    IDS,
    NOUNS,
    PLURAL,
    PREFIXES,
    SINGULAR,
    STEMS,
    SUFFIXES,
    TOKENS,
    VERBS,
    ids,
    text,
)
from labkit.tasks.mixture import Mixture

ALL = 72  # sentences of four nouns and three verbs

EXPECTED = {
    "upper case": "DOGS SAW CAT",
    "reversal": "cat saw dogs",
    "brackets": "( dogs saw cat )",
    "delimiters": "dogs , saw , cat",
    "key and value": "subject: dogs verb: saw object: cat",
    "function call": "saw ( dogs , cat )",
    "headline": "Cat => Dogs",
    "echo": "dogs saw cat cat",
    "frame": "| saw | cat |",
    "topic first": "CAT ; dogs saw",
}


def drawn(tasks, n_tasks=5, seed=0):
    return tasks.sample(n_tasks, generator=seeded(seed))


def same(one, other):
    return all(torch.equal(a, vars(other)[name]) for name, a in vars(one).items())


# Words


def test_every_token_has_a_number_of_its_own_and_affixes_join_their_stems():
    assert len(set(TOKENS)) == len(TOKENS) == len(IDS)
    assert text(ids(["dog", PLURAL, "saw", "cat"])) == "dogs saw cat"
    assert text(ids(["dog", SINGULAR, "saw", "cat"])) == "dog saw cat"
    prefix, suffix = PREFIXES[0], SUFFIXES[1]
    assert text(ids([prefix, STEMS[0], suffix, STEMS[1]])) == (
        prefix[:-1] + STEMS[0] + suffix[1:] + " " + STEMS[1]
    )


def test_a_task_speaks_with_few_words_and_says_nothing_twice():
    e = drawn(Languages(ALL - 1))
    x = torch.cat([e.support_x, e.query_x], dim=1)
    for sentences in x.tolist():
        assert len({tuple(sentence) for sentence in sentences}) == ALL
        subjects, numbers, verbs, objects = (
            set(c) for c in zip(*sentences, strict=True)
        )
        assert subjects == objects and len(subjects) == 4 and len(verbs) == 3
        assert subjects <= set(ids(NOUNS)) and verbs <= set(ids(VERBS))
        assert numbers == set(ids([SINGULAR, PLURAL]))
        assert all(sentence[0] != sentence[3] for sentence in sentences)


def test_too_many_examples_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="make 72 sentences, not 73"):
        drawn(Languages(ALL))
    with pytest.raises(ValueError, match="query=0 at least 1"):
        Rules(3, 0)
    drawn(Languages(ALL, topic=Topic(nouns=5, verbs=3)))


# Languages


def test_a_lexicon_gives_each_word_a_stem_and_each_meaning_an_affix_of_its_own():
    grammar = draw_languages(200, generator=seeded(0))
    for tables in grammar.tables.tolist():
        stems = [tables[0][word] for word in ids([*NOUNS, *VERBS])]
        assert len(set(stems)) == len(stems) and set(stems) <= set(ids(STEMS))
        affixes = [table[n] for table in tables for n in ids([SINGULAR, PLURAL])]
        assert len({TOKENS[affix].strip("-") for affix in affixes}) == 4
    assert not torch.equal(grammar.tables[0], grammar.tables[1])


@pytest.mark.parametrize("orders", [ORDERS, HELD_OUT_ORDERS, ("SOV",)])
def test_languages_have_the_orders_asked_for_and_all_of_them(orders):
    grammar = draw_languages(600, orders, generator=seeded(0))
    found = {
        "".join("S#VO"[slot] for slot in slots if slot in (0, 2, 3))
        for slots in grammar.slots.tolist()
    }
    assert found == set(orders)


def test_a_language_is_what_its_arrangement_says_by_the_loop():
    """Number on the subject, agreement on the verb, case: one rule at a time."""
    e = drawn(Languages(ALL - 1, orders=("OSV",)), n_tasks=40)
    agreeing = 0
    possible = [(one, one.places) for one in arrangements(("OSV",))]
    for x, y in zip(e.support_x.tolist(), e.support_y.tolist(), strict=True):
        fitting = [one for one, places in possible if read(places, x, y) is not None]
        assert len(fitting) == 1  # with all sentences shown, nothing is open
        stems: dict[int, str] = {}
        affixes: dict[int, tuple[str, ...]] = {}
        for sentence, translation in zip(x, y, strict=True):
            tokens = [TOKENS[token] for token in translation if token]
            at = [i for i, token in enumerate(tokens) if token in STEMS]
            subject, number, verb, object_ = sentence
            assert len(at) == 3
            for word, place in zip((object_, subject, verb), at, strict=True):
                assert stems.setdefault(word, tokens[place]) == tokens[place]
            others = tuple(t for t in tokens if t not in STEMS)
            assert affixes.setdefault(number, others) == others
        changing = sum(a != b for a, b in zip(*affixes.values(), strict=True))
        assert changing == 1 + (fitting[0].agreement != 0)
        agreeing += changing == 2
    assert 15 < agreeing < 38  # two thirds of all arrangements


def test_an_arrangement_puts_affixes_where_it_says():
    one = Arrangement("VSO", number=SUFFIX, agreement=1, nominative=1, accusative=0)
    slots = [place.slot for place in one.places]
    assert slots == [NUMBER, 2, LITERAL, 0, NUMBER, 3, FINISHED]
    assert [place.form for place in one.places][:5] == [1, 0, 0, 0, 0]
    assert len(arrangements(ORDERS)) == len(set(arrangements(ORDERS))) == 6 * 2 * 27


def test_the_oracle_is_right_wherever_all_words_were_shown():
    tasks = Languages(24, 8)
    e, oracle = drawn(tasks, n_tasks=60), LanguageOracle()
    shares = []
    for shot in (0, 1, 4, 8, 24):
        part = shorter(e, shot)
        answers = oracle.predict(
            oracle.adapt(part.support_x, part.support_y), e.query_x
        )
        shares.append((answers == e.query_y).all(-1).float().mean().item())
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[1] < 0.05 and shares[-1] == 1


# Rules


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_named_rule_writes_what_it_should(name):
    x = torch.tensor([[ids(["dog", PLURAL, "saw", "cat"])]])
    y = named(name, 1, device=torch.device("cpu")).apply(x)
    assert text(y[0, 0].tolist()) == EXPECTED[name]
    e = drawn(Rules(3, name=name))
    assert torch.equal(e.support_y, named(name, 5, device=e.device).apply(e.support_x))


def test_no_rule_trained_on_has_the_skeleton_of_a_named_one():
    held_out = {tuple(parse(pattern)[0]) for pattern in HELD_OUT.values()}
    assert len(held_out) == len(HELD_OUT)
    assert not held_out & {tuple(row) for row in trained_skeletons().tolist()}
    grammar = draw_rules(20_000, generator=seeded(1))
    met = {tuple(row) for row in grammar.slots.tolist()}
    assert not held_out & met
    assert len(met) > 0.99 * len(trained_skeletons())


def test_a_word_and_its_number_are_in_one_case():
    grammar = draw_rules(500, generator=seeded(0))
    for slots, forms in zip(
        grammar.slots.tolist(), grammar.forms.tolist(), strict=True
    ):
        for place, slot in enumerate(slots):
            if slot == NUMBER:
                assert slots[place - 1] == 0 and forms[place - 1] == forms[place]


def test_an_unknown_rule_lists_the_known():
    with pytest.raises(ValueError, match="headline"):
        Rules(3, name="headlines")
    with pytest.raises(ValueError, match="OVS"):
        Languages(3, orders=("OVX",))


# Both


@pytest.mark.parametrize("tasks", [Languages(6, 2), Rules(6, 2), Rules(6, 2, "echo")])
def test_the_same_seed_draws_the_same_tasks_on_the_generators_device(tasks):
    with torch.device("meta"):  # whatever names no device ends up there, and fails
        e = drawn(tasks)
    assert e.device == torch.device("cpu")
    assert same(e, drawn(tasks)) and not same(e, drawn(tasks, seed=1))
    assert e.support_x.shape == (5, 6, 4) and e.query_y.shape == (5, 2, 7)


# Changes


def test_wrong_labels_are_others_of_the_same_prompt_as_many_as_asked():
    e = drawn(Rules(8), n_tasks=20)
    for share, wrong in ((0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)):
        changed = mislabelled(e, share, generator=seeded(3))
        differ = (changed.support_y != e.support_y).any(-1).sum(1)
        assert (differ <= wrong).all() and differ.float().mean() >= 0.9 * wrong
        for before, after in zip(
            e.support_y.tolist(), changed.support_y.tolist(), strict=True
        ):
            assert sorted(before) == sorted(after)
        assert torch.equal(changed.support_x, e.support_x)
        assert torch.equal(changed.query_y, e.query_y)


def test_another_order_keeps_every_pair():
    e = drawn(Languages(8))
    changed = reordered(e, generator=seeded(3))
    assert not torch.equal(changed.support_x, e.support_x)
    for task in range(5):
        assert sorted(lines(e.support_x[task], e.support_y[task])) == sorted(
            lines(changed.support_x[task], changed.support_y[task])
        )


def test_a_shorter_prompt_ends_alike_and_a_switched_one_begins_otherwise():
    e, other = drawn(Rules(8, name="brackets")), drawn(Rules(8, name="echo"), seed=1)
    assert same(shorter(e, 8), e)
    for shot in (9, -1):
        with pytest.raises(ValueError, match="has 8 examples"):
            shorter(e, shot)
    assert torch.equal(shorter(e, 3).support_y, e.support_y[:, 5:])
    assert shorter(e, 0).support_x.shape == (5, 0, 4)
    mixed = switched(other, e, 6)
    assert torch.equal(mixed.support_y[:, :6], other.support_y[:, :6])
    assert torch.equal(mixed.support_y[:, 6:], e.support_y[:, 6:])
    assert torch.equal(mixed.query_x, e.query_x)


def test_a_task_reads_as_text():
    e = replace(drawn(Rules(2, name="brackets")))
    for plain, bracketed in lines(e.support_x[0], e.support_y[0]):
        assert bracketed == f"( {plain} )"


# What is trained on


def test_a_mixture_has_so_many_of_each_kind_in_their_order():
    kinds = (Rules(3, 1, "brackets"), Languages(3), Rules(3, 1, "echo"))
    e = Mixture(kinds, (1, 3, 2)).sample(13, generator=seeded(0))
    signs = [task[0].count(IDS["("]) for task in e.support_y.tolist()]
    stems = [
        int(task[0][0] in ids([*STEMS, *PREFIXES])) for task in e.support_y.tolist()
    ]
    assert sum(signs) == 3 and signs[:3] == [1, 1, 1]
    assert sum(stems) == 6 and stems[3:9] == [1] * 6
    assert e.query_x.shape == (13, 1, 4)
    with pytest.raises(
        ValueError, match="3 kinds of tasks need as many weights, not 2"
    ):
        Mixture(kinds, (1, 3))
    for weights in ((0, 0, 0), (1, -1, 1)):
        with pytest.raises(ValueError, match="negative, nor all of them 0"):
            Mixture(kinds, weights)


def test_training_draws_no_held_out_order():
    tasks = InContextLanguages(
        steps=1, rules=0, plain=0, bare=1, whole=1
    ).training_tasks(torch.device("cpu"))
    e = tasks.sample(400, generator=seeded(0))
    oracle = LanguageOracle(HELD_OUT_ORDERS)
    fitting = oracle.adapt(e.support_x[200:], e.support_y[200:])
    assert not any(fitting)
    assert all(
        LanguageOracle(TRAINED_ORDERS).adapt(e.support_x[200:], e.support_y[200:])
    )


# What is stored

KINDS = ("new languages", *(f"rule: {name}" for name in HELD_OUT))


def test_a_new_language_is_learned_from_nothing_to_nine_in_ten():
    record = records.read("languages")
    assert record.result(judged("new languages", 0)).mean < 0.01
    means = [record.result(judged("new languages", k)).mean for k in SHOTS_JUDGED]
    assert means == sorted(means)
    last = record.result(judged("new languages", LARGEST_SHOT))
    assert last.mean - last.ci95 > 0.9 and last.n_tasks >= 1000
    weights = CLONE / "data" / "checkpoints" / "languages.safetensors"
    assert weights.stat().st_size <= 8 * 2**20


def test_every_named_rule_and_the_new_orders_are_on_record():
    record = records.read("languages")
    for kind in (*KINDS, "languages of new orders"):
        for shot in SHOTS_JUDGED:
            assert record.result(judged(kind, shot)).n_tasks >= 1000


@pytest.mark.parametrize(
    ("kind", "shot"), [("new languages", LARGEST_SHOT), ("rule: brackets", 4)]
)
def test_the_checkpoint_still_gives_its_recorded_figure(kind, shot):
    experiment, record = find("languages"), records.read("languages")
    learner = records.load_weights(experiment.learner(), "languages")
    figure = record.result(judged(kind, shot))
    tasks = experiment.evaluations()[judged(kind, shot)]()
    again = experiment.evaluate(
        learner, tasks, n_tasks=figure.n_tasks, seed=figure.seed
    )
    # another processor rounds otherwise, which may turn a close token or two
    assert again.mean == pytest.approx(figure.mean, abs=3e-3)
