# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-preface)=
# # Preface
#
# Look at the picture below. Each drawing in the upper row is the first you have ever
# seen of its character: the alphabet was invented a moment ago, by a program. The lower
# row shows the same five characters again, drawn by other hands and in another order.
# Which is which?

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

import torch
from matplotlib import pyplot as plt

from labkit.device import choose
from labkit.randomness import seeded
from labkit.tasks.characters import FewShot
from labkit.tasks.glyphs import draw_alphabets

# %% tags=["hide-input"]
#| label: fig-preface-episode
#| caption: One task. The upper row is the support, one drawing of each of five new characters; the lower row asks.
#| alt: "Two rows of five handwritten characters of an unknown script. Above, the numbers 1 to 5; below, the letters a to e."
style.use()
source = seeded(seed, "drawings", device=choose(device))
characters = draw_alphabets(1, 20, drawings=2, generator=source)
tasks = FewShot(characters, way=5, shot=1, query=1)
episode = tasks.sample(1, generator=source)
order = torch.randperm(5, generator=source, device=source.device)

_, axes = plt.subplots(figsize=(4.6, 2.1))
rows = [episode.support_x[0, :, 0], episode.query_x[0, order, 0]]
style.contact_sheet(axes, torch.stack(rows))
for column in range(5):
    axes.text(column, -0.58, "12345"[column], ha="center")
    axes.text(column, 1.75, "abcde"[column], ha="center")
plt.show()

# %% tags=["hide-output"]
answer = episode.query_y[0, order].argmax(-1) + 1
assert sorted(answer.tolist()) == [1, 2, 3, 4, 5]
for letter, number in zip("abcde", answer.tolist(), strict=True):
    print(f"{letter} is {number}")

# %% [markdown]
# The answer is under the fold. You needed one example of each, because you have learned
# many scripts before, or at least one script and many shapes: how strokes join, what a
# hand varies and what it keeps. You did not learn these five characters. You had
# learned *how to learn characters*, and that is the subject of this book.
#
# ## One formula
#
# Everything here is one formula,
#
# ```{math}
# :label: eq-preface
# \begin{gathered}
# \min_\theta\; \mathbb{E}_{\mathcal{T} \sim p(\mathcal{T})} \bigl[\, \mathcal{L}_{\mathcal{T}}(f_{\theta'}) \,\bigr] \\
# \text{with} \quad \theta' = \operatorname{Adapt}(\theta, \mathcal{D}^{\mathrm{S}}_{\mathcal{T}}) ,
# \end{gathered}
# ```
#
# find $\theta$ such that, on a new task, a learner that has adapted to a few examples
# answers well. It leaves one thing open: what *is* $\theta'$? A mean vector for each
# class, the examples themselves, weights after a few gradient steps, the state of a
# recurrent network, what a prompt leaves behind in a transformer. Every chapter is one
# answer, and the methods are easier to tell apart that way than by their names.
#
# The code is the formula as well. `labkit`, the package behind this book, draws tasks,
# adapts and predicts in the same few calls for every method, so that a comparison
# changes one thing.
#
# :::{table} Notation, and where to find it.
# :label: tab-preface-notation
#
# | Symbol | Meaning | In labkit |
# | --- | --- | --- |
# | $\mathcal{T} \sim p(\mathcal{T})$ | a task, from a distribution over tasks | `tasks.sample(n_tasks, generator=…)` |
# | $\mathcal{D}^{\mathrm{S}}_{\mathcal{T}}$ | support: examples to learn from | `episode.support_x`, `episode.support_y` |
# | $\mathcal{D}^{\mathrm{Q}}_{\mathcal{T}}$ | query: examples to be scored on | `episode.query_x`, `episode.query_y` |
# | $T$ | tasks in a batch: the first axis of every tensor | `episode.n_tasks` |
# | $S$, $Q$ | support and query examples of a task | the second axis |
# | $N$-way | classes of a task | `FewShot(way=…)` |
# | $K$-shot | support examples of a class | `FewShot(shot=…)`, `Sinusoids(shot=…)` |
# | $\theta$ | what is learned across tasks | `learner.parameters()` |
# | $\theta' = \operatorname{Adapt}(\theta, \mathcal{D}^{\mathrm{S}}_{\mathcal{T}})$ | what the learner becomes for a task | `learner.adapt(support_x, support_y)` |
# | $f_{\theta'}(x)$ | the adapted prediction | `learner.predict(adapted, query_x)` |
# | $\mathcal{L}_{\mathcal{T}}$ | loss of a task, on its queries | `squared_error`, `cross_entropy` |
# | $\mathbb{E}_{\mathcal{T}}[\mathcal{L}_{\mathcal{T}}]$ | the objective, on a batch | `meta_loss(learner, episode, loss)` |
# | $\min_\theta$ | meta-training | `meta_train(learner, tasks, …)` |
# | an estimate of $\mathbb{E}_{\mathcal{T}}$ | mean and interval over fresh tasks | `evaluate(learner, tasks, …)` |
# :::
#
# ## Three ways to use it
#
# **Read it.** The pages have everything: text, code, figures, exercises with folded
# solutions. `make book` builds them from the notebooks, and they open from a folder
# without a server.
#
# **Play with it.** `make lab` opens the chapters in JupyterLab. Run a cell, change a
# number, run it again; each chapter takes less than 90 seconds on two processor cores
# and downloads nothing. (Listings of `labkit`'s files, and the references, are on the
# pages alone.)
#
# **Run it.** `make run` executes every chapter headless and prints a table of results.
# All chapters share three parameters. `SEED=1` asks whether a figure was luck,
# `DEVICE=cuda` computes on a GPU, and `PROFILE` sets the size:
#
# | `PROFILE` | for | takes |
# | --- | --- | --- |
# | `smoke` | proving that a chapter runs | seconds |
# | `book` | the figures on these pages | up to 90 seconds a chapter |
# | `paper` | the protocol of the papers | a GPU and patience |
#
# ## Why you may believe the numbers
#
# Meta-learning has a history of numbers that could not be compared. These are the rules
# of this book.
#
# - **No table is typed in.** A number in a table or figure is computed on its page, or
#   comes from a record in `data/results` that names the command, configuration, seed,
#   device and commit that made it. The sentences around it repeat those numbers, for the
#   seed and profile of these pages. A number from a paper names its table.
# - **One seed, named streams.** Everything random grows from the one `seed`, and each
#   thing that is drawn (initial weights, training tasks, test tasks, the drawings above)
#   has a stream of its own, with a name: `seeded(seed, "drawings")`. Streams of different
#   names or seeds are independent, so test tasks never repeat the draws of the training,
#   and another seed changes everything at once.
# - **A mean has an interval.** Scores are means over tasks drawn afresh (600 or more in
#   every record, at least 100 as a rule where a page measures in seconds), with a 95%
#   interval, $1.96\, s/\sqrt{n}$. It says how well these tasks measure this one trained
#   learner, not how another training would have come out.
# - **The protocol is stated.** A learner is *inductive* if it answers every query as if
#   there were no other, and *transductive* if queries share statistics, as batch
#   normalisation lets them. That alone can move accuracy by several percentage points, so
#   every `Evaluation` carries the word.
# - **The code is tested**, against closed forms and naive loops, and every notebook runs
#   in the tests too, at another seed.
# - **The environment is pinned.** `requirements.lock` has the exact version of every
#   package.
#
# ## The map
#
# :::{table} The chapters.
# :label: tab-preface-map
#
# | Chapter | What is $\theta'$? | The picture to remember |
# | --- | --- | --- |
# | [](#ch-objective) | all of them | error against the number of examples, between two references |
# | [](#ch-prototypical) | one mean vector a class | prototypes and their cells, from one shot to five |
# | [](#ch-matching) | the embedded support set | attention from queries to support drawings |
# | [](#ch-maml) | weights after gradient steps | one start, and paths that fan out |
# | [](#ch-maml-traps) | the same, measured four ways | one set of weights, four accuracies |
# | [](#ch-memory) | a state and a memory | what is written, and when it is read |
# | [](#ch-sets) | a summary of the set | a learned band beside the exact one |
# | [](#ch-transformer) | keys and values of a prompt | error on top of least squares |
# | [](#ch-emergence) | the same, as training proceeds | three tests and a head on one axis |
# | [](#ch-prompts) | the same, in words | exact answers against shots, for each language and rule |
# :::
#
# You need Python, the gradient of a loss, and a first course in neural networks. You do
# not need to have seen any of the papers. Start with [](#ch-objective): it takes
# no longer than a cup of coffee, and its two references, the best answer without any
# examples and the exact answer, are how later chapters judge an error.
