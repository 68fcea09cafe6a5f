# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-maml-traps)=
# # MAML's family and its traps
#
# Two tables report a few-shot accuracy for MAML, and the second is ten points higher.
# Is it the better network? It may be the same one, weight for weight. Between the
# weights and the number stand choices that a table seldom prints, and this chapter
# measures what they are worth. Then it turns to the relatives of MAML, which leave out
# parts of the work: what do they lose?
#
# :::{admonition} What you will be able to do
# :class: tip
# - Name the questions without whose answers a few-shot accuracy says nothing.
# - Recognise a learner that has learned its training tasks by heart, and prevent it.
# - Say which terms of the meta-gradient first-order MAML and Reptile keep.
# - Test whether a trained start changes its features for a task or reuses them.
# - Say when an inner loop becomes unstable, what helps, and what each inner step costs.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

import torch
from matplotlib import pyplot as plt

from labkit.figures.maml_traps import plot_growth, plot_protocols, plot_seeds
from labkit.device import choose
from labkit.randomness import seeded
from labkit.evaluation import evaluate
from labkit.learners.maml import MAML
from labkit.networks.conv4 import Conv4
from labkit.networks.with_head import WithHead
from labkit.experiments.profiles import by_profile
from labkit.objective import accuracy, cross_entropy, meta_loss, squared_error
from labkit.tasks import omniglot
from labkit.tasks.characters import FewShot
from labkit.tasks.fixed_labels import FixedLabels
from labkit.tasks.glyphs import draw_alphabets
from labkit.training import cosine, meta_train

style.use()
device = choose(device)

# %% [markdown]
# ## One set of weights, four accuracies
#
# We train the same small network twice, by the same MAML: one inner step, and
# normalisation by the batch at hand, as in the code of {cite:t}`finn2017maml`. The
# first training is the proper one. Each task takes five of 1,200 invented characters
# and numbers them anew. Call what comes out the *reader*, since it has to read its
# support.

# %%
n_alphabets = by_profile(profile, smoke=2, book=60, paper=100)
glyphs = draw_alphabets(n_alphabets, 20, 10, generator=seeded(seed, "glyphs to train on", device=device))


def trained(tasks, steps, tasks_per_step):
    network = WithHead(Conv4(width=16, track_running_stats=False, seed=seed), 5)
    how = {"inner_steps": 1, "inner_rate": 0.4, "normalisation": "transductive"}
    learner = MAML(network, loss=cross_entropy, **how).to(device)
    rest = {"tasks_per_step": tasks_per_step, "learning_rate": 5e-3, "seed": seed}
    history = meta_train(learner, tasks, steps=steps, **rest)
    print(f"loss at the end: {sum(history.losses[-20:]) / 20:.1f} nats")
    return learner


steps = by_profile(profile, smoke=20, book=200, paper=3000)
reader = trained(FewShot(glyphs, way=5, shot=1, query=2), steps, tasks_per_step=8)

# %% [markdown]
# The second training has a bug that is easily written. There are 25 other characters in
# five groups of five, a task takes one of each group, and the number of the group is
# the label. So a character has *the same label in every task*. Call the result the
# *memoriser*. Twenty drawings of each character are trained on, and six others kept for
# the test.

# %%
from dataclasses import replace

fresh = draw_alphabets(10, 20, 26, generator=seeded(seed, "fresh glyphs", device=device))
few = fresh.of_origins(fresh.origins[:25])
groups = few.split(5, 5, 5, 5, 5, generator=seeded(seed, "groups", device=device))
seen = tuple(replace(group, images=group.images[:, :20]) for group in groups)
groups = tuple(replace(group, images=group.images[:, 20:]) for group in groups)
memoriser = trained(FixedLabels(seen, query=2), steps, tasks_per_step=4)

# %% [markdown]
# Nothing looks wrong: the loss falls, and lower than the reader's. Now both answer
# questions about the other drawings of these 25 characters, in four ways. The labels
# are the groups, or they are permuted in every task. The query is normalised by the
# support, so that each drawing is judged as if it came alone (*inductive*), or by the
# query itself, so that the queries see each other (*transductive*).

# %%
n_tasks = by_profile(profile, smoke=4, book=150, paper=1000)
modes = "inductive", "transductive"


def judged(learner, tasks, inner_steps=1, asked=lambda learner: learner):
    """Inductive and transductive accuracy of the same weights on the same tasks."""
    learner.inner_steps, found = inner_steps, []
    for learner.normalisation in modes:
        found.append(evaluate(asked(learner), tasks, n_tasks=n_tasks, seed=seed))
    learner.inner_steps = 1
    return found


# %%
#| label: fig-traps-protocols
#| caption: "Two sets of weights, each judged in four ways on the same 5-way 1-shot tasks, with five queries a class. The reader was trained with permuted labels on other characters, the memoriser on these 25 characters with a fixed label each. Bars are 95% intervals over 150 tasks; dashed, guessing."
#| alt: "Two panels of accuracies in per cent. The reader has nearly the same accuracy with the labels of the groups and with permuted labels. The memoriser has 90 and 92 with the labels it was trained on, above the reader's 82 to 84, and 57 and 58 with permuted labels. Inductive and transductive dots lie close together everywhere."
protocols = {
    "as numbered\nin training": FixedLabels(groups),
    "numbered anew\nin each task": FixedLabels(groups, permuted=True),
}
learners = {"the reader": reader, "the memoriser": memoriser}
four_ways = {
    name: {protocol: judged(learner, tasks) for protocol, tasks in protocols.items()}
    for name, learner in learners.items()
}
plot_protocols(four_ways, chance=1 / 5)

# %%
gaps = [a[0].mean - b[0].mean for a, b in map(dict.values, four_ways.values())]
assert profile == "smoke" or gaps[1] > 0.1 > abs(gaps[0])

# %% [markdown]
# Look at the right panel alone. One set of weights, the same drawings: 92% or 57%, as
# you like. The 92% was found on drawings that the network had never seen, so a careful
# person might have printed it. Now compare across the panels. With the numbering of its
# training the memoriser is some eight points ahead of the reader. With new numbers it is
# 25 points behind. The reader does not care how its classes are numbered; and these 25
# characters are all new to it.
#
# The two modes of normalisation differ by one to two points everywhere, for nothing but
# whether the queries see each other. That is small here, and it is as large as many an
# improvement that was published. It will not stay small.
#
# So before you compare two accuracies, ask three things. *Were labels permuted, in
# training and in the test? Were the test classes new? What could an answer depend on
# besides the support?* Ways, shots and tasks are usually printed; these often are not.
#
# (sec-traps-memory)=
# ## Learned by heart
#
# What did the memoriser learn? Let both answer *without* any inner step.

# %%
for name, learner in learners.items():
    blind, _ = judged(learner, FixedLabels(groups), inner_steps=0)
    print(f"{name}, without support: {blind.percent()}")
assert profile == "smoke" or blind.mean > 0.4

# %% [markdown]
# The reader does no better than guessing: without its support it cannot know how the
# classes are numbered. The memoriser answers nine queries in ten without. A single function, from drawing to label,
# solves all of its training tasks; so the query loss can fall to zero though $\theta'$
# says nothing about the task, and nothing in Equation [](#eq-objective) asks for more.
# {cite:t}`yin2020meta` call this the *memorisation problem*. In its complete form,
# given the query and $\theta$, the prediction is independent of the support. Ours is
# half way there: the inner step still pulls towards the support, so with new numbers
# the memoriser is worse than the reader and better than guessing.
#
# It is not overfitting in the usual sense. With the old numbering the memoriser names
# drawings that it never saw. It is overfitting at the level of tasks, as in
# [](#sec-objective-seen), by another door.
#
# Permuting labels shuts that door: whoever ignores the support is left with guessing,
# so there is no other way down than to read it. For regression, or a robot's goals,
# there may be nothing to permute. Then one can limit what $\theta$ may know about a
# task, by a penalty on the information in the weights {cite:p}`yin2020meta`, or
# randomise the targets {cite:p}`rajendran2020augmentation`.
#
# (sec-traps-transduction)=
# ## What the queries tell each other
#
# In [](#fig-traps-protocols) the transductive dots lie a little above the inductive
# ones. How can the other queries help, without labels? By their mean and variance.
# Batch normalisation subtracts from every channel its mean over the batch. When the
# batch holds each class equally often, that mean lies in the middle between the
# classes, just where a classifier wants its zero. Equally often is a fact about the
# test set. It holds because whoever made the test arranged it.
#
# We take 25 queries of each task, five of each class, and ask exactly these queries in
# batches of different make.

# %%
from functools import partial

from labkit.learners.in_batches import InBatches

by_class = torch.arange(25)
one_of_each = by_class.view(5, 5).T.flatten()
companies = {
    "all 25\nat once": partial(InBatches, order=by_class, size=25),
    "one of\neach class": partial(InBatches, order=one_of_each, size=5),
    "five of\none class": partial(InBatches, order=by_class, size=5),
    "one\nalone": partial(InBatches, order=by_class, size=1),
}

# %%
unseen = FewShot(fresh, way=5, shot=1, query=5)
sources = {"fresh glyphs": unseen}
if omniglot.available("small2"):
    real = omniglot.load("small2", size=28).to(device)
    real = real.select(["Japanese_(katakana)", "Sanskrit", "Tagalog"])
    sources["real characters"] = FewShot(real, way=5, shot=1, query=5)
else:
    print("No Omniglot here. To get it: python -m labkit data omniglot small2")

# %%
#| label: fig-traps-batches
#| caption: "The reader's weights, the same 25 queries of each task, asked in batches of different make, on 5-way 1-shot tasks between alphabets. Left, fresh glyphs; right, real characters of three held-out alphabets, Katakana, Sanskrit and Tagalog. Bars are 95% intervals over 150 tasks; dashed, guessing."
#| alt: "Two panels of accuracy for four kinds of batch. Inductive dots stand at one height in each panel, at 81 and 68 per cent. Transductive dots lie a little higher for 25 queries at once and for one of each class, and fall to about half for five of one class and for one query alone."
by_batch = {
    name: {make: judged(reader, tasks, asked=how) for make, how in companies.items()}
    for name, tasks in sources.items()
}
plot_protocols(by_batch, chance=1 / 5)

# %%
assert profile == "smoke" or by_batch["fresh glyphs"]["one\nalone"][1].mean < 0.6

# %% [markdown]
# Nothing changed between these dots: not the weights, not the support, not the queries.
# Only the company changed in which each query was asked. The inductive learner gives
# each query the same answer every time. The transductive one gains two or three points
# from a balanced company and loses about half of its accuracy when five drawings of one
# class come together, or one comes alone.
#
# The reason is the centring. Where all drawings of a batch are of one class, what they
# have in common is just what tells their class, and normalisation subtracts it. A
# drawing alone is compared with its own mean over the page. In the balanced batch the
# same subtraction removes what *all classes* share, which is of no use, and the average
# over the queries is steadier than that over five support drawings.
#
# A user who sends one photograph gets the right end of the figure. A paper that
# evaluates balanced batches reports its left end. On miniImageNet,
# {cite:t}`nichol2018reptile` print both for the same algorithm, 5-way 1-shot: Reptile
# 47.1%, with transduction 50.0% (their Table 1). MAML's published accuracies are
# transductive throughout; {cite:t}`bronskill2020tasknorm` compare ways to normalise
# that are not. `MAML` of `labkit` is inductive unless asked otherwise, and every
# `Evaluation` carries its mode. On real characters, in the right panel, all this is the
# same. (The bars say how well 150 tasks measure these weights. Trained again from
# another seed, so small a network may end some points higher or lower.)
#
# (sec-traps-first)=
# ## Which terms first order and Reptile keep
#
# Second derivatives cost time and memory. First-order MAML takes the inner gradients
# for constants ([](#ch-maml)). *Reptile* {cite:p}`nichol2018reptile` does not even ask
# for a query: it adapts to a task by a few steps and moves the start a little towards
# where they led,
#
# ```{math}
# :label: eq-traps-reptile
# \theta \leftarrow \theta + \varepsilon \, \mathbb{E}_{\mathcal{T}}[\theta' - \theta] .
# ```
#
# Why should that find a good start, and not just the mean of all solutions? Take two
# mini-batches of one task, with gradients $g_1, g_2$ and Hessians $H_1, H_2$ at
# $\theta$. A step on the first leads to $\theta_1 = \theta - \alpha g_1$, where by
# Taylor's theorem the gradient of the second is $g_2 - \alpha H_2 g_1 + O(\alpha^2)$.
# First-order MAML takes this for its update. MAML multiplies it by the Jacobian
# $I - \alpha H_1$. Reptile takes both steps, so its $(\theta - \theta_2) / \alpha$ is $g_1$
# plus it. In expectation the two batches can be exchanged; only two different terms
# remain,
#
# ```{math}
# :label: eq-traps-terms
# \mathrm{AvgGrad} = \mathbb{E}[g_1], \qquad
# \mathrm{AvgGradInner} = \mathbb{E}[H_2 g_1] = \tfrac12 \nabla_\theta \, \mathbb{E}[g_1^\top g_2] ,
# ```
#
# and up to $O(\alpha^2)$ ({cite:t}`nichol2018reptile`, section 5.1)
#
# ```{math}
# :label: eq-traps-expected
# \begin{aligned}
# \text{MAML} &= 1 \cdot \mathrm{AvgGrad} - 2 \alpha \cdot \mathrm{AvgGradInner} \\
# \text{first order} &= 1 \cdot \mathrm{AvgGrad} - 1 \alpha \cdot \mathrm{AvgGradInner} \\
# \text{Reptile} &= 2 \cdot \mathrm{AvgGrad} - 1 \alpha \cdot \mathrm{AvgGradInner}
# \end{aligned}
# ```
#
# AvgGrad is the gradient of joint training. Going against it moves the start to where
# all tasks are fitted best on average. The minus before AvgGradInner means going *up*
# the inner product $g_1^\top g_2$: to where a step on one batch of a task also helps on
# another batch of the same task. That is learning to learn, and all three do it; they
# differ in how much weight they give it.
#
# Does the code agree? For waves that are linear in $(\sin x, \cos x, 1)$ the expansion
# of the last two is exact. We compute the left sides with the learners, and fit the two
# coefficients.

# %%
from labkit.episode import Episode
from labkit.learners.meta_gradients import meta_gradient_by_task_axis
from labkit.networks.mlp import MLP
from labkit.tasks.sinusoids import Sinusoids, zero_error

alpha, line = 0.05, MLP(2, (), 1, seed=seed).double().to(device)
w = Sinusoids(5, 5).sample(1000, generator=seeded(seed, "lines", device=device))
x = [torch.cat([a.sin(), a.cos()], 2).double() for a in (w.support_x, w.query_x)]
y = [w.support_y.double(), w.query_y.double()]
both_orders = [Episode(x[i], y[i], x[1 - i], y[1 - i]) for i in (0, 1)]


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


def meta_gradient(learner, *episodes):
    each = [meta_gradient_by_task_axis(learner, e).values() for e in episodes]
    return sum(map(flat, each)) / len(episodes)


def update(inner_steps, first_order=False):
    how = {"inner_steps": inner_steps, "inner_rate": alpha, "first_order": first_order}
    return meta_gradient(MAML(line, loss=squared_error, **how), *both_orders)


# %%
theta = flat(line.parameters()).detach().requires_grad_()
A = [torch.cat([a, torch.ones_like(a[..., :1])], 2) for a in x]
g1, g2 = (0.4 * a.mT @ (a @ theta[:, None] - b) for a, b in zip(A, y, strict=True))
(avg_inner,) = torch.autograd.grad((g1 * g2).sum((1, 2)).mean() / 2, theta)
joint, first, full = update(0), update(1, first_order=True), update(1)
terms = torch.stack([joint, -alpha * avg_inner], 1)
expected = {"MAML": (1, 2), "first order": (1, 1), "Reptile": (2, 1)}
updates = full, first, joint + first
for (name, exact), found in zip(expected.items(), updates, strict=True):
    weights = torch.linalg.lstsq(terms, found[:, None]).solution.flatten()
    print(name, [round(weight, 2) for weight in weights.tolist()])
    assert (weights - torch.tensor(exact).to(weights)).abs().max() < 0.3

# %% [markdown]
# First order has its coefficients exactly, and MAML's second one is a little under 2 by
# what the Taylor series left out. (Reptile's line is the sum of joint training and
# first order, by the argument above, so that it tests nothing more. In that expansion
# the batches are different. Our `reptile_loss` takes each inner step on all examples of
# a task, so that $g_1 = g_2$, and the inner product becomes $\lVert g_1 \rVert^2$: it
# looks for starts where the task's own slope is steep.)
#
# Small $\alpha$ and few steps are what the expansion needs. In the network of
# {cite:t}`finn2017maml` for waves, 40 ReLU units twice, we measure the angle between
# each update and the true meta-gradient, at the same untrained weights.

# %%
from labkit.learners.anil import ANIL
from labkit.learners.reptile import reptile_loss


def wave_learner(kind=MAML, inner_steps=5, first_order=False):
    body = MLP(1, (40,), 40, relu_last=True, seed=seed)
    how = {"inner_steps": inner_steps, "inner_rate": 0.01, "first_order": first_order}
    return kind(WithHead(body, 1, seed=seed), loss=squared_error, **how).to(device)


episode = Sinusoids(5, 10).sample(500, generator=seeded(seed, "waves", device=device))
for count in (1, 5, 10):
    full, short = (wave_learner(MAML, count, first) for first in (False, True))
    true, first = (meta_gradient(one, episode) for one in (full, short))
    reptile_loss(short, episode, squared_error).backward()
    reptile = flat(p.grad for p in short.network.parameters())
    cosines = torch.cosine_similarity(true, torch.stack([first, reptile]), dim=1)
    degrees = cosines.arccos().rad2deg().tolist()
    print("{:2} steps: first order {:.0f}°, Reptile {:.0f}°".format(count, *degrees))

# %% [markdown]
# With one step they point nearly the same way: Reptile is then joint training
# ([](#ex-traps-reptile)), and before anything is learned that is most of the meta-gradient. With
# more steps they part, Reptile most of all. (How far depends on the random weights, and
# on the points: these are five, those of [](#ch-maml) ten.)
#
# What does it cost in the end? Four members of the family learn waves from five points,
# with five inner steps at $\alpha = 0.01$, from the same weights, on the same tasks.

# %%
family = {
    "MAML": (wave_learner(), meta_loss),
    "first order": (wave_learner(first_order=True), meta_loss),
    "Reptile": (wave_learner(first_order=True), reptile_loss),
    "ANIL": (wave_learner(ANIL), meta_loss),
}
steps = by_profile(profile, smoke=2, book=500, paper=20_000)
options = {"steps": steps, "tasks_per_step": 25, "loss": squared_error, "seed": seed}
options |= {"learning_rate": 3e-3, "schedule": cosine(steps), "clip_norm": 10.0}
for learner, objective in family.values():
    meta_train(learner, Sinusoids(5, 10), objective=objective, **options)


# %%
def wave_error(learner):
    tasks, how = Sinusoids(5, 50), {"n_tasks": 500, "tasks_per_batch": 100}
    return evaluate(learner, tasks, score=squared_error, seed=seed + 1, **how)


errors = {name: wave_error(learner) for name, (learner, _) in family.items()}
print(*(f"{name:12} {error}" for name, error in errors.items()), sep="\n")
assert profile == "smoke" or errors["MAML"].mean < errors["first order"].mean


# %% [markdown]
# To answer zero has an error of 4.25, the best single function one of 3.0. Under this
# budget, 500 steps of 25 tasks, MAML ends lowest. First order and ANIL end with a third
# more error, and Reptile with nearly twice as much. Do not read a ranking into it: from
# seed 1 ANIL ends below MAML, and Reptile level with first order.
#
# More training closes most of the gap between MAML and first order. The stored
# `maml-sinusoids` and `fomaml-sinusoids`, trained alike for 20,000 steps, have errors of
# 0.31 and 0.33 after ten inner steps. Reptile stays further behind: `reptile-sinusoids`,
# trained for 10,000 steps, has 0.43.
#
# On characters the price depends on the task. Our `fomaml-glyphs-1shot`, trained as
# `maml-glyphs-1shot` was, has 66% where that has 83%. On Omniglot,
# {cite:t}`nichol2018reptile` (Table 2, 1-shot, with transduction) have MAML at 98.7%
# and first order at 98.3% for five classes, and at 95.8% and 89.4% for twenty.
#
# (sec-traps-anil)=
# ## Are features adapted, or reused?
#
# The last line of the table comes from a learner that can adapt very little. *ANIL*
# {cite:p}`raghu2020rapid`, "almost no inner loop", adapts the last layer alone; the body
# is the same for all tasks, and the loop passes it once. {cite:t}`raghu2020rapid`
# arrived there by a question: does the inner loop of MAML change the *features* of a
# network, or only how they are combined?
#
# The control is to freeze the body of a network that MAML has trained, at test time
# only. `ANIL` around its network does this. The comparison is fair if both take the
# same number of steps, and so we measure each after several. And a frozen body that
# nobody trained shows what a head can do alone.

# %%
def after_steps(kind, network, inner_steps, inner_rate=0.4, loss=cross_entropy):
    how = {"inner_steps": inner_steps, "inner_rate": inner_rate}
    return kind(network, loss=loss, normalisation="inductive", **how).to(device)


untrained = WithHead(Conv4(width=16, track_running_stats=False, seed=seed), 5)
rows = {
    "all weights": (MAML, reader.network),
    "head": (ANIL, reader.network),
    "head on an untrained body": (ANIL, untrained),
}
by_steps, counts = {}, (1, 5, 20)
for name, (kind, network) in rows.items():
    for count in counts:
        learner = after_steps(kind, network, count)
        by_steps[name, count] = evaluate(learner, unseen, n_tasks=n_tasks, seed=seed)
    told = "  ".join(by_steps[name, count].percent() for count in counts)
    print(f"characters, {name:25} {told}")
wave_maml = family["MAML"][0]
for name, kind in (("all weights", MAML), ("head", ANIL)):
    waves = (5, 20, 50)
    each = [after_steps(kind, wave_maml.network, n, 0.01, squared_error) for n in waves]
    print(f"waves, {name:11}", *(f"{wave_error(learner)}  " for learner in each))

# %% [markdown]
# The columns are 1, 5 and 20 inner steps for characters, and 5, 20 and 50 for waves.
#
# On characters, after one step, freezing the body costs more than twenty points. Most of
# that is the length of the step. The step of the head was trained to work together with
# a step of the body, and alone it is too short: after twenty steps the head is at 80%,
# where the whole network is at 87%. That is not the merit of the head. On an untrained
# body the same twenty steps end at 46%. So most of what training gave lies in features
# that were there before the task came, 33 points of 40, and seven in their adaptation.
#
# {cite:t}`raghu2020rapid` (section 3) froze layers of MAML networks trained on
# photographs, lost hardly anything, and named this *feature reuse*. It is a question to
# put to every network anew, and the test needs controls of its own: equal numbers of
# steps, enough of them, and a body that knows nothing.
#
# On waves one network does not settle it. In this one fifty steps of the head do not
# reach what the whole network has after five; in one trained from seed 1 they do
# (`make run CHAPTER=maml_traps SEED=1`). After so short a training it depends on the
# weights whether the body has to adapt. That a body exists for which the head is enough
# is certain, for every wave is a combination of two functions
# ([](#thm-objective-two)). ANIL trains its body for just that; the stored
# `anil-sinusoids`, trained twenty times as long as here and with a larger inner rate,
# comes below an error of 0.5 in five steps of its head.
#
# How much does a representation move? *Centred kernel alignment* (CKA) compares two
# sets of features of the same inputs; it is 1 when they agree up to rotation and scale
# {cite:p}`kornblith2019similarity`. With few inputs, unrelated features do not score 0
# either, and the more dimensions they have the less so. So do not hold the number of the
# features against that of the outputs, which have few.

# %%
from labkit.measures.similarity import linear_cka


@torch.no_grad()
def moved(learner, e):
    """CKA before and after adaptation: of the body's features, and of the outputs."""
    network, path = learner.network, learner.path(e.support_x, e.support_y)
    ends = path[0], path[-1]
    bodies = [network.body(e.query_x, network.of_body(theta)) for theta in ends]
    outputs = [network(e.query_x, theta) for theta in ends]
    return [linear_cka(*pair).mean().item() for pair in (bodies, outputs)]


pairs = ("characters", reader, unseen), ("waves", wave_maml, Sinusoids(5, 50))
for name, learner, tasks in pairs:
    both = moved(learner, tasks.sample(50, generator=seeded(seed, "moved", device=device)))
    print("{}: features {:.2f}, outputs {:.2f}".format(name, *both))

# %% [markdown]
# In both networks the features stay much nearer to what they were than the outputs do.
# But they do move, and on characters the frozen body says that this is worth something.
#
# (sec-traps-unstable)=
# ## Unstable, and what helps
#
# Gradient descent on a bowl of curvature $\lambda$ multiplies the distance from the
# minimum by $1 - \alpha \lambda$ at every step. With $\alpha > 2 / \lambda$ each step
# overshoots by more than the last, and the meta-gradient holds a product of $K$ such
# factors (Equation [](#eq-maml-product)). So the danger grows with the rate, and
# exponentially with the steps.
#
# Here are waves at a rate of 0.05, five times that above, in five steps, with three
# seeds each. Against the trouble stand three cures: clip the meta-gradient; let the
# query loss count after *every* inner step, so that the path has to be good as well as
# its end (the multi-step loss of {cite:t}`antoniou2019train`); learn the rates
# (Meta-SGD, {cite:t}`li2017metasgd`).

# %%
from labkit.learners.maml import multi_step_loss
from labkit.learners.meta_sgd import MetaSGD

cures = {
    "untrained": (MAML, meta_loss, None),
    "MAML": (MAML, meta_loss, None),
    "clipped to norm 1": (MAML, meta_loss, 1.0),
    "multi-step loss": (MAML, multi_step_loss, None),
    "Meta-SGD": (MetaSGD, meta_loss, None),
}
steps = by_profile(profile, smoke=2, book=100, paper=2000)
options |= {"steps": steps, "schedule": cosine(steps)}
by_seed = {name: [] for name in cures}
for name, (kind, objective, clip_norm) in cures.items():
    options |= {"objective": objective, "clip_norm": clip_norm}
    options["steps"] = 0 if name == "untrained" else steps
    for own_seed in range(seed, seed + 3):
        how = {"inner_steps": 5, "inner_rate": 0.05, "loss": squared_error}
        learner = kind(MLP(seed=own_seed).to(device), **how)
        try:
            meta_train(learner, Sinusoids(5, 10), **options | {"seed": own_seed})
            by_seed[name].append(wave_error(learner).mean)
        except ArithmeticError:  # the loss, or the score of a task, was no number
            by_seed[name].append(None)

# %%
#| label: fig-traps-seeds
#| caption: "Error on 500 test waves after 100 steps of training, five inner steps at a rate of 0.05, three seeds of each method. Dashed, the error of answering zero. A cross at the right edge is a seed whose error is above 8 or no number."
#| alt: "Three marks a row. Untrained, all lie above 5. MAML, clipping and the multi-step loss lie between 4.2 and 5.0, on the dashed line at 4.25 or right of it. Of Meta-SGD two marks lie on the line and one left of it, at 3.4."
plot_seeds(by_seed, reference=zero_error(), ceiling=8.0)

# %% [markdown]
# Untrained, five steps at this rate end at an error above 5. A hundred steps of
# training have not brought MAML below the error of no answer at all, on any seed.
# Clipping does not mend that. Adam divides by the recent size of the gradient, so that
# one huge gradient throws nothing far, but makes all steps after it short; that is what
# clipping prevents, and the inner loop stays as steep. The multi-step loss does little
# here. Meta-SGD can remove the cause, by lowering the rates: one of its seeds comes well
# below the line, and the other two reach it. (Three seeds are few, and such trainings
# amplify rounding: on another processor single marks end elsewhere. Rates that may fall
# may also rise, and in one of our runs they did.)
#
# The cheapest cure is not in the figure. Try the rate: half of it, half again, until
# the support loss falls at every inner step. {cite:t}`antoniou2019train` list more,
# among them rates for each step, first order at the beginning of training and second
# order later.
#
# (sec-traps-cost)=
# ## What an inner step costs
#
# Second order adds more than arithmetic. To differentiate through an inner step,
# the backward pass needs what the step computed, and all of it has to wait in memory
# until the end. PyTorch tells us what it keeps, by a hook on each tensor that it saves.

# %%
from torch.utils.flop_counter import FlopCounterMode

from labkit.measures.saved_tensors import saved_bytes


def operations(learner, episode):
    """Of one meta-gradient, in billions."""
    with FlopCounterMode(display=False) as counter:
        meta_gradient(learner, episode)
    return counter.get_total_flops() / 1e9


def kept(learner, episode):
    """MiB that the meta-loss keeps for its backward pass."""
    return saved_bytes(lambda: meta_loss(learner, episode, cross_entropy)) / 2**20


# %%
episode = FewShot(glyphs, 5, 5, 1).sample(8, generator=seeded(seed, "first steps", device=device))
counts, memory, arithmetic = (1, 2, 4, 8), {}, {}
members = {"second order": (MAML, False), "first order": (MAML, True)}
for name, (kind, first) in (members | {"ANIL": (ANIL, False)}).items():
    how = {"inner_rate": 0.1, "first_order": first, "loss": cross_entropy}
    each = [kind(reader.network, inner_steps=count, **how) for count in counts]
    memory[name] = [kept(learner, episode) for learner in each]
    arithmetic[name] = [operations(learner, episode) for learner in each]

# %%
#| label: fig-traps-cost
#| caption: "One meta-gradient of eight 5-way 5-shot tasks, Conv4 of 16 channels, against the number of inner steps: multiplications and additions in convolutions and matrix products, and what is kept for the backward pass."
#| alt: "Two panels against 1 to 8 inner steps. Left, operations: second order rises fastest, first order less than half as fast, ANIL hardly. Right, memory: second order rises in proportion to the steps; first order and ANIL are flat."
_, panels = plt.subplots(1, 2)
plot_growth(panels[0], counts, arithmetic, "operations (billions)")
plot_growth(panels[1], counts, memory, "kept in memory (MiB)")
assert memory["second order"][-1] > 3 * memory["first order"][-1]
assert arithmetic["first order"][-1] < arithmetic["second order"][-1] / 2

# %% [markdown]
# In second order every inner step adds the same amount, of arithmetic and of memory, for
# the backward pass has to go back through all of them. A step of first order takes about
# a third of that arithmetic, and what it computed is thrown away when it is done. ANIL
# passes the body once, and its steps are those of a small linear layer: nearly free,
# second order and all.
#
# Two things bound memory without changing the gradient. One is fewer tasks at a time.
# The meta-gradient is a mean over tasks, so it can be summed in chunks
# ([](#ex-traps-chunks)); `meta_train` does so with `tasks_per_chunk`. The other is to
# keep of each step the weights alone, and to compute its gradient again on the way back
# ([](#ex-maml-hvp)), which costs time.
#
# ## Exercises
#
# :::{exercise} Is it transductive?
# :label: ex-traps-detect
# *Easy, 10 minutes.* You are handed a learner and may only call it. Write a function
# that says whether its answer to one query depends on the others.
# :::
#
# ::::{solution} ex-traps-detect
# :label: sol-traps-detect
# :class: dropdown
# Ask a query alone and in company, and compare.
#
# :::{embed} #cell-traps-detect
# :::
#
# This belongs in every test suite of few-shot code; ours has it.
# ::::

# %% tags=["remove-cell"]
#| label: cell-traps-detect
e = unseen.sample(10, generator=seeded(seed, "ten episodes", device=device))
for reader.normalisation in modes:
    with torch.no_grad():
        theta = reader.adapt(e.support_x, e.support_y)
        alone = reader.predict(theta, e.query_x[:, :1])
        company = reader.predict(theta, e.query_x)[:, :1]
    found = not torch.allclose(alone, company, atol=1e-3)
    print(f"{reader.normalisation}: {found}")
    assert found == (reader.normalisation == "transductive")

# %% [markdown]
# :::{exercise} A support that lies
# :label: ex-traps-lies
# *Medium, 15 minutes.* Give every support drawing the label of the next class, and keep
# the queries as they are. What should the reader answer, what the memoriser? Measure
# it.
# :::
#
# ::::{solution} ex-traps-lies
# :label: sol-traps-lies
# :class: dropdown
# A learner that believes its support is now wrong nearly always, far below guessing.
# One that does not read it would stay right.
#
# :::{embed} #cell-traps-lies
# :::
#
# The memoriser, which does so well without any support, believes the lie all the same.
# So it has not unlearned to adapt: the inner step is large, and what it writes
# overrules what was known by heart. What the fixed labels took from it is the need for
# features that tell *any* characters apart, and that shows when the numbers are new.
# ::::

# %% tags=["remove-cell"]
#| label: cell-traps-lies
e = FixedLabels(groups).sample(n_tasks, generator=seeded(seed, "fixed labels", device=device))
for name, learner in learners.items():
    with torch.no_grad():
        theta = learner.adapt(e.support_x, e.support_y.roll(1, dims=-1))
    right = accuracy(learner.predict(theta, e.query_x), e.query_y)
    print(f"{name}: {right.mean():.0%} right")

# %% [markdown]
# :::{exercise} Reptile with other numbers of steps
# :label: ex-traps-reptile
# *Medium, 20 minutes.* Which coefficients has Reptile with $k$ steps on $k$
# mini-batches in Equation [](#eq-traps-expected)? What is it with $k = 1$? Check that
# case with `reptile_loss`.
# :::
#
# ::::{solution} ex-traps-reptile
# :label: sol-traps-reptile
# :class: dropdown
# The gradient at the $i$-th step is $g_i - \alpha H_i \sum_{j < i} g_j + O(\alpha^2)$.
# The sum over $i$ has $k$ terms $g_i$ and $\frac12 k (k - 1)$ terms $H_i g_j$, so it is
# $k \cdot \mathrm{AvgGrad} - \frac12 k (k - 1) \alpha \cdot \mathrm{AvgGradInner}$:
# the more steps, the more of the second. With $k = 1$ nothing of it is left, and Reptile is joint training on
# the support and the query together:
#
# :::{embed} #cell-traps-reptile
# :::
# ::::

# %% tags=["remove-cell"]
#| label: cell-traps-reptile
one_step = MAML(line, loss=squared_error, inner_steps=1, inner_rate=alpha)
loss = reptile_loss(one_step, both_orders[0], squared_error)
direction = flat(torch.autograd.grad(loss, list(line.parameters()))) / alpha
assert torch.allclose(direction, update(0))
print("Reptile with one step is joint training")

# %% [markdown]
# :::{exercise} A bound on memory
# :label: ex-traps-chunks
# *Medium, 15 minutes.* Differentiate the eight tasks of [](#fig-traps-cost) two at a
# time, and compare gradient and memory with all at once. Why are they allowed to differ
# in the last digits?
# :::
#
# ::::{solution} ex-traps-chunks
# :label: sol-traps-chunks
# :class: dropdown
# The mean over tasks is a mean of means over chunks, and differentiation is linear.
#
# :::{embed} #cell-traps-chunks
# :::
#
# Only one chunk's graph exists at a time. Sums in another order are rounded otherwise.
# This is what `tasks_per_chunk` of `meta_train` does.
# ::::

# %% tags=["remove-cell"]
#| label: cell-traps-chunks
learner = MAML(reader.network, loss=cross_entropy, inner_steps=8, inner_rate=0.1)
whole = meta_gradient(learner, episode)
assert torch.allclose(meta_gradient(learner, *episode.chunks(2)), whole, atol=1e-4)
print(f"{kept(learner, episode):.0f} MiB, {kept(learner, episode[:2]):.0f} MiB")

# %% [markdown]
# ## Where to read on
#
# - {cite:t}`nichol2018reptile`, section 5, for the expansion, and section 6 for what happens when
#   the mini-batches of the inner loop overlap with the one that is tested.
# - {cite:t}`raghu2020rapid` freeze layer by layer, and end with a network that has no inner loop
#   at all.
# - {cite:t}`bronskill2020tasknorm` compare ways to normalise that do and do not look at the query,
#   and propose one that does not.
# - {cite:t}`yin2020meta` and {cite:t}`rajendran2020augmentation` on tasks that can be memorised.
# - {cite:t}`antoniou2019train` for the whole list of what goes wrong in training.
# - {cite:t}`rajeswaran2019meta` solve the inner problem to its end, held near the start by a
#   penalty, and need no path for the meta-gradient, so that memory does not grow with the steps.
