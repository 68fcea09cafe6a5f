# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-prompts)=
# # Prompts as training sets
#
# {cite:t}`brown2020language` put a few examples of a task into the text that a language
# model goes on from, and called it few-shot learning. The examples are a support set, the
# question after them is a query, and no weight moves. All that this book asks about
# learners can be asked of a prompt: how accuracy grows with examples, what one wrong
# label costs, what $\theta'$ is and how large.
#
# Of a language model from the web the answers are hard to read. Has it seen the language
# that it is said to learn from the prompt? To be sure of a new language,
# {cite:t}`tanzer2024benchmark` took one with fewer than two hundred speakers and one
# grammar book. We go further: *nobody* speaks ours. A program draws them, as many as we
# like, and a small transformer learns to learn them. We know what every prompt gives
# away, and so how much of it the model takes.
#
# :::{admonition} What you will be able to do
# :class: tip
# - Read a prompt as a support set, and count the bytes of the $\theta'$ it becomes.
# - Compute how often a prompt of $k$ examples determines the answer at all.
# - Measure what in a prompt matters: its labels, their order, the format, the number.
# - Set adaptation by prompt against adaptation by gradient, on one model and one prompt.
# - Give the same exam to a language model of your own, its cost told before it runs.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

from dataclasses import replace
from itertools import combinations
from math import comb

import torch
from matplotlib import pyplot as plt

from labkit.experiments import records
from labkit.measures.by_shots import evaluate_by_shots, exact_match
from labkit.device import choose
from labkit.randomness import seeded
from labkit.evaluation import evaluate
from labkit.experiments import find
from labkit.experiments.languages import TRAINED_ORDERS
from labkit.figures.prompts import plot_by_shots, plot_changes, plot_prices
from labkit.figures.prompts import plot_prompt, plot_rows
from labkit.learners.oracles.languages import LanguageOracle
from labkit.experiments.profiles import by_profile
from labkit.tasks.changed import Changed
from labkit.tasks.languages import changes
from labkit.tasks.languages.grammar import FEW_WORDS, Topic
from labkit.tasks.languages.invented import HELD_OUT_ORDERS, Languages, draw_languages
from labkit.tasks.languages.rules import HELD_OUT, Rules, named

style.use()
device = choose(device)

# %% [markdown]
# ## A language in a prompt
#
# A task has four nouns and three verbs of English. Its sentences have a subject in the
# singular or the plural, a verb and an object, which makes 72. The language has a word
# for each noun and verb, an order of its own for the three, and affixes: for the number
# of the subject, perhaps once more on the verb, as agreement, and perhaps for the cases.
# All of this is drawn anew for every task, so that no language comes twice. In training
# the order was one of four. Two were kept back, and we come to them.

# %%
experiment = find("languages")
model = records.load_weights(experiment.learner(), "languages").to(device).eval()
shots = experiment.shot
source = seeded(seed, "prompts to see", device=device)
language = draw_languages(1, TRAINED_ORDERS, generator=source)
episode = language.episode(shots, 1, FEW_WORDS, generator=source)
for x, y in changes.lines(episode.support_x[0], episode.support_y[0])[:5]:
    print(f"{x:26} → {y}")

# %% [markdown]
# Try it. Which of the words is the verb? The way to find out is to compare: two sentences
# that share an English word share a piece of the answer. You see whole words and must cut
# them into stems and affixes yourself. The network is spared that: a sentence reaches it
# as four tokens, for subject, number, verb and object, and each stem and affix of a
# translation is a token of its own.
#
# The network is the transformer of [](#ch-transformer), and its prompts are made like the
# prompts there. For each token of a translation there is a *question*, the English
# sentence with the number of the place asked for, and an *answer*, the question with the
# token that stands there. A translation is written by asking place after place, taking
# the likeliest token and reading it as the answer. (A prompt of plain text has the same
# tokens without the questions, and a network must find out by itself which sentence and
# which place a token belongs to.) `python -m labkit train languages-first languages`
# trained it, for about three quarters of an hour on one busy core.
#
# ```{literalinclude} ../labkit/learners/in_context_tokens.py
# :start-at: def adapt(
# :end-before: def stream
# :label: lst-prompts
# :caption: Adapt reads the prompt, predict writes the answer. (`read` continues a sequence from a cache and returns the longer cache, as below [](#lst-transformer).)
# :filename: labkit/learners/in_context_tokens.py
# ```

# %%
with torch.no_grad():
    adapted = model.adapt(episode.support_x, episode.support_y)
    answer = model.predict(adapted, episode.query_x)
size = adapted.numel() * adapted.element_size()
weights = sum(p.numel() for p in model.parameters())
((x, written),) = changes.lines(episode.query_x[0], answer[0])
((_, right),) = changes.lines(episode.query_x[0], episode.query_y[0])
print(f"{x} → {written}   (right: {right})")
print(f"{weights:,} weights; θ′ {tuple(adapted.shape)}, {size:,} bytes")


# %% [markdown]
# $\theta'$ is the cache: keys and values of every token, in every layer, half a megabyte
# for sixteen short lines. As text the same examples take some 700 bytes. What a lookup
# table would need, seven words and at most six affixes, takes fewer still.
#
# ## What a prompt gives away
#
# No learner can translate a word that it has not seen. How often has it seen all that a
# query needs? A query asks for a subject $s$, an object $o$, a verb $v$ and a number $n$.
# The $k$ examples are $k$ of the other 71 sentences. Let $m_A$ be how many of these have
# none of the items in $A$. By inclusion and exclusion, the chance that every item of the
# query stands in some example is
#
# ```{math}
# :label: eq-prompts-coverage
# c(k) \;=\; \sum_{A \subseteq \{s, o, v, n\}} (-1)^{|A|} \, \binom{m_A}{k} \bigg/ \binom{71}{k} .
# ```
#
# (A noun counts as seen in either role, since its stem is the same in both.)

# %%
def covered(k, N=4, V=3):
    """The chance that k examples hold all that a query of N nouns, V verbs needs."""
    others, chance = 2 * V * N * (N - 1) - 1, 0.0
    for A in (A for size in range(5) for A in combinations("sovn", size)):
        nouns, verbs = N - ("s" in A) - ("o" in A), V - ("v" in A)
        m = nouns * (nouns - 1) * verbs * (2 - ("n" in A))
        if not A:
            m = others  # the query itself is no example
        chance += (-1) ** len(A) * comb(m, k) / comb(others, k)
    return chance


print("  ".join(f"c({k}) = {covered(k):.3f}" for k in (1, 2, 4, 8, shots)))
assert (covered(0), covered(71)) == (0, 1)

# %% [markdown]
# That is a ceiling for anything that does not guess. It is not yet what can be *known*:
# where two English words occur only together, nothing tells which part of the translation
# belongs to which. For what can be known we wrote a reader that knows how languages are
# made and goes through all arrangements that fit the prompt (`LanguageOracle`). Where several fit and differ, it says what most of them
# say; what is not in the prompt it does not guess.

# %%
n_tasks, few = by_profile(profile, smoke=(6, 2), book=(300, 400), paper=(10_000, 1000))
new_languages = Languages(shots, orders=TRAINED_ORDERS)
counts = (1, 2, 3, 4, 6, 8, 12, shots)


def by_shots(tasks, n=n_tasks):
    """Exact answers of the model after 0, 1, … examples."""
    options = {"n_tasks": n, "seed": seed, "tasks_per_batch": 30}
    return evaluate_by_shots(model, tasks, **options)


def known(k):
    """And of the reader that misses nothing."""
    tasks = replace(new_languages, shot=k, query=4)
    options = {"score": exact_match, "n_tasks": few, "seed": seed}
    return evaluate(LanguageOracle(), tasks, **options)


of_model = by_shots(new_languages, 2 * n_tasks)
of_reader = {k: known(k) for k in counts}

# %%
#| label: fig-prompts-languages
#| caption: "Left: a new language, its prompt, and a query. What stands for the same part of the sentence has the same colour: subject blue, number purple, verb orange, object green; affixes that mark a case are grey. Right: exact answers in new languages, with 95% intervals over tasks; $c(k)$ is Equation [](#eq-prompts-coverage)."
#| alt: "Left, eight lines of English with translations in coloured words, and a ninth with a question mark. Right, the share of exact answers against 0 to 16 examples. All three curves rise from zero like an S to nearly one. That of what is known lies about on c(k); the transformer's runs below the two, by the most at three to five examples, and comes near them at sixteen."
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
plot_prompt(left, language, changes.shorter(episode, 8))
every = range(shots + 1)
right.plot(every, [covered(k) for k in every], color=style.INK, label="c(k)")
measured = {"transformer": (every, of_model)}
measured["what is known"] = (counts, [*of_reader.values()])
plot_by_shots(right, measured)
right.legend(loc="lower right")
plt.show()

# %%
for k in (2, 4, 6, 8, shots):
    print(f"{k:2} examples: {of_model[k].percent()}, known {of_reader[k].percent()}")
assert profile == "smoke" or of_model[shots].mean >= 0.9

# %% [markdown]
# Without an example no answer is right: the network knows nothing of a language that was
# not there a moment ago. With eight, four in five are exact to the last affix, and with
# sixteen nearly all. No weight moved in between.
#
# It does not take all that a prompt gives. From three examples on the reader knows
# nearly all that is covered; of four examples it makes two answers in three, the
# network fewer than four in ten. The gap closes as words come up again: what one example
# leaves open, another settles.
#
# (sec-prompts-rules)=
# ## Ten rules, and two word orders
#
# Not only languages. A prompt can ask for a style or a format: capitals, brackets, a call
# of a function, keys with values, the words in reverse. The same network was trained on
# rules of this kind, drawn from all that can be said with the parts of a sentence, signs
# and keys. Ten have names and were kept out of training, and so was every rule with the
# same skeleton: the same order of parts and signs, with any signs and in any case.

# %%
#| label: fig-prompts-rules
#| caption: "Exact answers against the number of examples in the prompt, with 95% intervals over tasks: new languages in the word orders trained on, in the two held out, and ten rules of format and style never trained on. At the right end, the figure after 16 examples."
#| alt: "Twelve rows. In each an example in coloured words, and a small curve of exact answers from 0 to 100% against 0 to 16 examples. New languages rise slowly to nearly 100%. New word orders rise to about 30% only. Each of the ten rules jumps from 0 to nearly 100% at the first example and stays there."
kinds = {
    "new languages": new_languages,
    "in new word orders": Languages(shots, orders=HELD_OUT_ORDERS),
}
kinds |= {name: Rules(shots, name=name) for name in HELD_OUT}
source = seeded(seed, "rows")
grammars = {
    "new languages": draw_languages(1, TRAINED_ORDERS, generator=source),
    "in new word orders": draw_languages(1, HELD_OUT_ORDERS, generator=source),
}
grammars |= {name: named(name, 1, device=source.device) for name in HELD_OUT}
n_each = by_profile(profile, smoke=4, book=100, paper=10_000)
curves = {name: by_shots(tasks, n_each) for name, tasks in kinds.items()}
plot_rows(grammars, curves, generator=source)
plt.show()

# %% [markdown]
# A rule takes one example, a language ten and more. One line shows a format whole, since it is the
# same for all words, and what fills it is copied from the query. A line of a language
# shows three words of seven.
#
# The second row is a failure. In the two word orders that no training language had, the
# network ends near 30%, where sixteen examples leave next to nothing open. It has not
# learned *order*. It has learned four orders, and perhaps a way to tell which. That the formats
# came out otherwise, though none of the ten was trained on, has a likely reason: rules
# were drawn from very many skeletons, languages from four orders. What a learner
# generalises over is what varied in its training ([](#sec-transformer-diversity)).
#
# The same figures over 1,000 tasks for each row and number of examples are in the record
# of the training, `data/results/languages.json`.
#
# (sec-prompts-matters)=
# ## What in a prompt matters
#
# A prompt can be changed and the query left as it is; the change of the score is then the
# doing of the prompt. Four changes, at eight examples. *Number*: half of them.
# *Labels*: some examples have the answers of one another, all of them answers in the
# right language. *Format*: the first half comes from another task. *Order*: the same
# examples, shuffled.

# %%
from labkit.tasks.mixture import Mixture


def changes_with(other):
    """Functions of an episode, and of a generator that they may draw from."""

    def wrong(share):
        return lambda e, g: changes.mislabelled(e, share, generator=g)

    return {
        "as they were": lambda e, g: e,
        "half of them": lambda e, g: changes.shorter(e, 4),
        "half from another task": lambda e, g: changes.switched(
            other.sample(e.n_tasks, generator=g), e, 4
        ),
        "2 of 8 labels wrong": wrong(0.25),
        "4 of 8 labels wrong": wrong(0.5),
        "all labels wrong": wrong(1.0),
    }


# %%
#| label: fig-prompts-changes
#| caption: "Exact answers after changes of the prompt, eight examples, 95% intervals over tasks: new languages, and the ten rules together. Dashed: nothing changed. (Two of the rules leave a part out; there the answer of another sentence may by chance be right.)"
#| alt: "Two panels of six dots. Languages: 79% unchanged, 39 with half of the examples, 4 with half of them from another task, 30 with two labels wrong, 10 with four, 0 with all. Rules: 100% unchanged and with half, 5 with half from another task, 91 with two labels wrong, 75 with four, 39 with all."
eight_shots = replace(new_languages, shot=8)
panels = {"languages": {}, "rules": {}}
for name, change in changes_with(eight_shots).items():
    tasks = Changed(eight_shots, change)
    panels["languages"][name] = by_shots(tasks)[-1]
each_rule = tuple(Rules(8, name=name) for name in HELD_OUT)
ten_rules = Mixture(each_rule, (1,) * len(each_rule))
for name, change in changes_with(Rules(8)).items():
    panels["rules"][name] = by_shots(Changed(ten_rules, change))[-1]
plot_changes(panels)
plt.show()

# %% [markdown]
# *Labels* matter to both, and not alike. Two wrong translations among eight cost a
# language more than taking four right ones away. Wrong is worse than missing: from six
# right examples alone, two answers in three are exact. And with all labels wrong
# nothing is left of a language, for all that a prompt says of it is which goes with
# which. With a rule, nearly four answers in ten are still exact: the answer to another
# sentence is in the right format, and the words come from the query.
#
# *Number*: half of the examples are enough for a rule, and give a language half of its
# exact answers. *Format*: a prompt that begins with another task breaks both. Not
# one prompt of the training changed its task on the way, and the network does not know
# what to make of one that does, though the last four examples all agree.
#
# {cite:t}`min2022rethinking` gave language models the examples of classification tasks
# with random labels, and accuracy hardly fell; what the prompt had to show was the space
# of labels, the kind of input and the format. Our rules, where the format is most of the
# task, point the same way, and our languages the other. {cite:t}`wei2023larger` find that
# models differ as well: large ones follow labels that were turned around, small ones keep
# to what they knew before.
#
# *Order* is not in the figure. Our examples come in a random order, so another random
# order leaves the mean accuracy as it is. Single answers may change.
# {cite:t}`lu2022fantastically` found orders of one and the same few examples between
# nearly the best known accuracy and guessing, and {cite:t}`zhao2021calibrate` trace a
# part of it to a preference for labels that stood last or often. Here every prompt is
# read in ten orders.

# %%
n = by_profile(profile, smoke=4, book=100, paper=1000)
prompts = eight_shots.sample(n, generator=seeded(seed, "eight shots", device=device))
own, right = seeded(seed, "own examples", device=device), []
for _ in range(by_profile(profile, smoke=2, book=10, paper=50)):
    e = changes.reordered(prompts, generator=own)
    with torch.no_grad():
        answers = model.predict(model.adapt(e.support_x, e.support_y), e.query_x)
    right.append(exact_match(answers, e.query_y))
right = torch.stack(right)  # [orders, T]
some, all_ = right.amax(0).mean().item(), right.amin(0).mean().item()
print(f"right on average {right.mean():.1%}, in some order {some:.1%}, in all {all_:.1%}")
assert all_ <= right.mean() <= some

# %% [markdown]
# On average nothing changes. But one prompt in six is answered rightly in one order and
# wrongly in another, though the two hold the same examples. A learner that reads a
# set, such as one from [](#ch-sets), could not depend on the order at all.
#
# (sec-prompts-gradient)=
# ## By prompt or by gradient
#
# The weights could adapt as well. Take a copy of the network for each task, descend on
# the loss of the examples, each alone and without a prompt, and ask the query without a
# prompt. The network, the examples and the loss are those of the prompt; only the place
# where $\theta'$ is written differs. (Its two settings were the best of six pairs on other
# languages, for an earlier network of this kind.)
#
# ```{literalinclude} ../labkit/learners/baselines/tuned_tokens.py
# :start-at: with torch.inference_mode(False)
# :end-before: return {
# :label: lst-prompts-tuned
# :caption: Adapt by gradient. The first axis of every weight counts tasks.
# :filename: labkit/learners/baselines/tuned_tokens.py
# ```

# %%
from labkit.learners.baselines.tuned_tokens import TunedTokens
from labkit.measures.price import price

n_tuned = by_profile(profile, smoke=2, book=20, paper=1000)
steps = by_profile(profile, smoke=2, book=30, paper=30)
tuned = TunedTokens(model, steps=steps, rate=1e-3)


def both(tasks):
    """Exact answers by prompt and by gradient, on the same tasks."""
    options = {"score": exact_match, "n_tasks": n_tuned, "seed": seed}
    options |= {"tasks_per_batch": 20, "device": device}
    return [evaluate(learner, tasks, **options) for learner in (model, tuned)]


on_brackets = both(Rules(shots, 4, name="brackets"))
by_prompt, by_gradient = both(replace(new_languages, query=4))
pairs = {"languages": (by_prompt, by_gradient), "brackets": on_brackets}
for name, (prompt, gradient) in pairs.items():
    print(f"{name}: by prompt {prompt.percent()}, by gradient {gradient.percent()}")

# %%
one = new_languages.sample(1, generator=seeded(seed, "one prompt", device=device))
for name, learner in (("prompt", model), ("gradient", tuned)):
    asked = price(learner, one)
    work = f"{asked.operations / 1e6:,.0f} million operations"
    print(f"{name:8} θ′: {asked.bytes:>10,} bytes, {work}")

# %% [markdown]
# Sixteen examples determine nearly every answer. Read as a prompt, they give nearly all of
# them; by gradient, fewer than half of the answers come out. Brackets do not care. The
# price is the other way around: the copy of the weights is three times as large as the
# cache, and takes nearly seventy times as many operations.
#
# Two cautions. The network was trained to learn from prompts and not from gradients; one
# trained as in [](#ch-maml), for the loss *after* descent, would start elsewhere. And
# larger models are another matter: {cite:t}`mosbach2023fair` hold the size of the model
# and the examples equal, which earlier comparisons had not, and find that the two ways
# generalise about alike.
#
# (sec-prompts-own)=
# ## Your own language model
#
# The same exam can be given to any language model. Strings have no task axis and no
# logits, so the two calls become: `adapt` reads pairs of strings, `predict` answers
# strings, and an answer counts if it is right to the letter. `LocalModel` loads a causal
# language model in Hugging Face's format from a folder, and its $\theta'$ is the cache,
# as above. `Endpoint` speaks to any server with OpenAI's interface; its $\theta'$ is the
# text alone, sent again with every query.
#
# ```{literalinclude} ../labkit/language_models/local.py
# :start-at: def _answer(
# :end-before: def _forward
# :label: lst-prompts-local
# :caption: A local model answers a query from a copy of the cache of the examples.
# :filename: labkit/language_models/local.py
# ```
#
# Such an exam costs time or money, so it begins with the bill. Nothing is asked in this
# cell; a token is counted for every byte, which no vocabulary exceeds.

# %%
from labkit.language_models.endpoint import Endpoint
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import TextTask, ask, cost, mark
from labkit.language_models.local import LocalModel


def in_words(tasks, n):
    """Tasks as strings."""
    e = tasks.sample(n, generator=seeded(seed, "changed prompts"))
    sides = zip(e.support_x, e.support_y, e.query_x, e.query_y, strict=True)
    return [
        TextTask(tuple(changes.lines(a, b)), tuple(changes.lines(c, d)))
        for a, b, c, d in sides
    ]


exam = {
    f"languages, {k} shots": in_words(replace(new_languages, shot=k), 25)
    for k in (1, 4, shots)
}
exam |= {f"{name}, 4 shots": in_words(Rules(4, name=name), 10) for name in HELD_OUT}
questions = [task for tasks in exam.values() for task in tasks]
somewhere = Endpoint("https://example.org/v1", "a-model", key_variable="MY_KEY")
print(cost(somewhere, questions, price=(1.0, 4.0), seconds_per_prompt=1.0))

# %% [markdown]
# With a price of 1 for a million tokens read and 4 for a million written, in whatever
# currency, that is 0.12 at most. To sit the exam, name a folder or an endpoint in the
# next cell, and run it and the one after. The key of an endpoint is read from the
# environment variable that you name; no notebook, no error and no file ever holds it.
# Answers are kept in a file as they come, so that stopping a run, or a server that goes
# away, loses none that was paid for. An answer that was cut off for its length is not
# counted as a wrong one: the exam stops there, and goes on when more tokens are allowed.

# %%
folder = ""  # of your model; or below: mine = Endpoint("http://…/v1", "its-name")
mine = LocalModel(folder) if folder else None
if mine is None:
    print("No language model was named, so nothing is asked.")
else:
    print(cost(mine, questions, "answers.jsonl"))

# %%
if mine is not None:
    for name, tasks in exam.items():
        answers = ask(mine, tasks, "answers.jsonl")
        print(f"{name:24} {mark(tasks, answers, seed=seed).percent()}")

# %% [markdown]
# What goes wrong in practice is named before anything is spent.

# %%
for mistake in ({"address": "localhost:8000"}, {"key_variable": "sk-a-secret"}):
    try:
        Endpoint(**{"address": "https://example.org/v1", "model": "m"} | mistake)
    except LanguageModelError as refusal:
        print(refusal)

# %% [markdown]
# Three cautions for reading your figures. A model from the web has read much text about
# rules such as these, so that "brackets" is not new to it as it is to ours; the languages
# are. A vocabulary of the web cuts *anvami* into pieces that have meanings of their own.
# And exact match is hard on a model that says "Answer:" first: look at the file.

# %% [markdown]
# (sec-prompts-all)=
# ## All methods, by what they leave behind
#
# This is the last chapter, and the question of the first can be answered by a list.
# *What is $\theta'$?* One point a class. The support itself. Weights, all of them or
# the head's. The state of a recurrent network, an external memory, everything a network
# attends to, the mean of a set, a cache. For four kinds of task the book has several of
# them trained and judged on the same. Here they are by the bytes that one task leaves
# behind; the scores are those of the records.

# %%
characters, functions = "fresh glyphs, 5-way 1-shot between alphabets", "RBF kernel"
waves = "sinusoids, 5-shot, after 5 steps"
compared = [
    ("characters: accuracy", characters, "prototypes", "protonet-conv4-glyphs-1shot"),
    ("characters: accuracy", characters, "a head", "anil-glyphs-1shot"),
    ("characters: accuracy", characters, "all weights", "maml-glyphs-1shot"),
    ("functions: nats per target", functions, "a mean", "cnp-rbf"),
    ("functions: nats per target", functions, "all attended to", "snail-rbf"),
    ("functions: nats per target", functions, "every point", "anp-rbf"),
    ("waves: squared error", waves, "a head", "anil-sinusoids"),
    ("waves: squared error", waves, "all weights", "maml-sinusoids"),
    ("waves: squared error", waves, "and their rates", "meta-sgd-sinusoids"),
]


def priced(name, tasks):
    """The bytes that a method leaves behind on such tasks, and its recorded score."""
    one, score = find(name), records.read(name).result(tasks)
    episode = one.evaluations()[tasks]().sample(1, generator=seeded(seed, "priced prompt"))
    return price(one.learner().eval(), episode).bytes, score.mean, score.ci95


# %%
#| label: fig-prompts-prices
#| caption: "What adapting leaves behind, in bytes, against how good it is, for methods that were trained and judged on the same tasks. Bars are 95% intervals over tasks. For waves, low is good. Scores are from the book's records, those of the languages from above."
#| alt: "Four panels with bytes on a logarithmic axis. Characters: prototypes, 640 bytes, are above a head and all weights, 115,000 bytes. Functions: a mean, 512 bytes, is lowest; all attended to and every point leave about 11,000 bytes, and every point is highest. Waves: a head errs most, all weights less, all weights with learned rates least. Languages: a cache of half a megabyte is near 1, all weights of 1.5 megabytes below a half."
panels = {measure: [] for measure, *_ in compared}
for measure, tasks, what, name in compared:
    panels[measure].append((what, *priced(name, tasks)))
panels["languages: exact answers"] = [
    ("a cache", price(model, one).bytes, by_prompt.mean, by_prompt.ci95),
    ("all weights", price(tuned, one).bytes, by_gradient.mean, by_gradient.ci95),
]
plot_prices(panels)
plt.show()

# %% [markdown]
# No method is best, and no number of bytes buys the same everywhere. For characters the
# smallest $\theta'$ wins: if one point stands well for a class, there is nothing more
# to keep. For functions the methods that keep more do better. For waves, weights beat a
# head, and learned rates beat both at no byte more: they are not part of $\theta'$, but
# shared by all tasks. For languages it matters more how the examples are used than how
# much room there is.
#
# These are prices of our small networks, each trained as its record says. That there is a
# price, and that it can be read off $\theta'$, is general.
#
# ## Exercises
#
# :::{exercise} Does it guess?
# :label: ex-prompts-guess
# *Easy, 15 minutes.* At three examples more than half of the queries ask for something
# that the prompt does not hold. Split the answers by that: how often is the network
# right where the prompt determines the answer, and where it does not?
# :::
#
# ::::{solution} ex-prompts-guess
# :label: sol-prompts-guess
# :class: dropdown
# A query is covered if its four items stand in the examples.
#
# :::{embed} #cell-prompts-guess
# :::
#
# It is right nowhere else. With forty stems to choose from, a guess is no help. And where
# an answer is covered it is still wrong in about half of the cases, though the prompt
# nearly always settles it: `LanguageOracle` is right in all of these.
# ::::

# %% tags=["remove-cell"]
#| label: cell-prompts-guess
n = by_profile(profile, smoke=20, book=200, paper=2000)
e = replace(new_languages, shot=3, query=4).sample(n, generator=seeded(seed, "four queries", device=device))
subject, number, verb, object_ = e.support_x.unbind(-1)
nouns = torch.cat([subject, object_], dim=1)
seen = [
    (e.query_x[..., i, None] == items[:, None]).any(-1)
    for i, items in enumerate((nouns, number, verb, nouns))
]
held = torch.stack(seen).all(0)
print(f"covered: {held.float().mean():.1%}, by the formula {covered(3):.1%}")
for name, reader in {"network": model, "reader": LanguageOracle()}.items():
    with torch.no_grad():
        answers = reader.predict(reader.adapt(e.support_x, e.support_y), e.query_x)
    right = (answers == e.query_y).all(-1).float()
    inside, outside = right[held].mean(), right[~held].mean()
    print(f"{name}: right where covered {inside:.1%}, elsewhere {outside:.1%}")

# %% [markdown]
# :::{exercise} Choose the examples
# :label: ex-prompts-choice
# *Medium, 20 minutes.* Whoever writes a prompt may choose what is in it. What is the
# smallest number of sentences that hold all nine items of a language, the numbers
# included? Of many prompts of that size take those that do, and compare network and
# `LanguageOracle` on them. Which of the two has something to gain from choosing?
# :::
#
# ::::{solution} ex-prompts-choice
# :label: sol-prompts-choice
# :class: dropdown
# Three: each of the three verbs once, six places for the four nouns, one sentence in
# another number than the others.
#
# :::{embed} #cell-prompts-choice
# :::
#
# Both gain, the reader everything: three sentences that hold each item nearly always
# determine each answer. The network's score more than doubles, and still it fails at
# about half of what can be known. What it lacks at three examples is not information
# alone.
# ::::

# %% tags=["remove-cell"]
#| label: cell-prompts-choice
drawn = by_profile(profile, smoke=200, book=3000, paper=30_000)
e = replace(new_languages, shot=3).sample(drawn, generator=seeded(seed, "chosen examples", device=device))
items = e.support_x.flatten(1).sort(1).values
whole = (items[:, 1:] != items[:, :-1]).sum(1) == 8  # nine different ones
print(f"{whole.float().mean():.1%} of the prompts of three hold everything")
shares = []
for name, kind in {"these": whole, "others": ~whole}.items():
    i = kind.nonzero()[:200, 0]
    for reader in (model, LanguageOracle()):
        with torch.no_grad():
            adapted = reader.adapt(e.support_x[i], e.support_y[i])
            right = exact_match(reader.predict(adapted, e.query_x[i]), e.query_y[i])
        shares.append(right.mean().item())
        print(f"{name:6} {type(reader).__name__:15} {shares[-1]:.0%}")
assert profile == "smoke" or shares[1] > 0.95 > shares[0] > 1.5 * shares[2]

# %% [markdown]
# :::{exercise} A larger vocabulary
# :label: ex-prompts-vocabulary
# *Medium, 30 minutes.* Let a task have $N$ nouns and $V$ verbs. What does Equation
# [](#eq-prompts-coverage) become? The network was trained with four nouns and three
# verbs. Give it six and four: is it the vocabulary that it lacks, or the examples?
# :::
#
# ::::{solution} ex-prompts-vocabulary
# :label: sol-prompts-vocabulary
# :class: dropdown
# There are $2 V N (N - 1)$ sentences, and $m_A$ counts those of $N - |A \cap \{s, o\}|$
# nouns, $V - |A \cap \{v\}|$ verbs and $2 - |A \cap \{n\}|$ numbers.
#
# :::{embed} #cell-prompts-vocabulary
# :::
#
# Both. More words need more examples, so $c(k)$ is lower throughout. But of what is
# covered the network also takes a smaller part, with eight examples two thirds in place
# of five sixths, and with sixteen nine tenths in place of nearly all. The larger
# vocabulary costs it less than the word orders did.
# ::::

# %% tags=["remove-cell"]
#| label: cell-prompts-vocabulary
larger = replace(new_languages, topic=Topic(nouns=6, verbs=4))
of_larger = by_shots(larger)
for k in (4, 8, shots):
    reached = of_larger[k].percent()
    print(f"{k:2} examples: c = {covered(k, 6, 4):.1%}, network {reached}")

# %% [markdown]
# ## Where to read on
#
# {cite:t}`brown2020language` is where prompts of examples became a way to use a model.
# {cite:t}`lake2023human` train a transformer on invented grammars as we do, and set its
# answers, mistakes included, beside those of people who see the same few examples.
# {cite:t}`tanzer2024benchmark` ask for a real language from its one grammar book, and
# compare with a person who learned from that book too. What in a prompt matters is
# asked by {cite:t}`min2022rethinking`, {cite:t}`lu2022fantastically`,
# {cite:t}`zhao2021calibrate` and {cite:t}`wei2023larger`; that their answers differ
# from each other, and from ours, is the reason to measure on the model at hand, which
# Section [](#sec-prompts-own) does.
#
# Here the book ends. Its formula has not changed since the first chapter: a support, an
# $\operatorname{Adapt}$, a $\theta'$, a query. If you have a task distribution of your own, that is
# what to write next: one file with `sample`, and every learner of this
# book that takes inputs and targets of that kind will run on it.
