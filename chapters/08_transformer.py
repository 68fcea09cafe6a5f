# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-transformer)=
# # A transformer is a meta-learner
#
# Give a language model three lines of English with their translations, then a fourth line
# without, and it goes on with a translation {cite:p}`brown2020language`. Between the
# third line and the fourth no weight of it changed. Something in it learned all the same:
# with more examples its answers get better.
#
# What did it learn, and by what method? In language nobody knows the right answer to
# that. So this chapter asks in a place where we do: {cite:t}`garg2022transformers` gave
# transformers prompts of *numbers*, points of a linear function that is new in every
# prompt. For those tasks the best possible learner is a formula, and we can lay the
# transformer beside it.
#
# :::{admonition} What you will be able to do
# :class: tip
# - Say what $\theta'$ of a transformer is, add an example to it, and count its bytes.
# - Prove what training on prompts tends to, and name the posterior mean for two priors.
# - Derive the error of least squares from fewer examples than unknowns.
# - Write down the weights with which attention takes a step of gradient descent.
# - Tell a network that has memorised its tasks from one that has learned to learn.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

from dataclasses import replace

import torch
from matplotlib import pyplot as plt

from labkit.experiments import records
from labkit.device import choose
from labkit.randomness import seeded
from labkit.evaluation import evaluate
from labkit.experiments import find
from labkit.figures.transformer import plot_diversity, plot_errors, plot_matrix
from labkit.experiments.profiles import by_profile
from labkit.objective import squared_error
from labkit.tasks import linear_regression as lr

style.use()
device = choose(device)

# %% [markdown]
# ## Learning without a change of weights
#
# A task is a vector $w$ of five numbers, drawn from $\mathcal N(0, I)$. Its examples are
# points $x$, drawn the same way, with $y = w^\top x + \varepsilon$ and noise of standard
# deviation $\sigma = 1$. The network comes with the book, trained in about half an hour
# on one core by `python -m labkit train linear-regression linear-regression-longer`. At
# every step it saw tasks that it had never seen before, and would never see again.

# %%
experiment = find("linear-regression-longer")
transformer = records.load_weights(experiment.learner(), "linear-regression-longer")
transformer = transformer.to(device).eval()
weights = sum(p.numel() for p in transformer.parameters())
tasks = experiment.new(shot=10, query=1)
episode = tasks.sample(1, generator=seeded(seed, "one task", device=device))
print(f"{weights:,} weights; support {tuple(episode.support_x.shape)}")

# %% [markdown]
# A task reaches the network as a prompt: $x_1, y_1, x_2, y_2, \dots, x_{10}, y_{10}$, one
# token for each, and then the query $x$. What comes out at the query's place is the
# prediction. (The token of a $y$ carries its $x$ along, so that the network need not find
# out which $x$ belongs to which $y$.)

# %%
with torch.no_grad():
    adapted = transformer.adapt(episode.support_x, episode.support_y)
    prediction = transformer.predict(adapted, episode.query_x)
size = adapted.numel() * adapted.element_size()
print("θ′:", tuple(adapted.shape), f"{size:,} bytes")
print(f"predicted {prediction.item():.2f}, target {episode.query_y.item():.2f}")

# %% [markdown]
# One prediction proves little. Here is the error over many tasks, for every number of
# examples in the prompt, beside four methods that a statistician might try.

# %%
from labkit.learners.oracles.linear import LeastSquares, NearestNeighbours
from labkit.learners.oracles.linear import OneGradientStep, Ridge

n_tasks, query = by_profile(profile, smoke=(20, 4), book=(2000, 16), paper=(20_000, 32))


def error(learner, tasks):
    """The mean squared error on tasks that are the same for every learner."""
    options = {"n_tasks": n_tasks, "tasks_per_batch": 500, "seed": seed}
    learner = learner.to(device)
    return evaluate(learner, tasks, score=squared_error, device=device, **options)


def errors(learner, tasks, shots):
    """The same for each number of examples in the prompt."""
    return [error(learner, replace(tasks, shot=k, query=query)) for k in shots]


contestants = {
    "least squares": LeastSquares(),
    "3 nearest neighbours": NearestNeighbours(3),
    "averaging": OneGradientStep(rate=1.0),
    "ridge (Bayes)": Ridge(experiment.noise),
    "transformer": transformer,
}

# %%
#| label: fig-transformer-errors
#| caption: "Mean squared error of a query's noisy target in five dimensions, noise 1, on fresh tasks, the same for all five. Nothing can be below 1, the variance of the noise. Bars are 95% intervals. The expected error of least squares is infinite from four to six examples, where its line has a gap."
#| alt: "Error against 0 to 12 examples, on a log scale. The dots of the transformer lie on the falling line of ridge regression. Least squares falls a little, rises again until its line breaks off after three examples, and comes down towards ridge from seven on; averaging and the nearest neighbours first rise, then fall slowly and stay far above."
shots = range(experiment.shot + 1)
curves = {name: errors(one, tasks, shots) for name, one in contestants.items()}
d = experiment.dimension
for k in (d - 1, d, d + 1):  # its expected error is infinite: nothing to measure
    curves["least squares"][k] = replace(curves["least squares"][k], mean=torch.nan)
_, axes = plt.subplots(figsize=(7.2, 4))
plot_errors(axes, shots, curves)
axes.set_ylim(1, 40)
axes.legend()
plt.show()

# %% [markdown]
# **The transformer follows ridge regression**, from no example to twelve. It was never
# told the formula, it was shown no weight vector, and there is no matrix inversion in its
# forward pass.
#
# It does not look up a similar *point*: the nearest neighbours do that, and stay far
# above. Nor can it look up a similar *task*, unless it stored very many: each it was
# trained on was new, as those of the test are. ([](#sec-transformer-diversity) shows
# what that would look like.) What is stored is a way to solve them. Where least
# squares, which knows no prior, follows the noise beyond all bounds, the transformer
# goes the way of ridge: it has learned what $w$ to expect as well.
#
# How near is near? The yardstick is the least possible error, on the same tasks.

# %%
ratios = [
    t.mean / r.mean
    for t, r in zip(curves["transformer"], curves["ridge (Bayes)"], strict=True)
]
for k in (0, 5, 10, 12):
    above = (ratios[k] - 1) * curves["ridge (Bayes)"][k].mean
    print(f"{k:2} examples: {ratios[k]:.3f} times the least error, {above:.3f} above it")
assert profile == "smoke" or ratios[10] < 1.1

# %% [markdown]
# At ten examples it errs 6% more than the best possible learner, which has the formula.
# The gap is nothing without an example, 0.07 at five, and about 0.1 at ten and twelve.
# Longer training has brought the network closer: the records of its two trainings have
# errors of 1.94 and 1.90 at ten examples. The next section says what it comes closer to.
#
# ## Why it must be so
#
# Training minimises the mean squared error over tasks, over prompts, and over every
# length $k$ of a prompt at once, up to $n - 1 = 12$ examples:
#
# ```{math}
# :label: eq-transformer-loss
# \min_\theta \; \mathbb{E}_{w, x, \varepsilon} \; \frac{1}{n} \sum_{k=0}^{n-1} \bigl( f_\theta(x_1, y_1, \dots, x_k, y_k, x_{k+1}) - y_{k+1} \bigr)^2 .
# ```
#
# Among *all* functions of a prompt, the one with the least mean squared error is the
# conditional mean $\mathbb{E}[y_{k+1} \mid x_1, y_1, \dots, x_{k+1}]$. And since
# $y_{k+1} = w^\top x_{k+1} + \varepsilon$ with noise independent of the rest, that is
# $\hat w^\top x_{k+1}$ with the *posterior mean*
# $\hat w = \mathbb{E}[w \mid x_1, y_1, \dots, x_k, y_k]$. For a Gaussian prior and Gaussian
# noise, the posterior density of $w$ is
#
# ```{math}
# :label: eq-transformer-posterior
# p(w \mid X, y) \;\propto\; \exp\Bigl( -\frac{\lVert y - X w \rVert^2}{2\sigma^2} - \frac{\lVert w \rVert^2}{2} \Bigr),
# ```
#
# where the rows of $X$ are $x_1, \dots, x_k$ and $y$ holds their targets: a Gaussian
# again, so that its mean is its maximum. Setting the gradient of the exponent to zero
# gives ridge regression with the penalty $\sigma^2$:
#
# ```{math}
# :label: eq-transformer-ridge
# \hat w = (X^\top X + \sigma^2 I)^{-1} X^\top y .
# ```
#
# So there is no freedom in *what minimises* Equation [](#eq-transformer-loss): it is
# Bayes' rule for whatever prior the training tasks were drawn from. Whether training
# gets there is another question ([](#sec-transformer-diversity)).
# {cite:t}`muller2022transformers` build on exactly this, and train transformers to do
# Bayesian inference where no formula exists.
#
# ### The dashed line
#
# Least squares shows what the prior is worth. With $k < d$ examples and no noise, it
# takes the smallest $w$ that fits: the projection $\Pi w$ of the true one on the span of
# $k$ random directions. What is missing is $(I - \Pi) w$. A random projection on $k$ of
# $d$ dimensions keeps, by symmetry, the fraction $k / d$ of a squared length in the mean. For
# $x \sim \mathcal N(0, I)$ the error of a query is $\lVert w - \hat w \rVert^2$ in the
# mean, so relative to predicting zero
#
# ```{math}
# :label: eq-transformer-least-squares
# \frac{\mathbb{E}\bigl[(\hat w^\top x - w^\top x)^2\bigr]}{\mathbb{E}\bigl[(w^\top x)^2\bigr]} = \frac{\mathbb{E} \lVert (I - \Pi) w \rVert^2}{\mathbb{E} \lVert w \rVert^2} = 1 - \frac{k}{d} \qquad (k < d),
# ```
#
# a straight line, and zero from $k = d$ on. Noise in the targets adds
# $\sigma^2 k / (d - k - 1)$ to the error of $k < d - 1$ examples, and
# $\sigma^2 d / (k - d - 1)$ to that of $k > d + 1$ ([](#ex-transformer-peak)). From $d - 1$
# to $d + 1$ examples the error is infinite: there the fit follows the noise in the
# direction that the examples hardly show. That is the gap in [](#fig-transformer-errors).

# %%
#| label: fig-transformer-line
#| caption: "Without noise, error divided by that of predicting 0: least squares as measured, with 95% intervals, and Equation [](#eq-transformer-least-squares) as a line."
#| alt: Six points on a straight line that falls from 1 at no example to 0 at five examples.
noise_free = replace(tasks, noise=0.0)
measured = errors(LeastSquares(), noise_free, range(d + 1))
_, axes = plt.subplots(figsize=(6, 3))
relative = [replace(e, mean=e.mean / d, ci95=e.ci95 / d) for e in measured]
style.curve(axes, range(d + 1), relative, marker="o", ls="", label="measured")
line = [lr.least_squares_error(k, d) / d for k in range(d + 1)]
axes.plot(range(d + 1), line, color=style.INK, zorder=0, label="1 − k/d")
axes.set(xlabel="examples in the prompt, k", ylabel="relative squared error")
axes.legend()
for e, expected in zip(relative, line, strict=True):
    assert profile == "smoke" or abs(e.mean - expected) < 2 * e.ci95 + 1e-3

# %% [markdown]
# ## What Adapt computes
#
# In a causal transformer a token reads from itself and from the tokens before it. Each
# layer makes of it a *key*, by which it is found, and a *value*, which is what is found.
# Neither depends on anything later. So when the support has been read, its keys and
# values in all layers are all that a query can ever ask of it: $\theta'$ is the
# *key/value cache*.
#
# ```{literalinclude} ../labkit/learners/in_context.py
# :start-at: def adapt(
# :end-before: def prompt
# :label: lst-transformer
# :caption: The two calls, and a third that asks at every length of the prompt in one pass.
# :filename: labkit/learners/in_context.py
# ```
#
# `read` continues a sequence from a cache and returns the longer cache; `peek` asks for
# tokens that each come next, none of them seeing another. Two claims follow, and both can
# be checked in double precision: a prediction from the cache is that of a pass over the
# whole prompt, and adding an example to the cache is reading all again.

# %%
import copy

exact = copy.deepcopy(transformer).cpu().double()  # not every device has double
x, y = episode.support_x.cpu().double(), episode.support_y.cpu().double()
with torch.no_grad():
    cache = exact.adapt(x[:, :9], y[:, :9])
    longer = exact.adapt(x[:, 9:], y[:, 9:], cache)
    at_once = exact.adapt(x, y)
    from_cache = exact.predict(cache, x[:, 9:])
    in_one_pass = exact.stream(x, y)[:, 9:]
assert torch.allclose(longer, at_once, atol=1e-10)
assert torch.allclose(from_cache, in_one_pass, atol=1e-10)
print(f"{cache.shape[-2]} tokens, then {longer.shape[-2]}: equal to 1e-10")

# %% [markdown]
# Compare this $\theta'$ with those of earlier chapters. A prototypical network keeps one
# point a class, however many examples it saw. MAML keeps a set of weights. Here $\theta'$
# grows by two tokens with every example: after ten it holds 7,680 numbers, where the
# formula needs the five of $\hat w$. That is the price of a method that was not told what
# to keep.

# %% [markdown]
# (sec-transformer-gd)=
# ## One layer can take a gradient step
#
# How can attention learn? {cite:t}`vonoswald2023transformers` write down weights for
# which it does, without training. They leave out the softmax. A token is
# $e_i = (x_i, y_i)$, the query's is $e = (x, 0)$, and a layer of *linear* self-attention
# adds to the query
#
# ```{math}
# :label: eq-transformer-linear
# e \;\leftarrow\; e + P \sum_{i=1}^N W_V e_i \, (W_K e_i)^\top W_Q e .
# ```
#
# Now compare one step of gradient descent. The loss
# $\frac{1}{2N} \sum_i (w^\top x_i - y_i)^2$ has at $w = 0$ the gradient
# $-\frac1N \sum_i y_i x_i$, so a step of size $\eta$ leads to
# $w_1 = \frac{\eta}{N} \sum_i y_i x_i$, and the prediction is
#
# ```{math}
# :label: eq-transformer-step
# w_1^\top x = \frac{\eta}{N} \sum_{i=1}^N y_i \, (x_i^\top x) .
# ```
#
# The two have the same form. Let keys and queries keep the $x$ of a token and drop its
# $y$; let values keep $y$ and drop $x$; let $P$ be $\eta / N$. Then the $y$-entry that
# Equation [](#eq-transformer-linear) writes *is* Equation [](#eq-transformer-step).
#
# ```{literalinclude} ../labkit/learners/linear_attention.py
# :start-at: keep_x =
# :label: lst-transformer-construction
# :caption: The construction, in full.
# :filename: labkit/learners/linear_attention.py
# ```
#
# The setting of that paper: ten dimensions, ten examples, $x$ uniform in $(-1, 1)$, no
# noise. The error of a step of size $\eta$ is
# $E(\eta) = \frac13 \mathbb{E} \lVert (I - \eta X^\top X / N) w \rVert^2$. It can be worked out
# from the mean square $m_2 = \frac13$ and the mean fourth power $m_4 = \frac15$ of an input:
#
# ```{math}
# :label: eq-transformer-step-error
# E(\eta) = m_2 \Bigl( d - 2 \eta \, d \, m_2 + \eta^2 \, \frac{d}{N} \bigl( m_4 + (d + N - 2) \, m_2^2 \bigr) \Bigr) .
# ```
#
# It is least at $\eta^* = 50 / 33 \approx 1.515$, and then $1.650$, half of the
# $\frac{10}{3}$ of predicting zero.

# %%
from labkit.learners.linear_attention import LinearAttention, gradient_descent_weights

ten = lr.LinearRegression(lr.Gaussian(10), shot=10, query=query, inputs="uniform")
rate = lr.best_rate(10, 10, "uniform")
layer = LinearAttention(10).double()
layer.load_state_dict(gradient_descent_weights(10, rate=rate, examples=10))
batch = ten.sample(1000, generator=seeded(seed, "linear steps"))
x, y, asked = (t.double() for t in (batch.support_x, batch.support_y, batch.query_x))
w = torch.zeros(1000, 10, 1, dtype=torch.float64, requires_grad=True)
loss = (x @ w - y).square().sum(1) / 20
(slope,) = torch.autograd.grad(loss.sum(), w)
stepped = asked @ (w - rate * slope)
by_attention = layer.predict(layer.adapt(x, y), asked)
assert (by_attention - stepped).abs().max() < 1e-6
theory = lr.one_step_error(rate, 10, 10, "uniform")
print(f"η* = {rate:.3f}, error {theory:.3f}; predicting 0: {10 / 3:.3f}")

# %% [markdown]
# The predictions of the layer and of the explicit step, by automatic differentiation,
# agree on thousands of queries. So attention *can* do it. Does training find it? We start
# four matrices of $11 \times 11$ at random and train them on fresh tasks for a few
# seconds.

# %%
from labkit.training import cosine, meta_train

steps = by_profile(profile, smoke=3, book=600, paper=5000)
trained = LinearAttention(10, seed=seed).to(device)
options = {"loss": squared_error, "steps": steps, "schedule": cosine(steps)}
options |= {"tasks_per_step": 512, "learning_rate": 1e-2, "clip_norm": 10.0}
meta_train(trained, replace(ten, query=5), seed=seed, **options)

by_training, by_step = error(trained, ten), error(OneGradientStep(rate), ten)
print(f"trained layer {by_training}, one tuned step {by_step}")
if profile != "smoke":
    assert abs(by_training.mean / by_step.mean - 1) < 0.02
    assert abs(by_step.mean - theory) < 2 * by_step.ci95


# %% [markdown]
# It ends at the error of the tuned step. And it ends there *in the same way*. Equation
# [](#eq-transformer-linear) depends on the four matrices only through a vector
# $a$, the last row of $P W_V$, which says what of an example is written into the answer,
# and a matrix $B = W_K^\top W_Q$, which says how a query is compared with it. The
# construction has $a = (0, \dots, 0, \eta / N)$ and $B = I$ on the $x$.

# %%
#| label: fig-transformer-weights
#| caption: "How a query's $x$ (columns) is compared with the entries of an example (rows; the last is its $y$), multiplied by how much of its $y$ is written: constructed and trained. One entry of the diagonal is $\\eta^* / N = 0.15$ in the construction."
#| alt: Two square pictures of matrices with eleven rows and ten columns. On the left only the diagonal is coloured, evenly. On the right the same diagonal, and next to nothing elsewhere.
def comparison(layer):
    written = (layer.project @ layer.value)[-1].detach()
    return written[-1] * (layer.key.mT @ layer.query)[:, :10].detach()


_, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6))
plot_matrix(left, comparison(layer), "constructed")
plot_matrix(right, comparison(trained), "trained")
diagonal = comparison(trained)[:10].diag()
print(f"mean of the diagonal {diagonal.mean():.3f}, constructed {rate / 10:.3f}")
assert profile == "smoke" or abs(diagonal.mean() - rate / 10) < 0.01

# %% [markdown]
# Training has found gradient descent, with the right step size.
# {cite:t}`ahn2023transformers` prove that a step of (preconditioned) gradient descent is
# the optimum of such a layer. Two cautions. A single step is a poor learner here, 1.65
# where least squares would have 0. And that one linear layer takes a gradient step does
# not show what the deep network with a softmax does in [](#fig-transformer-errors); it
# follows ridge, and several algorithms lead there ({cite:t}`akyurek2023what` compare
# candidates).

# %% [markdown]
# (sec-transformer-diversity)=
# ## Memorising, or learning to learn
#
# Bayes' rule holds *for the prior the network was trained on*. Suppose training never
# draws new tasks, but picks from a pool of $M$ vectors $w_1, \dots, w_M$. The posterior
# mean is then an average of these:
#
# ```{math}
# :label: eq-transformer-pool
# \hat w = \sum_{m=1}^M p_m w_m , \qquad p_m \propto \exp\Bigl( -\frac{\lVert y - X w_m \rVert^2}{2 \sigma^2} \Bigr) .
# ```
#
# *This* is looking up a similar task. On tasks of the pool nothing is better. On a new
# task it is poor, for it can answer only with what it has seen. So the two ways of
# solving the training tasks come apart when tested on new ones, and
# {cite:t}`raventos2023pretraining` asked which of them a transformer takes.
#
# We trained small ones in three dimensions, with noise 0.25, on pools of growing size,
# two for each size with another pool and other initial weights (`python -m labkit train
# 'linear-pool-*'`), all for the same number of steps. The marks are their recorded errors
# at 6 examples; the two other lines are computed here.

# %%
from labkit.experiments.linear_regression import DRAWS, POOL_SIZES, of_pool
from labkit.learners.oracles.linear import DiscreteBayes


def by_size(kind, learner_of):
    """The errors of a learner for every size and draw; `kind` of tasks: new or seen."""
    def of(size):
        return [learner_of(find(of_pool(size, draw)), kind) for draw in DRAWS]

    return [of(size) if size or kind == "new" else [] for size in POOL_SIZES]


def recorded(one, kind):
    name = of_pool(one.pool, one.draw)
    return records.read(name).result(f"{kind} tasks, 6 examples").mean


def measured_by(make):
    def measure(one, kind):
        on = getattr(one, kind)(6, query)
        return error(make(one), on).mean
    return measure


# %%
#| label: fig-transformer-diversity
#| caption: "Squared error at 6 examples in three dimensions, noise 0.25, against the number of tasks trained on. Left on new tasks, right on those of the pool. A mark is one transformer (or one pool); lines join means of two."
#| alt: "Two panels. Left, on new tasks: the transformers start high with the Bayes estimator of the pool and come down much faster than it as M grows, nearly to the flat line of ridge regression. Right, on seen tasks: the Bayes estimator of the pool is lowest everywhere and rises with M towards ridge regression; the transformers lie on it at M = 4, and rise faster, above ridge regression from 16 on."
def pool_bayes(one):
    if one.pool == 0:  # of infinitely many tasks
        return Ridge(one.noise)
    pool = lr.Pool(one.dimension, one.pool, one.draw)
    return DiscreteBayes(pool.weights(), one.noise)


learners = {
    "transformer": recorded,
    "Bayes on the pool": measured_by(pool_bayes),
    "ridge (Bayes)": measured_by(lambda one: Ridge(one.noise)),
}
panels = {
    f"on {kind} tasks": {name: by_size(kind, of) for name, of in learners.items()}
    for kind in ("new", "seen")
}
plot_diversity(POOL_SIZES, panels)
plt.show()


# %%
def mean(title, name, size):
    errors = panels[title][name][POOL_SIZES.index(size)]
    return sum(errors) / len(errors)


new, seen = panels
for title, sizes in ((new, POOL_SIZES), (seen, POOL_SIZES[:-1])):
    for size in sizes:
        row = "  ".join(f"{name} {mean(title, name, size):.2f}" for name in learners)
        print(f"M = {size or '∞':>3} {title}: {row}")
assert mean(new, "transformer", 4) > 10 * mean(new, "transformer", 64)
if profile != "smoke":
    assert mean(new, "transformer", 64) < mean(new, "Bayes on the pool", 64) / 2
    assert mean(seen, "transformer", 64) > 1.5 * mean(seen, "Bayes on the pool", 64)

# %% [markdown]
# Read the left panel from its left end. Trained on four tasks, the networks answer a new
# task as the Bayes estimator of the pool does: badly, with what they know. They have
# memorised. As the pool grows both get better, but *not together*. With 64 tasks the
# networks err little more on a new task than those that never met a task twice, where the
# Bayes estimator of the pool errs three times as much.
#
# The right panel shows the other side of it. On four tasks the networks look up. On 64
# tasks looking up would err little more than half as much as ridge regression, and they
# do not do it: they answer a task that they have met thousands of times no better than
# the networks without a pool answer a new one. The better solution of their training
# tasks would need a store of 64 vectors. The networks have found one that needs no store
# and works for every task.
# {cite:t}`raventos2023pretraining`, with larger networks and 500,000 steps, find that
# from a certain number of tasks on a transformer comes to agree with ridge regression,
# although the Bayes estimator of the pool would have the smaller training loss. They
# call this non-Bayesian in-context learning. It is Bayes' rule, for a prior broader than
# the one in the data.
#
# A caution. These networks are small and were trained for 12,000 steps; even those
# without a pool err almost a third more than ridge regression. Where the crossing lies
# depends on that.

# %% [markdown]
# (sec-transformer-shift)=
# ## What breaks it
#
# Ridge regression is a formula, and holds for every input. The transformer agrees with it
# on the prompts it was trained on. What about others? We change the test tasks, leave the
# network as it is, and put three errors side by side at ten examples: of the transformer,
# of the ridge regression it was trained to be, and of ridge regression with the noise of
# the changed tasks.

# %%
ten_shot = replace(tasks, shot=10, query=query)
changes = {
    "nothing": ten_shot,
    "sparse w, 1 of 5": replace(ten_shot, prior=lr.Sparse(d, nonzero=1)),
    "noise 0.01": replace(ten_shot, noise=0.01),
    "noise 3": replace(ten_shot, noise=3.0),
    "inputs halved": replace(ten_shot, input_scale=0.5),
    "inputs doubled": replace(ten_shot, input_scale=2.0),
    "inputs tripled": replace(ten_shot, input_scale=3.0),
}
print(f"{'changed':18} transformer   ridge  ridge, new noise")
broken = {}
for name, changed in changes.items():
    three = (transformer, Ridge(experiment.noise), Ridge(changed.noise))
    broken[name] = ours, ridge, adjusted = [error(one, changed).mean for one in three]
    print(f"{name:18} {ours:11.3f} {ridge:7.3f} {adjusted:17.3f}")

# %% [markdown]
# Read the first column against the second. Sparse weights leave ridge where it was: its
# error depends on the prior only through the mean of $w w^\top$, which is the same here.
# The transformer is about as far above it as before. The posterior mean under the sparse
# prior is no ridge regression and errs less than any; neither the network nor ridge
# computes it, since no task of the training was sparse.
#
# With other noise both go on, roughly, with the noise of their training, and pay for it:
# the transformer errs two thirds more than that ridge where there is next to none, and
# slightly less where there is much. With the noise of these tasks, ridge errs less than
# both.
#
# Smaller inputs do it no harm. Larger ones are where the two part. For ridge, larger
# inputs only mean less relative noise. The transformer has never seen such numbers, its
# layers were fitted where the training data lay, and outside of it the error grows
# without need. *It is not the formula.* It is a fit to the formula, as good as its
# training data are dense, and {cite:t}`garg2022transformers` find the same pattern in
# larger ones.
#
# And there is a limit that no formula has: the prompt ends where the learned places end.

# %%
longer = experiment.new(shot=13)
episode = longer.sample(1, generator=seeded(seed, "longer prompts", device=device))
try:
    adapted = transformer.adapt(episode.support_x, episode.support_y)
    transformer.predict(adapted, episode.query_x)
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## Exercises
#
# :::{exercise} The peak of least squares
# :label: ex-transformer-peak
# *Medium, 20 minutes.* With $k > d + 1$ examples and noise $\sigma$, what does least
# squares err? Use that $\mathbb{E}[(X^\top X)^{-1}] = I / (k - d - 1)$ for standard normal
# inputs. What does it cost, at $k = 2d$, not to know the prior?
# :::
#
# ::::{solution} ex-transformer-peak
# :label: sol-transformer-peak
# :class: dropdown
# $\hat w - w = (X^\top X)^{-1} X^\top \varepsilon$ has, given $X$, the covariance
# $\sigma^2 (X^\top X)^{-1}$. A fresh standard normal $x$ turns it into an error of
# $\sigma^2 \operatorname{tr} \mathbb{E}[(X^\top X)^{-1}] = \sigma^2 d / (k - d - 1)$, to which
# the noise of the target adds $\sigma^2$. As $k$ comes down to $d + 1$ it goes to
# infinity.
#
# :::{embed} #cell-transformer-peak
# :::
#
# At $k = 2d = 10$ the formula gives 2.25, where ridge errs about 1.8: not to know the
# prior costs about a quarter more.
# ::::

# %% tags=["remove-cell"]
#| label: cell-transformer-peak
for k in (8, 10, 12):
    expected = lr.least_squares_error(k, d, experiment.noise)
    found, least = curves["least squares"][k], curves["ridge (Bayes)"][k].mean
    print(f"k = {k:2}: formula {expected:.3f}, measured {found}, ridge {least:.3f}")
    assert profile == "smoke" or abs(found.mean - expected) < 3 * found.ci95

# %% [markdown]
# :::{exercise} Read the weights out of the cache
# :label: ex-transformer-weights
# *Easy, 10 minutes.* The transformer nowhere writes down a $\hat w$. Get it to tell you
# one, by asking the right queries, and compare it with that of ridge regression on the
# same prompts, task by task.
# :::
#
# ::::{solution} ex-transformer-weights
# :label: sol-transformer-weights
# :class: dropdown
# Ask about the unit vectors: $\hat w^\top u_j = \hat w_j$. All five queries read one
# cache. (A zero input should give 0; subtracting it removes an offset.)
#
# :::{embed} #cell-transformer-weights
# :::
#
# Lying on ridge in the mean could be a coincidence of averages. This is not: task by task
# it holds nearly the same five numbers. In nine tasks of ten the squared difference is
# below a twelfth of their square.
# ::::

# %% tags=["remove-cell"]
#| label: cell-transformer-weights
several = experiment.new(shot=10).sample(500, generator=seeded(seed, "several queries", device=device))
support = several.support_x, several.support_y
ask = torch.cat([torch.eye(d), torch.zeros(1, d)]).expand(500, -1, -1).to(device)
with torch.no_grad():
    answers = transformer.predict(transformer.adapt(*support), ask)
told = answers[:, :d] - answers[:, d:]
by_ridge = Ridge(experiment.noise).adapt(*support)
unlike = (told - by_ridge).square().sum((1, 2)) / by_ridge.square().sum((1, 2))
print("squared difference to ridge's weights, as a share of their square:")
print(f"median {unlike.median():.1%}, nine in ten below {unlike.quantile(0.9):.1%}")
assert profile == "smoke" or unlike.quantile(0.9) < 0.2

# %% [markdown]
# :::{exercise} Does the order of examples matter?
# :label: ex-transformer-order
# *Easy, 10 minutes.* Equation [](#eq-transformer-ridge) does not change when examples are
# shuffled. Nothing in a causal transformer guarantees that. How much do its predictions
# scatter over shufflings of one prompt, compared with their distance from the target?
# :::
#
# ::::{solution} ex-transformer-order
# :label: sol-transformer-order
# :class: dropdown
# Adapt to twenty orders of each prompt and take the variance of the predictions:
#
# :::{embed} #cell-transformer-order
# :::
#
# It has learned to ignore the order, nearly. What is left is a part of its distance from
# ridge that can be avoided: the mean of the predictions over many orders is free of it,
# at many times the price.
# ::::

# %% tags=["remove-cell"]
#| label: cell-transformer-order
source = seeded(seed, "shuffled prompts", device=device)
predictions = []
for _ in range(20):
    order = torch.randperm(10, generator=source, device=device)
    with torch.no_grad():
        adapted = transformer.adapt(support[0][:, order], support[1][:, order])
        predictions.append(transformer.predict(adapted, several.query_x))
predictions = torch.stack(predictions)
scatter = predictions.var(0).mean().item()
total = squared_error(predictions[0], several.query_y).mean().item()
least = squared_error(several.query_x @ by_ridge, several.query_y).mean().item()
print(f"variance over orders {scatter:.3f}; error {total:.3f}, of ridge {least:.3f}")
assert profile == "smoke" or scatter < total / 5

# %% [markdown]
# :::{exercise} Better than the gradient
# :label: ex-transformer-preconditioned
# *Hard, 40 minutes.* Let the inputs have unequal sizes: multiply the ten entries of $x$
# by $1$ to $3$. Show that one trained layer of linear attention now beats the best single
# step of gradient descent, and say what it has learned instead.
# :::
#
# ::::{solution} ex-transformer-preconditioned
# :label: sol-transformer-preconditioned
# :class: dropdown
# A plain step must take one $\eta$ for all directions: small enough for the large
# entries, too small for the rest. The layer has a whole matrix $B$. It can use
# $\frac{1}{N} \sum_i y_i \, x_i^\top A x$ with a matrix $A$ of its own, a step of
# *preconditioned* gradient descent {cite:p}`ahn2023transformers`.
#
# :::{embed} #cell-transformer-preconditioned
# :::
#
# Its diagonal falls as the size of the entry grows: it has learned the covariance of the
# inputs, which is the same in all tasks. What tasks share goes into the weights; what
# they do not, into $\theta'$.
# ::::

# %% tags=["remove-cell"]
#| label: cell-transformer-preconditioned
sizes = torch.linspace(1, 3, 10, device=device)


class Stretched:
    """The ten-dimensional tasks in other units: entry j of x times its size."""

    def sample(self, n_tasks, *, generator):
        e = replace(ten, query=5).sample(n_tasks, generator=generator)
        x = torch.cat([e.support_x, e.query_x], 1) * sizes
        w = lr.Gaussian(10).draw(n_tasks, generator=generator).unsqueeze(-1)
        y = x @ w
        return type(e)(x[:, :10], y[:, :10], x[:, 10:], y[:, 10:])


bent = LinearAttention(10, seed=seed).to(device)
meta_train(bent, Stretched(), seed=seed, **options)
steps_tried = [OneGradientStep(h / 100) for h in range(20, 36)]
plain = min(error(step, Stretched()).mean for step in steps_tried)
learned = error(bent, Stretched()).mean
print(f"best plain step {plain:.2f}, trained layer {learned:.2f}")
diagonal = comparison(bent)[:10].diag()
print(f"diagonal: {diagonal[0]:.3f} for the smallest, {diagonal[-1]:.3f} for the largest")
assert profile == "smoke" or (learned < plain and diagonal[0] > diagonal[-1])

# %% [markdown]
# ## Where to read on
#
# {cite:t}`garg2022transformers` also train on sparse functions, trees and small networks,
# and test their transformers under more distribution shifts. {cite:t}`akyurek2023what`
# show which algorithms a few layers can write down, and how one may tell from predictions
# which is in use. {cite:t}`vonoswald2023transformers` stack their layer, where each takes
# another step. Linear attention had been read as fast weights before:
# {cite:t}`schlag2021linear`. {cite:t}`muller2022transformers` turn the argument of
# Equation [](#eq-transformer-loss) into a tool. In the next chapter the examples are
# classes, and the question is not what is learned in context but *when* a network begins
# to.
