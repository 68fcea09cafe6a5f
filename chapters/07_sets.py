# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-sets)=
# # Attention and sets
#
# Ten people measured the temperature of a room, each at a time of their own, and left their
# notes in a heap. You are asked how warm it was at noon. You would look for the notes made
# around noon, lean on those, and if there are none say that you cannot be sure. In which
# order the notes lie does not concern you.
#
# This chapter builds learners that work so. They read a set of examples in one forward pass,
# look up what matters to a question, and say how far they may be off. And since the tasks
# come from a process whose exact answer is known, what they say can be checked.
#
# :::{admonition} What you will be able to do
# :class: tip
# - Read the support as a sequence (SNAIL), as a mean (CNP) and as a memory to look things up
#   in (ANP), and say what $\theta'$ is in each.
# - Prove which of them ignore the order of the examples, and test it.
# - Compute the exact answer to a task from a Gaussian process, with and without knowing its
#   kernel, and say how far a learned predictor is from each of the two.
# - Check a predicted uncertainty by its coverage.
# - Say what one more example costs each of them, in time and in memory.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

from functools import partial

import torch
from matplotlib import pyplot as plt

from labkit.experiments import records
from labkit.figures.sets import LOOKS, influence, plot_bands, plot_calibration, plot_coverage, plot_influence
from labkit.device import choose
from labkit.randomness import seeded
from labkit.experiments import find
from labkit.gaussian import coverage, log_likelihood, moments, negative_log_likelihood
from labkit.learners.anp import ANP
from labkit.learners.cnp import CNP
from labkit.learners.oracles.gaussian_process import GaussianProcess
from labkit.learners.snail import SNAIL
from labkit.experiments.profiles import by_profile
from labkit.tasks.gaussian_processes import GaussianProcesses, Kernel
from labkit.training import cosine, meta_train

style.use()
device = choose(device)
looks, blue = LOOKS, style.COLOURS["blue"]

# %% [markdown]
# ## Functions as tasks
#
# A task is a function on $[-2, 2]$, drawn from a *Gaussian process*
# {cite:p}`rasmussen2006gaussian`: at any points $x_1, \dots, x_n$ its values are jointly
# Gaussian with mean 0, and the covariance of two of them is given by a kernel. Ours is
#
# ```{math}
# :label: eq-sets-rbf
# k(x, x') = s^2 \exp\left(-\frac{(x - x')^2}{2 \ell^2}\right)
# ```
#
# Values close together are nearly equal, and beyond a few *lengthscales* $\ell$ they have
# nothing to do with each other. Every task has its own $\ell$ between 0.1 and 0.6 and its own
# *scale* $s$ between 0.1 and 1, and its values are observed with noise of standard deviation
# 0.02. Support and queries are scattered at random; 3 to 46 support points, at least 3
# queries, at most 49 points together. This is the protocol of {cite:t}`lee2020bootstrapping`
# and {cite:t}`nguyen2022transformer`, as in their code.

# %%
#| label: fig-sets-tasks
#| caption: "Three tasks. The lengthscale says how fast a function may turn, the scale how far it may go."
#| alt: "Three wavy curves over x from -2 to 2 with seven dots on each; the first turns often, the last slowly."
tasks = GaussianProcesses()
line = torch.linspace(-2, 2, 160, device=device)[None, :, None]
_, panels = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for panel, lengthscale in zip(panels, (0.12, 0.3, 0.6), strict=True):
    kernel = Kernel.single("rbf", lengthscale, 0.8, device=device)
    values = tasks.values(kernel, line, generator=seeded(seed, "functions to see", device=device))
    curve = line[0, :, 0].tolist(), values[0, :, 0].tolist()
    panel.plot(*curve, color=blue, lw=1.5)
    panel.scatter(*(side[::24] for side in curve), color=style.INK, s=22, zorder=3)
    panel.set(title=f"lengthscale {lengthscale}", xlabel="x", ylabel="y")

# %% [markdown]
# A learner answers each query with a Gaussian, a mean and a standard deviation, and is trained
# to give the true value a high density. That is the loss: minus the mean over the queries of
# $\log \mathcal{N}(y; \mu, \sigma^2)$, in nats. We write down the score itself, so higher is
# better. Start two trainings; what is trained comes next.

# %%
steps = by_profile(profile, smoke=4, book=1200, paper=40_000)
live = {"CNP": CNP(seed=seed).to(device), "ANP": ANP(seed=seed).to(device)}
for name, learner in live.items():
    options = {"steps": steps, "learning_rate": 1e-3, "schedule": cosine(steps)}
    options |= {"tasks_per_step": 16, "loss": negative_log_likelihood, "seed": seed}
    history = meta_train(learner, tasks, **options)
    last = torch.tensor(history.losses[-100:]).mean().item()
    print(f"{name}: {-last:z.2f} nats at the end")

# %% [markdown]
# ## Three ways to read a support
#
# **As a sequence.** SNAIL {cite:p}`mishra2018snail` strings the examples up, the query last:
# $(x_1, y_1), \dots, (x_n, y_n), (x_*, \cdot)$. Two kinds of layers alternate. A *dilated
# causal convolution* combines a token with the one $1, 2, 4, \dots$ places before it; six such
# layers let information flow from up to 63 places back, blurred. *Causal attention* reaches
# any earlier token, sharp, by its content. Both look only back. So nothing that was read has
# to be read again: $\theta'$ is the *cache*, the inputs that later convolutions will ask for
# and the keys and values of each token.
#
# **As a mean.** A *conditional neural process*, CNP {cite:p}`garnelo2018conditional`, turns
# each example into a vector by itself and averages:
#
# ```{math}
# :label: eq-sets-cnp
# r = \frac{1}{n} \sum_{i=1}^n h_\theta(x_i, y_i), \qquad (\mu_*, \sigma_*) = g_\theta(x_*, r)
# ```
#
# Here $\theta' = r$: 128 numbers, however many examples there were. It is the prototype of
# [](#ch-prototypical) once more, of a single class, with a network in place of the distance.
#
# **As a memory to look things up in.** With the mean, every query gets the same $r$. In an
# *attentive neural process*, ANP {cite:p}`kim2019attentive`, the query asks:
#
# ```{math}
# :label: eq-sets-anp
# r_* = \sum_{i=1}^n a_i(x_*)\, r_i, \qquad a_i(x_*) \propto \exp\left(q_\theta(x_*)^\top q_\theta(x_i)\right)
# ```
#
# with eight such heads side by side. (In the code each head has linear maps of its own for
# query, key and value, and the exponent is divided by $\sqrt{16}$; a residual, one more layer
# and two normalisations follow.) The $r_i$ have first looked at one another, by
# *self-attention*. Here $\theta'$ is all the keys $q_\theta(x_i)$ and values $r_i$, and, to
# read on, what each example said alone. The attention of [](#ch-matching) returned a mean of
# labels; this one returns a mean of vectors that are learned.
#
# ```{literalinclude} ../labkit/learners/cnp.py
# :start-at: def adapt(
# :label: lst-cnp
# :caption: A conditional neural process. Reading on is adding to a sum.
# :filename: labkit/learners/cnp.py
# ```
#
# ```{literalinclude} ../labkit/learners/anp.py
# :start-at: def adapt(
# :label: lst-anp
# :caption: An attentive neural process (the paper's deterministic path). Reading on means looking at all examples again.
# :filename: labkit/learners/anp.py
# ```
#
# ```{literalinclude} ../labkit/learners/snail.py
# :start-at: class Convolution(
# :label: lst-snail
# :caption: The two layers of SNAIL, each with the cache that lets it read on.
# :filename: labkit/learners/snail.py
# ```
#
# `adapt` takes a state and reads on from it. To read examples one by one must give what
# reading all at once gives. We test it in double precision.

# %%
import copy

trio = {"CNP": live["CNP"], "ANP": live["ANP"], "SNAIL": SNAIL(seed=seed)}
trio = {name: copy.deepcopy(one).cpu().double() for name, one in trio.items()}
twenty = GaussianProcesses(support=(20, 20)).sample(1, generator=seeded(seed, "twenty points"))
x, y = twenty.support_x.double(), twenty.support_y.double()
query_x = twenty.query_x.double()


@torch.no_grad()
def answer(learner, x, y):
    """What the learner says at query_x after reading x and y at once."""
    return learner.predict(learner.adapt(x, y), query_x)


for name, learner in trio.items():
    state = None
    for one_x, one_y in zip(x.split(1, dim=1), y.split(1, dim=1), strict=True):
        state = learner.adapt(one_x, one_y, state)
    apart = learner.predict(state, query_x) - answer(learner, x, y)
    assert apart.abs().max() < 1e-12
    print(f"{name:5} one by one or all at once: the same to 12 digits")

# %% [markdown]
# ## Who sees whom
#
# What tells the three apart is which example may influence which. That can be measured: change
# one target and see what moves.

# %%
#| label: fig-sets-masks
#| caption: "A square where the row depends on the example of the column. Rows 1 to 6 are what the learner keeps of each example; the two below the line are predictions."
#| alt: "Three grids of six columns and eight rows. CNP has squares on the diagonal and in both query rows. ANP has squares everywhere. SNAIL has the lower triangle and both query rows."
six = x[:, :6]
kept = {
    "CNP": lambda learner, y: learner.encoder(torch.cat([six, y], -1)),
    "ANP": lambda learner, y: learner.adapt(six, y).values,
    "SNAIL": lambda learner, y: learner.adapt(six, y)[-1][1],
}
seen = {}
_, panels = plt.subplots(1, 3, figsize=(8, 3.4))
for panel, name in zip(panels, trio, strict=True):
    of_examples = influence(partial(kept[name], trio[name]), y[:, :6])
    of_queries = influence(partial(answer, trio[name], six), y[:, :6])
    seen[name] = torch.cat([of_examples, of_queries[:2]])
    plot_influence(panel, seen[name], blue, name)
assert torch.equal(seen["CNP"][:6], torch.eye(6)) and seen["ANP"].all()
assert torch.equal(seen["SNAIL"][:6], torch.ones(6, 6).tril())

# %% [markdown]
# In a CNP examples do not meet before they are averaged. In an ANP all meet all. In SNAIL each
# sees those before it: the first is read by somebody who knows nothing, the last by somebody
# who knows all the others.
#
# A *transformer* is the next step, and a short one. It drops the convolutions and stacks
# attention and a small network many times over, each layer looking again at what the last one
# made of the examples. With the mask in the middle it is the transformer neural process of
# {cite:t}`nguyen2022transformer`, with the one on the right a language model. The next part
# of the book builds it.
#
# (sec-sets-order)=
# ## A set has no order
#
# The examples of a task are a set. For two of the three learners, order provably does not
# matter.
#
# :::{prf:proposition} What a permutation does to attention
# :label: thm-sets-order
# Permute the rows of the support. Self-attention gives the same rows, permuted in the same
# way; the mean, and attention from a query, give what they gave before.
# :::
#
# :::{prf:proof}
# Let $P$ be the permutation matrix. With rows $R$, self-attention is
# $A(R) = \operatorname{softmax}(R M R^\top)\, R V$ with fixed matrices $M$ and $V$ and the softmax
# along rows. As $\operatorname{softmax}(P Z P^\top) = P \operatorname{softmax}(Z) P^\top$ and
# $P^\top P = I$,
#
# $$
# A(PR) = P \operatorname{softmax}(R M R^\top)\, P^\top P R V = P A(R).
# $$
#
# A layer applied to each row by itself commutes with $P$ too. And the mean and $\sum_i a_i r_i$
# are sums over the examples, which have no order.
# :::
#
# {cite:t}`zaheer2017deep` show a converse for sums: every continuous function of a set of $n$
# numbers from an interval, $n$ fixed, is some $g(\sum_i h(z_i))$. The price is width: in
# general the sum needs as many dimensions as the set has members
# {cite:p}`wagstaff2019limitations`. Our largest sets have 46 members of two numbers each, and
# the CNP has 128 dimensions, so by this count it is not too narrow. What it makes of them we
# measure [below](#what-a-mean-forgets).

# %%
order = torch.randperm(20, generator=seeded(seed, "order"))
moved = {
    name: (answer(one, x[:, order], y[:, order]) - answer(one, x, y)).abs().max().item()
    for name, one in trio.items()
}
print("largest move:", ", ".join(f"{name} {move:.3f}" for name, move in moved.items()))
assert max(moved["CNP"], moved["ANP"]) < 1e-12 < 1e-4 < moved["SNAIL"]


# %% [markdown]
# (This SNAIL is untrained; [](#ex-sets-orders) takes a trained one.)
# What the first two have by construction, SNAIL must learn: 20 examples have
# $20! \approx 2 \cdot 10^{18}$ orders, all of them the same task. Where order carries meaning, as in a
# sentence or in the stream of [](#ch-memory), it is the other way round.
#
# ## The exact answer
#
# For a Gaussian process, adapting is linear algebra ({cite:t}`rasmussen2006gaussian`,
# equations 2.25 and 2.26). Let $K$ be the covariance of the support, noise included, and $k_*$
# its covariance with the query. Then
#
# ```{math}
# :label: eq-sets-posterior
# \mu_* = k_*^\top K^{-1} y, \qquad \sigma_*^2 = k(x_*, x_*) - k_*^\top K^{-1} k_* + 0.02^2
# ```
#
# This is a learner like the others. Its $\theta'$ is the support and the Cholesky factor of
# $K$, and it reads on by adding rows to the factor.
#
# But it is told the kernel of the task, and the others know only the range. The best to be done
# from their position is to consider every kernel of the range, weigh each by how probable it
# makes the support, and mix. The same class does so for a grid of kernels. That mixture, not
# the oracle, is the ceiling of meta-learning here.

# %%
def blunt(said, target):
    """The likelihood if no deviation may be below 0.1."""
    mean, scale = moments(said)
    return log_likelihood(torch.cat([mean, scale.clamp_min(0.1).log()], -1), target)


def examine(learners, tasks, n_tasks):
    """On the same tasks for all: scores [n_tasks, 3], and of every query the error in
    predicted deviations and the deviation."""
    source = seeded(seed, "groups", device=device)
    found = {name: ([], []) for name in (*learners, "exact")}
    for _ in range(n_tasks):
        kernel = tasks.kernels(1, generator=source)
        e = tasks.observe(kernel, generator=source)
        for name, one in (learners | {"exact": GaussianProcess(kernel, 0.02)}).items():
            with torch.no_grad():
                said = one.predict(one.adapt(e.support_x, e.support_y), e.query_x)
            mean, scale = moments(said)
            scores = [f(said, e.query_y) for f in (log_likelihood, coverage, blunt)]
            found[name][0].append(torch.stack(scores, -1))
            found[name][1].append(torch.cat([(e.query_y - mean) / scale, scale], -1)[0])
    return {n: (torch.cat(a).cpu(), torch.cat(b).cpu()) for n, (a, b) in found.items()}


# %%
names = {"CNP": "cnp-rbf", "ANP": "anp-rbf"}
names |= {"sharp ANP": "anp-rbf-sharp", "sharp SNAIL": "snail-rbf"}
stored = {
    name: records.load_weights(find(experiment).learner(), experiment).to(device).eval()
    for name, experiment in names.items()
}
n_tasks, few = by_profile(profile, smoke=(8, 2), book=(400, 100), paper=(5000, 999))
ignorant = GaussianProcess(tasks.candidates(12).to(device), tasks.noise)
everyone = stored | {f"{name} of this page": one.eval() for name, one in live.items()}
results = examine(everyone | {"exact, kernel unknown": ignorant}, tasks, n_tasks)
for name, (scores, _) in results.items():
    half = 1.96 * scores[:, 0].std() / n_tasks**0.5
    print(f"{name:22} {scores[:, 0].mean():5.2f} ± {half:.2f} nats per target")

# %%
from IPython.display import HTML

shipped = [records.read(name) for name in names.values()]
HTML(records.html_table(shipped, "Log-likelihood, all trained on the RBF kernel alone"))

# %% [markdown]
# Not to know the kernel costs less than a tenth of a nat: a handful of points give most of it
# away. The ceiling of meta-learning here lies just below the oracle, and every learner lies well
# below that. The mean is a poor memory, attention a better one.
#
# The figures in the last column are what others report for these methods after 100,000 steps,
# trained to predict all points of a task, the examples included. Ours had less than a third of
# that, and were asked for the queries alone: the ANP 30,000 steps, the sharp ANP 5,000 more, the
# CNP 20,000, SNAIL 4,000 in all, so its place here says little about SNAIL. The published CNP
# has a second encoder, the published ANP a second, random path; our ANP is nearer to what their
# code calls CANP.
#
# We could check the published protocol in the authors' code, down to the number of points. We
# could not check the published figures at their source, so take them as a rough guide. A
# transformer neural process is reported at about 1.39, with the same caution. The kernels of
# the last two rows of each learner were never trained on; we come back to them.
#
# There is a trap in this table, and it is not in the networks. In the authors' code the CNP and
# the ANP predict $\sigma = 0.1 + 0.9 \operatorname{softplus}(\cdot)$, which keeps the loss from
# exploding. It also is a ceiling: a Gaussian with $\sigma \ge 0.1$ has no log-density above
# $\ln 10 - \frac12 \ln 2\pi = 1.38$. The transformer was spared that rule. Our two *sharp*
# learners may go down to 0.01. What would everybody score under the rule, the exact answer
# included?

# %%
bounded = {name: scores[:, 2].mean().item() for name, (scores, _) in results.items()}
for name in ("CNP", "ANP", "sharp ANP", "exact, kernel unknown", "exact"):
    print(f"{name:22} {bounded[name]:5.2f} nats if no deviation is below 0.1")
assert profile == "smoke" or bounded["exact"] < results["exact"][0][:, 0].mean() - 0.3

# %% [markdown]
# Under the rule the *exact* answer loses more than a third of its score, and the sharp ANP its
# whole lead over the bounded one, from which its training went on. The network did not learn to
# predict better. It was allowed to say how well it predicts. Before you compare two methods,
# ask what the exact answer would score under the rules of each.
#
# ## One task, four answers

# %%
#| label: fig-sets-bands
#| caption: "The same nine points, read by four learners. None of their weights changed. Dotted line, the function; band, where 95% of the values are predicted to lie."
#| alt: "Four panels with the same nine dots on a curve. CNP has a wide band whose middle misses several dots. ANP goes through the dots with a band that never gets thin and widens in the gaps. Sharp ANP and exact have bands that close at the dots and open in the gaps, the exact one wider."
clumps = [[-1.8], [-1.6], [-1.25], [-1.0], [-0.7], [0.1], [1.2], [1.35], [1.7]]
at = torch.cat([torch.tensor([clumps], device=device), line], dim=1)
kernel = Kernel.single("rbf", 0.3, 0.8, device=device)
curve = tasks.values(kernel, at, generator=seeded(seed, "one function", device=device))
support, query = (at[:, :9], curve[:, :9]), (at[:, 9:], curve[:, 9:])
exact = GaussianProcess(kernel, tasks.noise)
four = {name: stored[name] for name in ("CNP", "ANP", "sharp ANP")} | {"exact": exact}
_, panels = plt.subplots(2, 2, figsize=(9, 5.2), sharex=True, sharey=True)
for panel, (name, one) in zip(panels.flat, four.items(), strict=True):
    inside = plot_bands(panel, one, *support, *query, looks[name]["color"])
    panel.set(title=f"{name}: {inside:.0%} of the values in the band", ylabel="y")

# %% [markdown]
# The CNP has grasped the large shape and blurs the rest. Its mean passes by points that it was
# shown, and its band is wide everywhere to make up for it. The ANP goes through the points, but
# even there its band keeps a width of $\pm 0.2$: the rule. In the sharp ANP the band closes at
# the points and opens between them, as that of the exact answer does, if not as wide. Nobody
# told it how sure to be. It was shown values of functions, and from how they scatter it found
# out when to doubt.
#
# ## Is the uncertainty right?
#
# A band is honest if it holds what it promises: of all values, 95% should lie in the 95% band,
# half in the 50% band. That is *calibration*.

# %%
#| label: fig-sets-calibration
#| caption: "Left: how often the true value lies in the central band of each promised probability; on the diagonal a learner is calibrated. Right: the same for the 95% band, with the queries grouped by how sure the exact answer is about them."
#| alt: "Left, four curves; that of the bounded ANP lies far above the diagonal, those of CNP and sharp ANP a little above it, the exact one on it. Right, coverage over four groups of queries; the exact answer stays near 0.95, the others fall from above it, the CNP most steeply, to 0.83."
sureness, held = results["exact"][1][:, 1], {}
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.plot([0, 1], [0, 1], ":", color=style.INK, lw=1)
right.axhline(0.95, ls=":", color=style.INK, lw=1)
for name in four:
    z = results[name][1][:, 0]
    plot_calibration(left, z, label=name, **looks[name] | {"marker": ""})
    held[name] = plot_coverage(right, z, sureness, label=name, **looks[name])
_ = right.legend()


# %% [markdown]
# On the left the bounded ANP lies far above the diagonal: its bands hold more than they
# promise, so it knows more than it says. The CNP is nearer to the diagonal, and the worse
# predictor. Calibration is no proof of skill: whoever always answers with the distribution of
# all values, whatever the support, is calibrated, and useless. The log-likelihood rewards
# both, being honest and being narrow.
#
# On the right the 95% bands are sorted by how sure one *could* be. The exact answer holds 94 to
# 97% in every group; queries of one task err together, so 400 tasks measure no finer. The CNP
# holds almost all values where little is uncertain, and far too
# few where much is: the errors cancel in the total. It does not know well what it does not
# know. Ask for calibration within groups that matter to you, not only overall.
#
# (what-a-mean-forgets)=
# ## What a mean forgets
#
# The simplest question one can ask is about a point that was in the support. The answer is
# known to within the noise, 0.02.

# %%
def misses(learner, examples):
    """Root mean squared error at the support points themselves."""
    sized = GaussianProcesses(support=(examples, examples))
    e = sized.sample(n_tasks, generator=seeded(seed, "sizes", device=device))
    with torch.no_grad():
        state = learner.adapt(e.support_x, e.support_y)
        mean, _ = moments(learner.predict(state, e.support_x))
    return (mean - e.support_y).square().mean().item() ** 0.5


print("error at support points, with  5 and with 40 of them")
recall = {name: [misses(one, n) for n in (5, 40)] for name, one in stored.items()}
for name, (of_few, of_many) in recall.items():
    print(f"{name:12} {of_few:17.2f} {of_many:11.2f}")
assert profile == "smoke" or recall["CNP"][1] > 3 * recall["ANP"][1]

# %% [markdown]
# The CNP misses points that it was just shown, by many times the noise, and more points make it
# no better. In principle 128 numbers could hold 40 points; the difficulty is to get a single
# one back out of a mean. {cite:t}`kim2019attentive` proposed attention for exactly this
# *underfitting*. A larger memory pays off as there is more to remember:

# %%
#| label: fig-sets-shots
#| caption: "Log-likelihood against the number of examples read; bars are 95% intervals over tasks."
#| alt: "Five curves over 3 to 46 examples. The exact answer is always on top; below it follow the sharp ANP and the ANP, level up to six examples, then SNAIL and, flat from 24 examples on, the CNP."
sizes = (3, 6, 12, 24, 46)
by_size = [examine(stored, GaussianProcesses(support=(n, n)), few) for n in sizes]
_, axes = plt.subplots(figsize=(6.5, 3.4))
for name, look in looks.items():
    points = torch.stack([found[name][0][:, 0] for found in by_size])
    half = 1.96 * points.std(1) / points.shape[1] ** 0.5
    axes.errorbar(sizes, points.mean(1), yerr=half, capsize=3, label=name, **look)
axes.set(xlabel="examples read", ylabel="nats per target", xticks=sizes)
_ = axes.legend(loc="upper left", fontsize="small")

# %% [markdown]
# With three points there is little to know, and all do poorly. With more, the curves part: the
# mean gains hardly anything after two dozen, whereas whoever keeps the examples goes on learning
# from them. The price is next.
#
# ## What one more example costs
#
# A memory is paid for twice, in bytes and in arithmetic. Read $n$ examples, and then one
# more:

# %%
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def numbers(state):
    """How many numbers a state holds."""
    if isinstance(state, torch.Tensor):
        return state.numel()
    return sum(map(numbers, state)) if isinstance(state, (tuple, list)) else 1


def price(learner, n):
    """Millions of operations to read one more example after n; kilobytes of state then."""
    at = torch.linspace(-2, 2, n, device=device)[None, :, None]
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        state = learner.adapt(at, at.sin())
        with counter, sdpa_kernel(SDPBackend.MATH):  # fused attention is not counted
            after = learner.adapt(support[0][:, :1], support[1][:, :1], state)
    return counter.get_total_flops() / 1e6, 4e-3 * numbers(after)


# %%
#| label: fig-sets-cost
#| caption: "Reading one example more after n of them: multiplications and additions in matrix products, and the size of the state, at 4 bytes a number."
#| alt: "Two log-log plots over 16 to 1024 examples. Left, operations: CNP is flat, SNAIL rises slowly, ANP steeply. Right, size: CNP is flat, ANP and SNAIL rise in proportion, exact with the square."
lengths = (16, 64, 256, 1024)
payers = {n: stored[n] for n in ("CNP", "ANP", "sharp SNAIL")} | {"exact": exact}
prices = {name: [price(one, n) for n in lengths] for name, one in payers.items()}
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3))
for name in payers:
    operations, kilobytes = zip(*prices[name], strict=True)
    if name != "exact":  # triangular systems are not among what is counted
        left.loglog(lengths, operations, label=name, **looks[name])
    right.loglog(lengths, kilobytes, label=name, **looks[name])
left.set(xlabel="examples already read", ylabel="million operations for one more")
right.set(xlabel="examples already read", ylabel="kilobytes of state")
_ = right.legend()
assert prices["CNP"][0] == prices["CNP"][-1]

# %% [markdown]
# The state of a CNP has one size forever, and one more example is one more term in a sum. SNAIL
# compares the newcomer with all that it keeps, so arithmetic and memory grow linearly, the
# former from a high base: its convolutions. The ANP lets the newcomer change what every old
# example says, and looks at all pairs again. That is the price of the full square in
# [](#fig-sets-masks), and one reason why language models wear the mask on the right. The exact
# answer keeps a matrix of all pairs, and so its state grows with the square, as does the work
# of adding a row to it.
#
# ## What breaks it
#
# Everything so far came from the range of training. Now change the world and not the learner:
# functions that turn faster than any in training, slower ones, rougher ones (Matérn 5/2) and
# periodic ones. Beside the sharp ANP, and the same network before any training, stands the
# exact mixture of before, which goes on believing in the RBF kernel and its range, and the
# oracle, which is told.

# %%
worlds = {
    "as in training": tasks,
    "lengthscale 0.03–0.05": GaussianProcesses(lengthscale=(0.03, 0.05)),
    "lengthscale 1–3": GaussianProcesses(lengthscale=(1.0, 3.0)),
    "Matérn 5/2 kernel": GaussianProcesses("matern52"),
    "periodic kernel": GaussianProcesses("periodic"),
}
believers = {"untrained": ANP(smallest=0.01, seed=seed).to(device)}
believers |= {"sharp ANP": stored["sharp ANP"], "believes RBF": ignorant}
print(" " * 22 + "".join(f"{name:>14}" for name in (*believers, "exact")))
broken = {}
for world, changed in worlds.items():
    found = examine(believers, changed, few)
    broken[world] = [scores[:, 0].mean().item() for scores, _ in found.values()]
    print(f"{world:22}" + "".join(f"{score:14.2f}" for score in broken[world]))

# %% [markdown]
# Slow functions are predicted even better than those of training: the exact answer gains 0.7
# nats, the ANP 0.6. Rougher functions cost everybody who expects smooth ones. On fast and on
# periodic functions the ANP falls far below what it scored untrained.
#
# Look at the third column before you blame the network. The mixture is *exact*, by the best of
# all rules, under the belief that kernels are RBF with $\ell$ between 0.1 and 0.6. Where
# functions turn faster than that, or repeat, it fails far worse, because it is so sure. A learner's prior
# is $p(\mathcal{T})$.
# What is impossible under it will not be learned from any support, by whatever arithmetic.
#
# ## Exercises
#
# :::{exercise} The best Gaussian
# :label: ex-sets-moments
# *Easy, 15 minutes.* The mixture over kernels is not a Gaussian. `predict` answers with the
# Gaussian of the same mean and variance. Show that no other Gaussian has a higher expected
# log-likelihood, and check it on a mixture of two.
# :::
#
# ::::{solution} ex-sets-moments
# :label: sol-sets-moments
# :class: dropdown
# Let $y$ have mean $m$ and variance $v$. Then
# $\mathbb{E} \log \mathcal{N}(y; \mu, \sigma^2) = -\frac12 \ln 2\pi\sigma^2 - \frac{v + (m - \mu)^2}{2\sigma^2}$. It is largest at $\mu = m$ for every
# $\sigma$; then the derivative by $\sigma^2$, $-\frac{1}{2\sigma^2} + \frac{v}{2\sigma^4}$, is
# zero at $\sigma^2 = v$ and changes from plus to minus there.
#
# :::{embed} #cell-sets-moments
# :::
# ::::

# %% tags=["remove-cell"]
#| label: cell-sets-moments
z = torch.randn(200_000, generator=seeded(seed, "noise"))
sample = torch.where(torch.arange(200_000) % 4 == 0, 2 + 0.1 * z, 0.5 * z)
mean, scale = sample.mean(), sample.std()
rivals = [(mean, scale), (mean + 0.1, scale), (mean, 1.1 * scale), (mean, 0.9 * scale)]
scores = [torch.distributions.Normal(*r).log_prob(sample).mean().item() for r in rivals]
assert max(scores) == scores[0]
print(f"mean {mean:.2f}, deviation {scale:.2f}: {scores[0]:.3f} nats")
print("others:", ", ".join(f"{score:.3f}" for score in scores[1:]))

# %% [markdown]
# :::{exercise} Every point twice
# :label: ex-sets-twice
# *Medium, 15 minutes.* Show each learner the support of a task, and then every point once more,
# as a second, independent measurement that happened to give the same value. Whose prediction
# should change, whose does, and why?
# :::
#
# ::::{solution} ex-sets-twice
# :label: sol-sets-twice
# :class: dropdown
# Two measurements of the same value are better than one: the exact answer takes the noise to be
# $0.02 / \sqrt 2$ and grows surer. The mean of twice the same vectors is the same mean. So it
# is with attention: the softmax gives each copy half of the weight. Neither the CNP nor the ANP
# can count.
#
# :::{embed} #cell-sets-twice
# :::
#
# SNAIL, for which the copies are a longer sequence, takes them for much news. Its deviations
# shrink by more than a quarter, those of the exact answer by a fiftieth, and its 95% band, which
# held 96% of the values, holds 92%. A transformer neural process, in which all
# tokens see the examples and nothing else, has the blind spot of the ANP; a causal transformer
# has not, even without positions.
# ::::

# %% tags=["remove-cell"]
#| label: cell-sets-twice
e = GaussianProcesses(support=(10, 10)).sample(50, generator=seeded(seed, "calibration", device=device))
twice = [torch.cat([side, side], dim=1) for side in (e.support_x, e.support_y)]
changes = {}
for name, one in (stored | {"exact, kernel unknown": ignorant}).items():
    with torch.no_grad():
        before = one.predict(one.adapt(e.support_x, e.support_y), e.query_x)
        after = one.predict(one.adapt(*twice), e.query_x)
    changes[name] = (moments(after)[1] / moments(before)[1]).median().item()
    held = [f"{coverage(said, e.query_y).mean():.0%}" for said in (before, after)]
    print(f"{name:22} deviation × {changes[name]:.3f}, 95% band holds", *held)
assert abs(changes["CNP"] - 1) < 1e-4 and abs(changes["ANP"] - 1) < 1e-4
assert changes["exact, kernel unknown"] < 1

# %% [markdown]
# :::{exercise} Many orders
# :label: ex-sets-orders
# *Medium, 20 minutes.* SNAIL answers differently for every order of the support. Average its
# means and variances over $m$ random orders (as in [](#ex-sets-moments)). What does it gain?
# Could the average ever lose, in expectation?
# :::
#
# ::::{solution} ex-sets-orders
# :label: sol-sets-orders
# :class: dropdown
#
# :::{embed} #cell-sets-orders
# :::
#
# The log-likelihood of the *mixture* of the orders cannot be worse than the mean of theirs: the
# logarithm is concave (Jensen). We answer with one Gaussian, which may lose what the mixture
# gains where the orders contradict each other badly. Averaging over all orders would make it
# permutation invariant, at $n!$ times the price.
# ::::

# %% tags=["remove-cell"]
#| label: cell-sets-orders
snail, source = stored["sharp SNAIL"], seeded(seed, "order of SNAIL", device=device)
e = GaussianProcesses(support=(20, 20)).sample(n_tasks // 2, generator=source)
sums, gained = 0.0, {}
for m in range(1, 9):
    order = torch.randperm(20, generator=source, device=device)
    with torch.no_grad():
        state = snail.adapt(e.support_x[:, order], e.support_y[:, order])
        mean, scale = moments(snail.predict(state, e.query_x))
    sums = sums + torch.stack([mean, scale.square() + mean.square()])
    first, second = sums / m
    said = torch.cat([first, 0.5 * (second - first.square()).log()], dim=-1)
    gained[m] = log_likelihood(said, e.query_y).mean().item()
print(", ".join(f"{m} orders {gained[m]:.2f}" for m in (1, 2, 4, 8)), "nats")
assert profile == "smoke" or gained[8] > gained[1]

# %% [markdown]
# :::{exercise} A step to the right
# :label: ex-sets-shift
# *Medium, 20 minutes.* Add 0, 0.5, 1 and 2 to all $x$ of a task, support and queries alike.
# What does the exact answer do, and what the ANP? Which of its parts would you change?
# :::
#
# ::::{solution} ex-sets-shift
# :label: sol-sets-shift
# :class: dropdown
# The kernel depends on $x - x'$ alone, so the exact answer moves along with the points and its
# score stays.
#
# :::{embed} #cell-sets-shift
# :::
#
# The ANP has learned keys for places in $[-2, 2]$, and beyond them it has learned nothing. It
# must be given the symmetry: attention by differences $x_* - x_i$, or a convolution over $x$,
# which is what {cite:t}`gordon2020convolutional` build.
# ::::

# %% tags=["remove-cell"]
#| label: cell-sets-shift
source = seeded(seed, "copies", device=device)
kernel = tasks.kernels(n_tasks // 2, generator=source)
e = tasks.observe(kernel, generator=source)
oracle, shifted = GaussianProcess(kernel, 0.02), {"ANP": [], "exact": []}
for step in (0.0, 0.5, 1.0, 2.0):
    for name, one in (("ANP", stored["ANP"]), ("exact", oracle)):
        with torch.no_grad():
            state = one.adapt(e.support_x + step, e.support_y)
            said = one.predict(state, e.query_x + step)
        shifted[name].append(log_likelihood(said, e.query_y).mean().item())
for name, scores in shifted.items():
    print(f"{name:6}", "  ".join(f"{score:6.2f}" for score in scores), "nats")
assert profile == "smoke" or shifted["ANP"][3] < shifted["ANP"][0] - 0.5
assert abs(shifted["exact"][3] - shifted["exact"][0]) < 0.01

# %% [markdown]
# ## Where to read on
#
# - {cite:t}`garnelo2018conditional` and {cite:t}`kim2019attentive` are short and clear. The second
#   path of the latter, a random variable for the whole function, gives predictions that
#   agree with one another, which independent Gaussians for each query cannot.
# - {cite:t}`mishra2018snail` compare with and without attention and convolutions, on
#   classification and on control.
# - {cite:t}`zaheer2017deep` and {cite:t}`wagstaff2019limitations` on what a sum can say about a set.
# - {cite:t}`nguyen2022transformer` take the masks of [](#fig-sets-masks) to a transformer.
# - {cite:t}`rasmussen2006gaussian`, chapter 2, for all that the exact answer can do and this chapter did
#   not use.
