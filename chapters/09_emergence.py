# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-emergence)=
# # Why it emerges
#
# The transformer of the last chapter had no choice. Every task was new, nothing about its
# $w$ could be known beforehand, and so the only way to answer was to learn in context.
# Language is not like that. A word means today what it meant yesterday, and a network may
# as well learn it by heart. Nobody asks a language model to learn from its prompt. Why
# does it?
#
# {cite:t}`chan2022data` looked for the reason in the data, and found that it takes
# certain statistics, which language has. {cite:t}`reddy2024mechanistic` reduced their
# experiment until a network of two layers showed it, and then looked inside: one
# mechanism appears, within a small part of the training. You can watch this happen, in
# half a minute.
#
# :::{admonition} What you will be able to do
# :class: tip
# - Tell in-weights from in-context learning by a test that only one of them passes.
# - Write down the weights of an induction head, and prove that one layer of one head has none.
# - Read from attention weights by which mechanism a network answers.
# - Predict from burstiness, number and frequency of classes which learning wins.
# - Say when in-context learning fades again, and what takes its place.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

import copy
from dataclasses import replace

import torch
from matplotlib import pyplot as plt

from labkit.experiments import records
from labkit.figures.emergence import plot_draws, plot_emergence, plot_grid, plot_reading, plot_sequences
from labkit.device import choose
from labkit.randomness import seeded
from labkit.evaluation import evaluate
from labkit.experiments import find
from labkit.experiments.profiles import by_profile
from labkit.tasks.bursty import Bursty

style.use()
device = choose(device)

# %% [markdown]
# ## Two ways to be right
#
# There are $M$ classes. Class $c$ has a centre $\mu_c \sim \mathcal N(0, I / D)$ in
# $D = 32$ dimensions, and one of 32 labels, the same for ever. An item of it is
#
# ```{math}
# :label: eq-emergence-item
# x = \frac{\mu_c + \sigma \xi}{\sqrt{1 + \sigma^2}} , \qquad \xi \sim \mathcal N(0, I / D) , \qquad \sigma = 0.1 .
# ```
#
# A sequence shows eight items with their labels, two of each of four classes (4-way,
# 2-shot), and then one more item, the query. Its label is wanted. *Burstiness* is the
# fraction of sequences in which the class of the query is one of the four: 0.9 here.
# And classes are not equally frequent. That of rank $r$ is drawn in proportion to
#
# ```{math}
# :label: eq-emergence-zipf
# p_r \propto r^{-\zeta} ,
# ```
#
# which for $\zeta = 1$ is Zipf's law, near what the words of a language follow: few
# frequent ones, and very many rare. (The classes of a sequence are drawn so one after the
# other, passing over those whose label is taken. So the most frequent come up less often
# than $p_r$ says.)

# %%
tasks = Bursty(classes=2048, labels=32, burstiness=0.9, zipf=1.0)
TESTS = ("in weights", "new classes", "swapped labels")
kinds = {"training": tasks} | {test: replace(tasks, test=test) for test in TESTS}
drawn = {
    name: of.sample(1, generator=seeded(seed, "sequences to see", device=device))
    for name, of in kinds.items()
}
print("support", tuple(drawn["training"].support_x.shape), end=", ")
print("query", tuple(drawn["training"].query_x.shape))

# %%
#| label: fig-emergence-sequences
#| caption: "One sequence of each kind. An item, 32 numbers, is shown as a small picture; below it stands its label. On the right the query with the label wanted; items of its class are framed."
#| alt: "Four rows of eight small pictures with numbers, and a ninth at the right. Row one: two pictures look like the query, and have the number wanted. Row two: none looks like it. Row three: other pictures, two like the query. Row four: the pictures of row one with the numbers exchanged."
plot_sequences(drawn)
plt.show()

# %% [markdown]
# In most training sequences there are two ways to be right. One can know the class: that
# is *in-weights learning*, and it is what a classifier does, for which the context is
# noise. Or one can look at which item of the context is like the query, and say its
# label: *in-context learning*, for which it does not matter whether the class was ever
# seen. The loss does not say which. So three tests take one way away, or set the two
# against each other:
#
# - **in weights**: neither the class of the query nor its label is in the context;
# - **new classes**: all centres are drawn for this sequence alone, and nothing in the
#   weights can know them;
# - **swapped labels**: known classes, but each with the label of the next. Weights and
#   context answer differently; the context counts as right.
#
# The four kinds above come from the same random numbers, so that you can see what a test
# changes.

# %% [markdown]
# (sec-emergence-head)=
# ## A head that can be read
#
# A network for such sequences can be very small. Items and labels are tokens
# $x_1, y_1, \dots, x_8, y_8, x$, each turned into a vector with its place added. Two
# layers of attention follow with one head each, and logits are read off the last token:
#
# ```{math}
# :label: eq-emergence-network
# h \leftarrow h + \operatorname{softmax}\Bigl( \frac{h Q (h K)^\top}{\sqrt{\text{width}}} \Bigr) h V \quad \text{(twice)} , \qquad \text{logits} = h A .
# ```
#
# The softmax runs over a token itself and those before it, and each layer has a $Q$, a
# $K$ and a $V$ of its own. There is no other layer, no normalisation and no bias, so
# that everything that one token learns from another went through those attention
# weights {cite:p}`elhage2021mathematical`. $\theta'$ is the cache again, keys and
# values of 16 tokens in two layers.
#
# ```{literalinclude} ../labkit/learners/attention_only.py
# :start-at: def adapt(
# :end-before: def attention(
# :label: lst-emergence-adapt
# :caption: The support is read once; a query asks both layers in turn.
# :filename: labkit/learners/attention_only.py
# ```
#
# How could such a network learn from its context? What the query needs is the label that
# stands *after* the item like itself. But a label's token says nothing about the item
# before it: by looking for something like itself, the query finds items, and not their
# labels. Hence the detour. In the first layer each label looks one place back and takes
# over a copy of the item there. In the second, the query looks for the token that carries
# a copy of something like itself, and takes over its label. These two steps together are
# an *induction head* {cite:p}`elhage2021mathematical,olsson2022induction`. We can write
# it down.
#
# ```{literalinclude} ../labkit/measures/induction.py
# :start-at: places = 2 * shot + 1
# :label: lst-emergence-weights
# :caption: An induction head in ten matrices. A token has room for its item, its label, the item before it, and its place.
# :filename: labkit/measures/induction.py
# ```
#
# Does it work? On classes that it cannot know, there is nothing it could have learned by
# heart; it has not even been trained.

# %%
from labkit.measures.induction import induction_score, induction_weights
from labkit.measures.induction import matches, previous_token_score
from labkit.learners.attention_only import AttentionOnly
from labkit.objective import accuracy

weights = induction_weights(inputs=32, labels=32, shot=8)
by_hand = AttentionOnly(32, 32, shot=8, width=weights["embed_x"].shape[1]).to(device)
by_hand.load_state_dict(weights)
e = kinds["new classes"].sample(2000, generator=seeded(seed, "new sequences", device=device))
with torch.no_grad():
    logits, maps = by_hand.attention(e.support_x, e.support_y, e.query_x)
wrong = int((accuracy(logits, e.query_y) == 0).sum())
score = induction_score(maps, matches(e)).mean().item()
back = previous_token_score(maps).mean().item()
print(f"{wrong} of 2,000 wrong; induction {score:.3f}, previous token {back:.3f}")
assert wrong < 20 and score > 0.99 and back > 0.999

# %% [markdown]
# Without any training it knows how to learn. (It can be wrong only where, by chance, an
# item of another class is more similar to the query than its own, by the dot product with
# which the weights compare.)
#
# The two scores are how we shall recognise such a head in weights that nobody wrote. The
# *previous-token score* is the mean share of a label's attention in the first layer that
# is on the token before it. The *induction score* compares, in the second layer, the
# attention $a_i$ of the query to the $m$ labels that are right with that to the $S - m$
# others:
#
# ```{math}
# :label: eq-emergence-score
# \sum_{i \text{ matches}} a_i \;-\; \frac{m}{S - m} \sum_{i \text{ does not}} a_i .
# ```
#
# It is 1 for a perfect head, and 0 if the attention is spread evenly over the labels or
# is not on labels at all.
#
# ### Why it takes two layers
#
# :::{prf:theorem} One layer of one head cannot
# :label: thm-emergence-layer
# Take one layer of Equation [](#eq-emergence-network), any weights, two items $u, v$ and
# two labels $a, b$. Of the four prompts for the query $u$ that are made of
# $u$ and $v$, in either order, with $a$ and $b$, in either order, it answers at most
# three rightly.
# :::
#
# :::{prf:proof}
# The query's weight on a token is $e^{s_j} / Z$, where $s_j$ depends on that token and
# its place alone, and so does what the token contributes. Call an order of the items
# $o \in \{1, 2\}$ and one of the labels $l \in \{1, 2\}$. The difference of the logits of
# $a$ and $b$ is
#
# $$ \Delta + \frac{P_o + R_l}{p_o + r_l} , $$
#
# with $\Delta$ from the query's own token, $P_o$ and $R_l$ summed over the tokens of
# the items and of the labels, and $p_o + r_l = Z > 0$ (the query is an item too: what
# it hears from itself is counted in $P_o$ and $p_o$). Its sign is that of
# $(\Delta p_o + P_o) + (\Delta r_l + R_l)$, a sum of a number that depends on $o$ and
# one that depends on $l$. All four answers right means: positive for $(1, 1)$ and $(2, 2)$,
# negative for $(1, 2)$ and $(2, 1)$. But the sum over the first two is the sum over the
# last two.
# :::
#
# This is the exclusive or, which no such sum can compute. So with one head in a layer
# both steps are needed. (With several heads the difference of the logits is a sum of
# such quotients, each with its own denominator, and the proof says nothing.) And each
# step is useless alone: the copy that a label carries changes nothing as long as the
# second layer does not look for it, and the second layer finds nothing as long as no
# label carries a copy. Keep that in mind.

# %% [markdown]
# (sec-emergence-live)=
# ## Watch it form
#
# Now the weights start at random and are trained on the query's cross-entropy, as always
# in this book. Every 30 steps we stop and give all three tests, on the same thousand
# sequences each, and measure both scores. (How long to train and how fast was chosen on
# other test sequences than these.)

# %%
from labkit.experiments.emergence import Watch
from labkit.training import meta_train

steps, every, n_tasks = by_profile(
    profile, smoke=(4, 2, 20), book=(1800, 30, 1000), paper=(20_000, 100, 5000)
)
learner = AttentionOnly(32, 32, shot=8, seed=seed).to(device)
watch = Watch.of(tasks, every, n_tasks=n_tasks, generator=seeded(seed, "watched sequences", device=device))
options = {"tasks_per_step": 128, "learning_rate": 2e-3, "seed": seed}
meta_train(learner, tasks, steps=steps, objective=watch, **options)
watch.look(learner)
last = {name: curve[-1] for name, curve in watch.curves.items()}
print(", ".join(f"{name} {value:.2f}" for name, value in last.items()))
assert profile == "smoke" or (last["new classes"] > 0.85 and last["in weights"] > 0.35)

# %%
#| label: fig-emergence-live
#| caption: "One training, watched. Accuracy on the three tests, and the two scores of an induction head, against training steps. The dotted line is 1/4: guessing one of the four labels in the context."
#| alt: "Curves from 0 to 1. In-weights accuracy rises at once to 0.35 and then slowly to 0.6. Accuracy on new classes rises to a quarter within 150 steps and stays there for hundreds; then, within about 500 steps, it rises to 0.9. The induction score, zero before, follows it closely, and the previous-token score rises with them."
_, axes = plt.subplots(figsize=(7.2, 4.2))
plot_emergence(axes, watch.steps, watch.curves)
axes.axhline(1 / tasks.in_context, ls=":", lw=1, color=style.INK)
axes.legend(loc="upper left", fontsize="small")
plt.show()


# %% [markdown]
# The two ways of learning look nothing like each other.
#
# *In weights* the network gets better from the first step on, without a halt, class after
# class: the frequent ones first, so that it soon knows a third of all queries, then the
# rare ones, one by one, for ever.
#
# *In context* there is at first a step up to a quarter. That is not learning from
# examples yet. The network has noticed that the answer is one of the labels in the
# context, and says any of them, which is right one time in four
# ([](#ex-emergence-plateau)). There it stays for hundreds of steps in which nothing seems
# to happen. And then, within some two hundred steps, it goes from a third to over three
# quarters, and the induction score follows.

# %%
def reached(name, low, high):
    """The first steps at which a curve is above each of two heights."""
    above = [[v > height for v in watch.curves[name]] for height in (low, high)]
    return [watch.steps[one.index(True)] if any(one) else steps for one in above]


for name in ("new classes", "swapped labels", "induction score"):
    start, end = reached(name, 0.35, 0.75)
    print(f"{name:16} from 0.35 to 0.75 between steps {start} and {end}")
start, end = reached("new classes", 0.35, 0.75)
assert profile == "smoke" or (start > 300 and end - start < steps / 4)

# %% [markdown]
# What happens in between? Both steps are needed, and each pays only where the other is
# there already. So while both are weak we expect small gradients for both. Then they
# grow together: a little of the one makes a little of the other useful, which makes
# more of the one useful, and growth in proportion to what is there already is slow and
# then sudden. {cite:t}`reddy2024mechanistic` gives a model with a few parameters that
# has the same plateau and the same cliff. {cite:t}`olsson2022induction` report such a
# phase change from language models, small and large, at the time when induction heads
# form in them.
#
# The mechanism can be seen. Here is one sequence of new classes, read at three moments.

# %%
#| label: fig-emergence-reading
#| caption: "Who reads whom in one sequence of new classes. In the first layer, row $i$ shows which tokens token $i$ reads (x an item, numbers labels); below, what the query reads in the second layer, with the right labels framed."
#| alt: "Three columns. At the start both layers read everything evenly. On the plateau the query reads labels, right and wrong ones, and the first layer is a chessboard: items read items, labels read labels. At the end the rows of labels in the first layer have one dark cell, just left of the diagonal, and the query reads the two framed labels alone."
sequence = watch.tests["new classes"][:1]
plateau = len(watch.maps) // 4
moments = {"at the start": 0, f"step {watch.steps[plateau]}": plateau}
moments |= {"at the end": -1}
plot_reading({name: watch.maps[i] for name, i in moments.items()}, sequence)
plt.show()

# %% [markdown]
# At the start everything reads everything. On the plateau, look at the lower strip first:
# the query reads labels, and not only the framed ones. Above there is a chessboard: items
# read items and labels read labels. That tells a query nothing about which goes with
# which. At the end it reads the right labels, and above you see why it can: in the rows
# of labels the token before stands out. It is the head that we wrote down.
#
# But a picture is no proof that the head does the work. So we set some of the attention
# weights of the first layer to zero and compute the second layer's part of the cache
# again. The weights *one back* are eight: from each label to the item before it.

# %%
one_back = torch.zeros(16, 16, device=device)
one_back[1::2, ::2] = torch.eye(8, device=device)
kept = {"all": torch.ones_like(one_back), "one back": one_back}
kept |= {"all but one back": 1 - one_back, "none": torch.zeros_like(one_back)}


@torch.no_grad()
def right_with(weights, e):
    """Accuracy if the first layer hears through these of its weights alone."""
    h = learner.prompt(e.support_x, e.support_y)
    first = learner.first.remember(h)
    _, maps = learner.attention(e.support_x, e.support_y, e.query_x)
    h = h + (maps[:, 0, :-1, :-1] * weights) @ first[1]
    logits = learner.predict((first, learner.second.remember(h)), e.query_x)
    return accuracy(logits, e.query_y).mean().item()


# %%
print(f"{'kept':17}", *watch.tests, sep="   ")
effect = {}
for name, weights in kept.items():
    effect[name] = [right_with(weights, e) for e in watch.tests.values()]
    row = (f"{a:{len(n)}.0%}" for n, a in zip(watch.tests, effect[name], strict=True))
    print(f"{name:17}", *row, sep="   ")
if profile != "smoke":
    for name in ("all but one back", "none"):
        assert effect[name][1] < 0.25 and effect[name][0] > effect["all"][0] - 0.1
    assert effect["one back"][1] > effect["all"][1] - 0.02

# %% [markdown]
# With those eight weights alone it answers new classes as the whole network does.
# Without them it is right less often than by guessing among the labels shown; and what
# it knows by heart it still knows. The two kinds of learning use different parts of the
# same weights.

# %% [markdown]
# (sec-emergence-data)=
# ## What in the data decides
#
# Why does the network not stop at knowing the classes? Because there are too many.
# In-weights learning goes class by class, and its price grows with $M$. An induction head
# costs the same for any $M$. We trained this network for 2,000 steps on four numbers of
# equally frequent classes and three degrees of burstiness, twice each, with other classes
# and other initial weights (`python -m labkit train 'emergence-*-classes-*'`).

# %%
#| label: fig-emergence-grid
#| caption: "Accuracy in percent after 2,000 steps, by burstiness and number of equally frequent classes: mean of two trainings. New classes can only be answered from the context; chance is 3%."
#| alt: "Two tables of three rows and four columns. In weights: dark at 64 and 256 classes, paler to the right, the sooner the higher the burstiness. New classes: dark at 4,096 classes for burstiness 0.5 and 0.9 and at 1,024 for 0.9, pale everywhere else."
from labkit.experiments.emergence import BURSTINESS, CLASS_COUNTS, DRAWS, EXPONENTS
from labkit.experiments.emergence import of_sweep


def recorded(test, *place):
    """The accuracies of both trainings there."""
    names = [of_sweep(*place[:2], draw, *place[2:]) for draw in DRAWS]
    return [records.read(name).result(test).mean for name in names]


panels = {
    test: [
        [sum(recorded(test, k, b)) / len(DRAWS) for k in CLASS_COUNTS]
        for b in BURSTINESS
    ]
    for test in ("in weights", "new classes")
}
columns, rows = (f"{k:,}" for k in CLASS_COUNTS), (f"{b:g}" for b in BURSTINESS)
labels = {"row_name": "burstiness", "column_name": "classes, M"}
plot_grid(panels, list(rows), list(columns), **labels)
plt.show()

# %% [markdown]
# Read the two tables as one. Where there are few classes they are learned by heart, and
# nothing is left for the context to explain. Where there are many, they are not, and the
# head forms. Without burstiness no number of classes helps: the answer is never in the
# context, so that nothing rewards to look there. (It even pays to rule out the labels
# shown. At 4,096 classes the networks have learned that, and are right about new classes
# less often than by chance.) This is what {cite:t}`chan2022data`
# found with characters of Omniglot and a larger transformer, and
# {cite:t}`reddy2024mechanistic` with items like ours.
#
# So far every network has one kind of learning and little or nothing of the other. Language
# models have both. What is missing is that words are not equally frequent.

# %%
#| label: fig-emergence-zipf
#| caption: "1,024 classes, burstiness 0.9, after 2,000 steps: accuracy against the exponent of Equation [](#eq-emergence-zipf). Classes in the in-weights test are as frequent as in training. A mark is one training, lines join means."
#| alt: "In-weights accuracy rises with the exponent from a seventh to nine tenths. Accuracy on new classes is near one up to exponent 0.5 and a fifth at 1.5; at 1 one training has nearly 0.9, the other a quarter. Accuracy on swapped labels starts as high and falls to zero; at 1 it is nearly 0.8 in the one training and near zero in the other."
exponents = (0.0, *EXPONENTS)
_, axes = plt.subplots(figsize=(6.4, 3.4))
by_exponent = {
    name: [recorded(name, 1024, 0.9, zipf) for zipf in exponents] for name in TESTS
}
plot_draws(axes, exponents, by_exponent)
axes.set(xlabel="Zipf exponent ζ", ylabel="accuracy")
axes.legend(fontsize="small")
plt.show()

# %% [markdown]
# At the left end every class is rare, and the network learns in context alone. At the
# right end a few classes make up most queries; it knows them, and has no use for the
# context. Between the two, at $\zeta = 1$, the two trainings differ. One network does both:
# it knows most of the queries by heart, because most are of frequent classes, and answers
# new classes from the context, because the rare ones were too many to learn. In the other
# no head has formed in 2,000 steps: it is right about new classes as often as by guessing
# among the labels shown. {cite:t}`chan2022data` find such a middle as well, and near the
# exponent that words have.
#
# The third curve says what the network believes when the two disagree. In the first of
# these networks the head is there, as the new classes show; but where the weights say
# something else, the context is overruled more often: it is right about 89% of
# the new classes and 79% of the swapped labels. (With 2,048 classes, as in
# [](#fig-emergence-live), the two are nearly equal.)
#
# (sec-emergence-transient)=
# ## Does it stay?
#
# An induction head that has formed, and answers nearly everything: will more training
# keep it? {cite:t}`singh2023transient` trained on, and saw in-context learning fade. We
# did the same with 640 equally frequent classes for 16,000 steps, in five parts, at two
# degrees of burstiness (`python -m labkit train 'emergence-long-*'`).

# %%
#| label: fig-emergence-long
#| caption: "640 equally frequent classes, up to 16,000 steps: accuracy against training steps, at two degrees of burstiness. A mark is one training, lines join means of two."
#| alt: "Two panels. At burstiness 0.75, in-weights accuracy climbs from a quarter to above 0.9, and accuracy on new classes falls over the same steps from 0.9 to above 0.4: the curves cross soon after 4,000 steps. At burstiness 1, accuracy on new classes stays near one and in-weights accuracy at zero."
from labkit.experiments.emergence import LONG_BURSTINESS, PARTS, of_long


def of_part(test, burstiness, part):
    names = [of_long(burstiness, draw, part) for draw in DRAWS]
    return [records.read(name).result(test).mean for name in names]


parts = range(1, len(PARTS) + 1)
ends = [sum(PARTS[:part]) for part in parts]
_, columns = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True)
for axes, b in zip(columns, LONG_BURSTINESS, strict=True):
    long = {test: [of_part(test, b, part) for part in parts] for test in TESTS[:2]}
    plot_draws(axes, ends, long)
    axes.set(xscale="log", title=f"burstiness {b:g}")
    axes.set_xlabel("training steps, in thousands")
    axes.set_xticks(ends, [f"{end // 1000}" for end in ends])
    axes.minorticks_off()
columns[0].set_ylabel("accuracy")
columns[0].legend(fontsize="small")
plt.show()

# %% [markdown]
# On the left it does not stay. The head has formed by the first mark. In one sequence of
# four, though, the context does not hold the answer, and these go on rewarding what is
# learned by heart, class by class. Once a class is known, a sequence of it can be
# answered either way, and the way through the context loses the reason for which it was
# learned. After 16,000 steps the network knows nearly all classes, and is right about new
# ones in little more than two fifths of the cases, where guessing among the labels shown
# gives a quarter. Whoever looks only at the end of such a training will not know that it
# once learned in context.
#
# On the right every context holds the answer. There is no query that only the weights
# could answer, and nothing takes the head apart. So here it is not the length of
# training that undoes it, but what the rest of the data goes on to ask for. It is not
# so everywhere. {cite:t}`singh2023transient` built sequences that both kinds of
# learning answer, as on our right, and in-context learning faded all the same, in
# larger networks trained far longer; a penalty on the weights may keep it, they find.
# {cite:t}`singh2025coopetition` looked at what takes its place: a learning by heart
# that still reads the context, and answers only with labels that stand in it. (Every
# part of our trainings begins with Adam's averages afresh.)
#
# (sec-emergence-breaks)=
# ## What breaks it
#
# **The wrong test.** How would you find out whether a network learns in context? Show it
# sequences with examples, like those it was trained on, and see whether it is right? Here
# is one of the networks of [](#fig-emergence-grid), trained on 64 classes.

# %%
name = of_sweep(64, 0.5, draw=0)
knows = records.load_weights(find(name).learner(), name).to(device)
few_classes = find(name).tasks()


def test(one, tasks):
    options = {"seed": seed + 2, "n_tasks": n_tasks, "tasks_per_batch": 500}
    return evaluate(one, tasks, device=device, **options)


asked = {
    "known classes, in the context": replace(few_classes, burstiness=1.0),
    "known classes, not in the context": replace(few_classes, test="in weights"),
    "known classes, labels swapped": replace(few_classes, test="swapped labels"),
    "new classes": replace(few_classes, test="new classes"),
}
shown = {name: test(knows, of) for name, of in asked.items()}
for name, found in shown.items():
    print(f"{name:34} {found.percent()}")
assert shown["known classes, in the context"].mean > 0.95
assert shown["new classes"].mean < 0.2

# %% [markdown]
# Eight labelled examples, two of them of the right class, and all answers right: a
# perfect few-shot learner, it seems. It never reads an example. Only a test in which the
# weights *cannot* know the answer shows that, and the same goes for every large model
# that is tested on tasks which were in its training data.
#
# **Other contexts.** The head was trained on eight pairs, of four classes with two items
# each. What if the contexts are others?

# %%
new = kinds["new classes"]
changes = {
    "nothing": new,
    "eight classes, one item each": replace(new, copies=1),
    "two classes, four items each": replace(new, copies=4),
    "items spread more, σ = 0.5": replace(new, noise=0.5),
    "items spread much more, σ = 1": replace(new, noise=1.0),
    "four pairs instead of eight": replace(new, shot=4),
}
print(f"{'changed':30}    trained       by hand")
broken = {}
for name, of in changes.items():
    broken[name] = ours, ideal = test(learner, of), test(by_hand, of)
    print(f"{name:30} {ours.percent():>12}  {ideal.percent():>12}")

# %% [markdown]
# Weights written by hand do not mind any of it, short of items that are half noise. The
# trained ones do. More classes, or more spread, than they were trained on cost them
# some of their accuracy: their comparison of items is as good as it had to be. And with
# four pairs they fail, though it is the easier task. The query now stands at a place
# where in training stood an item of the context, and what each place is for was learned
# for that place. *One back* is a rule in our construction, and eight habits in the
# network, one for the place of each label. To check, put the same four pairs where the
# last four stood in training:

# %%
moved = copy.deepcopy(learner)
moved.positions.data = learner.positions.data.roll(-8, 0)
in_last_places = test(moved, changes["four pairs instead of eight"])
print(f"four pairs in the last places: {in_last_places.percent()}")
assert profile == "smoke" or in_last_places.mean > 0.9

# %% [markdown]
# ## Exercises
#
# :::{exercise} What the plateau is
# :label: ex-emergence-plateau
# *Easy, 10 minutes.* A network knows that the answer is one of the $N$ labels in the
# context, and nothing else. What are its best accuracy and its least cross-entropy? What
# plateau do you expect with eight classes of one item each? Check it by a short training.
# :::
#
# ::::{solution} ex-emergence-plateau
# :label: sol-emergence-plateau
# :class: dropdown
# All $N$ labels are equally likely, so the accuracy is $1/N$ whatever it says, and the
# cross-entropy is least for probabilities $1/N$: it is $\ln N$ nats. With eight classes
# the plateau should be at an eighth.
#
# :::{embed} #cell-emergence-plateau
# :::
# ::::

# %% tags=["remove-cell"]
#| label: cell-emergence-plateau
short = by_profile(profile, smoke=2, book=300, paper=300)
eighths = replace(tasks, copies=1)
guessing = AttentionOnly(32, 32, shot=8, seed=seed).to(device)
meta_train(guessing, eighths, steps=short, **options)
found = test(guessing, replace(eighths, test="new classes"))
print(f"eight classes, after {short} steps: {found.percent()} on new classes")
assert profile == "smoke" or abs(found.mean - 1 / 8) < 0.04

# %% [markdown]
# :::{exercise} Which one wins?
# :label: ex-emergence-conflict
# *Medium, 20 minutes.* Where labels are swapped, weights and context contradict each
# other. Does the trained network believe its context for all classes alike? Sort the
# queries by the rank of their class. (The classes of a world are
# `labkit.tasks.bursty.means`.)
# :::
#
# ::::{solution} ex-emergence-conflict
# :label: sol-emergence-conflict
# :class: dropdown
# The class of a query is the one with the nearest centre.
#
# :::{embed} #cell-emergence-conflict
# :::
#
# Not quite alike. Nearly all answers come from the context. But of the 64 most frequent
# classes, which the network has met most often, several times as many answers come from
# the weights as of the rare ones. What one knows best is hardest to set aside
# for the length of a prompt.
# ::::

# %% tags=["remove-cell"]
#| label: cell-emergence-conflict
from labkit.tasks.bursty import means

e = kinds["swapped labels"].sample(5 * n_tasks, generator=seeded(seed, "swapped labels", device=device))
with torch.no_grad():
    answer = learner.predict(learner.adapt(e.support_x, e.support_y), e.query_x)
answer = answer[:, 0].argmax(-1)
centres = means(tasks.classes, tasks.dimension, tasks.world, device)
rank = (e.query_x[:, 0] @ centres.T).argmax(-1)
context, by_heart = e.query_y[:, 0].argmax(-1), rank % tasks.labels
for first, end in ((0, 8), (8, 64), (64, 512), (512, 2048)):
    of = (rank >= first) & (rank < end)
    said = [(answer == which)[of].float().mean() for which in (context, by_heart)]
    print(
        f"ranks {first + 1:4} to {end:4}: context {said[0]:.0%}, weights {said[1]:.0%}"
    )

# %% [markdown]
# :::{exercise} Words that change their meaning
# :label: ex-emergence-dynamic
# *Medium, 15 minutes.* With 64 equally frequent classes no head forms
# ([](#fig-emergence-grid)). Language has another property that we left out: what a word
# refers to changes with the text ("it", "the author", a name). `Bursty(label_noise=0.5)`
# swaps the labels of the context in half of the training sequences. What do you expect,
# in context and in weights? Try it.
# :::
#
# ::::{solution} ex-emergence-dynamic
# :label: sol-emergence-dynamic
# :class: dropdown
# What is known by heart is now wrong half of the time, wherever the context holds the
# answer, and the loss can only fall further by looking.
#
# :::{embed} #cell-emergence-dynamic
# :::
#
# The head forms, with 64 classes, within these 600 steps; and what it cannot answer, a
# class that is not in the context, is still known by heart. {cite:t}`chan2022data` found
# that dynamic meanings favour in-context learning too.
# ::::

# %% tags=["remove-cell"]
#| label: cell-emergence-dynamic
short = by_profile(profile, smoke=2, book=600, paper=600)
fixed = replace(tasks, classes=64, zipf=0.0)
dynamic = replace(fixed, label_noise=0.5)
found = {}
for name, of in {"fixed labels": fixed, "swapped half of the time": dynamic}.items():
    one = AttentionOnly(32, 32, shot=8, seed=seed).to(device)
    meta_train(one, of, steps=short, **options)
    found[name] = [test(one, replace(of, test=kind)) for kind in TESTS[:2]]
    known, fresh = found[name]
    print(f"{name:25} in weights {known.percent()}, new classes {fresh.percent()}")
if profile != "smoke":
    assert found["fixed labels"][1].mean < 0.2
    assert found["swapped half of the time"][1].mean > 0.6

# %% [markdown]
# ## Where to read on
#
# {cite:t}`chan2022data` also find no in-context learning in recurrent networks on the
# same data. {cite:t}`reddy2024mechanistic` takes the sudden rise apart.
# {cite:t}`elhage2021mathematical` read small attention-only networks weight by weight;
# {cite:t}`olsson2022induction` argue that induction heads carry much of the in-context
# learning of large models too, with evidence that is causal for small ones and mostly
# correlation for the large. {cite:t}`singh2025coopetition` find that in-context
# learning and what replaces it share parts, compete, and help each other. In the next
# chapter the items are words, and a prompt is a lesson in a language that nobody
# speaks.
