# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-objective)=
# # The meta-learning objective
#
# :::{admonition} What you will be able to do
# :class: tip
# - Write down the objective of meta-learning and say what each symbol is in code.
# - Name, for a learner you meet, what it changes when it sees a new task.
# - Place its error between two references: the best answer that ignores the task's
#   examples, and the exact answer.
# - Say why more pretraining does not replace it, and back that with a measurement.
# - Notice when a result was measured on tasks that the learner had already seen.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
# Before torch: its threads then sleep, not spin, while they wait.
from labkit.figures import style

from dataclasses import dataclass
from functools import partial

import torch
from matplotlib import pyplot as plt

# %% tags=["hide-input"]
from labkit.device import choose
from labkit.randomness import VALIDATION, seeded
from labkit.evaluation import evaluate, task_scores
from labkit.figures.style import INK
from labkit.figures.objective import plot_prediction, plot_task
from labkit.learners.baselines.fine_tuning import FineTuning
from labkit.learner import Learner
from labkit.learners.maml import MAML
from labkit.learners.protonet import ProtoNet
from labkit.learners.oracles.sinusoids import SinusoidOracle
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.experiments.profiles import by_profile
from labkit.objective import squared_error, task_losses
from labkit.tasks import sinusoids
from labkit.tasks.characters import FewShot
from labkit.tasks.glyphs import draw_alphabets
from labkit.tasks.sinusoids import Sinusoids, best_fixed_function
from labkit.training import cosine, meta_train

# %%
style.use()
device = choose(device)
print(f"profile {profile}, on {device.type}")

# %% [markdown]
# ## Five points
#
# Here are three small learning problems. Each shows you five points, the filled ones,
# and asks for the height at other places, the hollow ones.

# %% tags=["hide-input"]
#| label: fig-objective-tasks
#| caption: Three tasks. Filled, the five support points; hollow, the points that are asked for; the line is the wave they all come from, which no learner gets to see.
#| alt: Three panels with a sine curve each, of different height and shift. Five filled and ten hollow points lie on every curve.
tasks = Sinusoids(shot=5, query=10)
source = seeded(seed, "waves to look at", device=device)
amplitude, phase = tasks.functions(3, generator=source)
episode = tasks.observe(amplitude, phase, generator=source)

figure, panels = plt.subplots(1, 3, sharey=True, figsize=(7.2, 3))
for t in range(3):
    this = slice(t, t + 1)
    plot_task(panels[t], episode[this], amplitude[this], phase[this], colour=f"C{t}")
panels[0].set_ylabel("y")
handles = panels[0].get_legend_handles_labels()
figure.legend(*handles, loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# You could draw each curve from its filled points alone. A neural network that is
# trained on them could not: it finds some curve through five points, and almost never
# the right one. The difference is that you know, from the other panels if not from the
# text, that these things are *sine waves*. Nothing in five points says so. What you know
# comes from other problems of the same kind.
#
# Meta-learning is how a machine gets at that knowledge: it learns, from many small
# problems, how to learn the next one.

# %% [markdown]
# ## Tasks, support and query
#
# A **task** $\mathcal{T}$ is one small learning problem. Tasks come from a distribution
# $p(\mathcal{T})$, just as examples come from a distribution in ordinary learning. Ours
# is the one of {cite:t}`finn2017maml`, section 5.1: a wave $y = A \sin(x - \varphi)$
# with amplitude $A$ uniform in $[0.1, 5]$ and phase $\varphi$ uniform in $[0, \pi]$,
# looked at in places $x$ uniform in $[-5, 5]$.
#
# A task reaches a learner as two sets of examples. The **support** set
# $\mathcal{D}^{\mathrm{S}}$ is there to learn from; its size per class, or here per
# wave, is the number of **shots**. The **query** set $\mathcal{D}^{\mathrm{Q}}$ asks
# questions whose answers are known to whoever scores them. `sample` draws both:
#
# ```{literalinclude} ../labkit/tasks/sinusoids.py
# :start-at: def sample
# :end-before: def wave
# :label: lst-objective-sinusoids
# :caption: A distribution over tasks is anything that can be sampled.
# :filename: labkit/tasks/sinusoids.py
# ```

# %%
for name, tensor in vars(episode).items():
    print(f"{name:10} {tuple(tensor.shape)}")


# %% [markdown]
# A draw is an `Episode`: four tensors. The first axis counts tasks, the second the
# examples of a task, the rest is one example. The axis of tasks is there in every
# tensor of this book, so that all tasks of a batch are worked on at once.
#
# All that this book draws grows from one number, the `seed` among a chapter's parameters.
# Each thing that is drawn reads a stream of its own, with a name, as in
# `seeded(seed, "waves to look at")` for the three tasks above, and streams of different
# names are independent of one another.

# %% [markdown]
# (sec-objective-nested)=
# ## The objective
#
# Learning happens twice. In the small, a learner reads the support set of one task and
# adapts:
#
# ```{math}
# :label: eq-objective-adapt
# \theta' = \operatorname{Adapt}(\theta, \mathcal{D}^{\mathrm{S}}_{\mathcal{T}}) .
# ```
#
# Here $\theta$ is what the learner brings to every task, and $\theta'$ is what it has
# become for this one. The queries measure how good $\theta'$ is. With $f_{\theta'}$ the
# adapted predictor, and the squared error for waves,
#
# ```{math}
# :label: eq-objective-task-loss
# \mathcal{L}_{\mathcal{T}}(f_{\theta'}) = \frac{1}{|\mathcal{D}^{\mathrm{Q}}_{\mathcal{T}}|} \sum_{(x, y) \in \mathcal{D}^{\mathrm{Q}}_{\mathcal{T}}}
# \bigl( f_{\theta'}(x) - y \bigr)^2 .
# ```
#
# In the large, $\theta$ is chosen so that adapting works well on average over tasks:
#
# ```{math}
# :label: eq-objective
# \begin{gathered}
# \min_\theta\; \mathbb{E}_{\mathcal{T} \sim p(\mathcal{T})} \bigl[\, \mathcal{L}_{\mathcal{T}}(f_{\theta'}) \,\bigr] \\
# \text{with} \quad \theta' = \operatorname{Adapt}(\theta, \mathcal{D}^{\mathrm{S}}_{\mathcal{T}}) .
# \end{gathered}
# ```
#
# Equation [](#eq-objective) is the whole book. Read it from the inside: adapt, ask,
# average, and only then improve $\theta$. Since $\theta'$ depends on $\theta$, the
# gradient of a query's error tells how $\theta$ should have been *before* the support
# was read.
#
# The expectation is estimated as always, by a mean over the tasks of a batch. In code
# the small level is `task_losses` and the large one `meta_loss`:
#
# ```{literalinclude} ../labkit/objective.py
# :start-at: def meta_loss
# :end-before: def cross_entropy
# :label: lst-objective-loss
# :caption: Equations [](#eq-objective-adapt) to [](#eq-objective), as they run.
# :filename: labkit/objective.py
# ```
#
# Mind the role of the queries. Inside a task they are the test set. For $\theta$ they
# are *training* data: it descends on their error. So a good query error on the tasks
# that $\theta$ was trained on proves as little as a good training error ever does. We
# come back to this in [](#sec-objective-seen).

# %% [markdown]
# ## What is θ′?
#
# Equation [](#eq-objective) leaves one thing open: what adapting *is*. Each family of
# methods is one answer.
#
# ```{list-table} What a learner changes when it reads a support set.
# :label: tab-objective-answers
# :header-rows: 1
# * - Method
#   - $\theta'$ is …
#   - and stays the same
# * - joint training
#   - $\theta$ itself
#   - everything
# * - Prototypical Networks {cite:p}`snell2017prototypical`
#   - one mean vector a class
#   - the embedding network
# * - Matching Networks {cite:p}`vinyals2016matching`
#   - the embedded support set, with its labels
#   - the embedding network
# * - MAML {cite:p}`finn2017maml`
#   - all weights, some gradient steps away from $\theta$
#   - the start and the step size
# * - recurrent learners {cite:p}`hochreiter2001learning`
#   - a hidden state
#   - all weights
# * - neural processes {cite:p}`garnelo2018conditional`
#   - one vector that summarises the set
#   - all weights
# * - in-context learning {cite:p}`brown2020language`
#   - the activations that the prompt leaves behind
#   - all weights
# ```
#
# A learner in `labkit` says what $\theta'$ is in one method, `adapt`, and uses it in
# another, `predict`. The smallest possible learner ignores the support.

# %%
class FixedFunction(Learner):
    """Every task gets the same answer: there is no θ′, and nothing to adapt."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def adapt(self, support_x, support_y):
        return None

    def predict(self, adapted, query_x):
        return self.function(query_x)


# %% [markdown]
# ## Two answers that need no learning
#
# An error of 1.2 is neither good nor bad. It becomes one or the other between two
# references, and sinusoids have both in closed form.
#
# :::{prf:proposition} The best fixed function
# :label: thm-objective-fixed
# Among all functions that ignore the support, the one with the least expected squared
# error is the mean wave $f^*(x) = \mathbb{E}[A \sin(x - \varphi)] = -\frac{2}{\pi}\,
# \mathbb{E}[A] \cos x$. Its error is $\mathbb{E}[y^2] - \mathbb{E}[f^*(x)^2] \approx
# 3.006$.
# :::
#
# ::::{prf:proof}
# Fix $x$. A number $c$ that must stand for a random $y$ costs $\mathbb{E}[(y - c)^2] =
# \operatorname{Var}[y] + (\mathbb{E}[y] - c)^2$, so the best $c$ is the mean. $A$ and
# $\varphi$ are independent, and the mean of $\sin(x - \varphi)$ over $[0, \pi]$ is
# $\frac{1}{\pi}\bigl[\cos(x - \varphi)\bigr]_0^\pi = -\frac{2}{\pi}\cos x$.
#
# What is left is the mean of $\operatorname{Var}[y] = \mathbb{E}[y^2] - f^*(x)^2$ over
# $x$. For the first term, $\sin^2$ averages to $\frac12$ over half a turn, so
# $\mathbb{E}[y^2] = \frac12 \mathbb{E}[A^2] = \frac12 \cdot \frac{5^3 - 0.1^3}{3 \cdot
# 4.9} \approx 4.252$, which is also the error of predicting zero. For the second,
# $\mathbb{E}[A] = 2.55$ and $\mathbb{E}[\cos^2 x] = \frac12 + \frac{\sin 10}{20}
# \approx 0.473$, so $\mathbb{E}[f^*(x)^2] = \bigl(\frac{2}{\pi} \cdot 2.55\bigr)^2
# \cdot 0.473 \approx 1.246$.
# ::::

# %%
options = {"score": squared_error, "tasks_per_batch": 100, "device": device}
error, errors = partial(evaluate, **options), partial(task_scores, **options)
fixed = FixedFunction(best_fixed_function)
measured = error(fixed, tasks, n_tasks=10_000, seed=seed)
floor = sinusoids.best_fixed_error()
print(f"best fixed function: exact {floor:.3f}, measured {measured}")
assert abs(measured.mean - floor) < 2 * measured.ci95

# %% [markdown]
# Ten thousand sampled tasks agree with the derivation. `evaluate` reports a mean over
# tasks and the half-width of its 95% interval. What is counted are tasks, not queries,
# because the queries of one task are not independent of one another.
#
# At the other end stands the learner that already knows what there is to know.
#
# :::{prf:proposition} Two points determine a wave
# :label: thm-objective-two
# If $x_1 - x_2$ is not a multiple of $\pi$, exactly one wave $A \sin(x - \varphi)$
# passes through $(x_1, y_1)$ and $(x_2, y_2)$.
# :::
#
# :::{prf:proof}
# $A \sin(x - \varphi) = a \sin x + b \cos x$ with $a = A \cos\varphi$ and
# $b = -A \sin\varphi$, and every pair $(a, b)$ is a wave. The two conditions are linear
# equations in $(a, b)$ with determinant
# $\sin x_1 \cos x_2 - \cos x_1 \sin x_2 = \sin(x_1 - x_2)$, which is not zero.
# :::
#
# So in the two features $\sin x$ and $\cos x$ a task is linear regression, and
# $\theta' = (a, b)$: two numbers.
#
# ```{literalinclude} ../labkit/learners/oracles/sinusoids.py
# :start-at: class SinusoidOracle
# :label: lst-objective-oracle
# :caption: The exact answer. `pinv` solves least squares, of which two points are the case with no error left.
# :filename: labkit/learners/oracles/sinusoids.py
# ```

# %%
for shot in (1, 2, 5):
    exact = error(SinusoidOracle(), Sinusoids(shot, 50), n_tasks=1_000, seed=seed)
    print(f"support points: {shot}, error: {exact.mean:.3f}")
    assert (exact.mean < 0.05) == (shot >= 2)


# %% [markdown]
# From two points on there is no error. Many waves pass through one point, and the
# smallest of them, which least squares returns, is seldom the right one.
#
# Between 3.006 and 0 lies everything that can be learned about this $p(\mathcal{T})$.

# %% [markdown]
# ## One training, two meanings of θ
#
# Now let a network find out by itself. It has two hidden layers of 40 ReLU units, as in
# {cite:t}`finn2017maml`, and knows nothing about sines. We train it twice, on the same
# tasks, the same queries, with the same optimiser and the same `meta_train`. One number
# differs: how many gradient steps on the support `adapt` takes, none or one.
#
# With none, $\theta' = \theta$, and Equation [](#eq-objective) becomes
#
# ```{math}
# :label: eq-objective-joint
# \min_\theta\; \mathbb{E}_{\mathcal{T} \sim p(\mathcal{T})} \bigl[\, \mathcal{L}_{\mathcal{T}}(f_\theta) \,\bigr] ,
# ```
#
# which is ordinary regression on all points of all waves thrown together: **joint
# training**, or pretraining. With one step, $\theta' = \theta - \alpha \nabla_\theta
# \mathcal{L}^{\mathrm{S}}_{\mathcal{T}}(f_\theta)$, the loss taken on the support: this
# is MAML {cite:p}`finn2017maml`, here only a tool; it has a chapter of its own.

# %%
def meta_trained(tasks, *, inner_steps, steps):
    network = MLP(hidden=(40, 40), seed=seed).to(device)
    how = {"inner_steps": inner_steps, "inner_rate": 0.02}
    learner = MAML(network, loss=squared_error, **how)
    meta_train(
        learner,
        tasks,
        loss=squared_error,
        steps=steps,
        tasks_per_step=25,
        learning_rate=3e-3,
        schedule=cosine(steps),
        clip_norm=10.0,
        seed=seed,
    )
    return network


# %%
steps = by_profile(profile, smoke=50, book=4_000, paper=70_000)
training_tasks = Sinusoids(shot=10, query=10)
joint = meta_trained(training_tasks, inner_steps=0, steps=steps)
learned = meta_trained(training_tasks, inner_steps=1, steps=steps)

tolerance = by_profile(profile, smoke=2.0, book=0.1, paper=0.1)
grid = torch.linspace(-5, 5, 201, device=device)[:, None]
gap = (joint(grid) - best_fixed_function(grid)).square().mean().item()
print(f"joint training and best fixed function differ by {gap:.2f} in mean square")
assert gap < tolerance


# %% [markdown]
# The jointly trained network *is* the best fixed function, up to a small remainder. The
# error of any fixed function is 3.006 plus its mean squared distance from $f^*$, so
# joint training has arrived: a larger network, a longer training or a million more waves
# can win no more than that remainder. What it has not learned is that tasks differ.

# %% [markdown]
# Both trainings end in a set of weights of the same shape. So let both be a *start*,
# and treat them alike: `FineTuning` takes gradient steps on the support from whatever
# weights it is given, or from random ones. First ten steps, on five points.

# %%
def tuned(network, steps, from_scratch=False):
    how = {"steps": steps, "rate": 0.01, "from_scratch": from_scratch, "seed": seed}
    return FineTuning(network, loss=squared_error, **how)


# %% tags=["hide-input"]
#| label: fig-objective-adaptation
#| caption: Ten gradient steps on the same five points, from two starts. The starts look alike, and they move differently.
#| alt: Two panels with the same wave and five points. The dashed starts are nearly the same wave, lower than the true one and shifted. From joint training, the curve after ten steps bends towards the points on the right and has hardly moved on the left, where there are none. From the learned start it lies on the wave near the points, and on the left it has moved most of the way to it.
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(7.2, 3.4))
for axes, start in zip(panels, (joint, learned), strict=True):
    plot_task(axes, episode[:1], amplitude[:1], phase[:1], colour="C1")
    for k, line in ((0, "--"), (10, "-")):
        learner = tuned(start, k)
        plot_prediction(axes, learner, episode[:1], c="C0", ls=line, label=f"{k} steps")
panels[0].set(title="from joint training", ylabel="y")
panels[1].set(title="from the learned start")
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %%
for name, start in (("joint training", joint), ("learned start", learned)):
    before, after = (error(tuned(start, k), tasks, seed=seed) for k in (0, 10))
    print(f"{name:14}  before {before}  after {after}")

# %% [markdown]
# Look at the dashed curves first. As predictors the two starts are nearly the same: both
# resemble the mean wave, and before any step their errors, on 600 test waves, are
# close to each other. As far as the curve goes, the second training has found an average
# solution, too.
#
# What differs is how the curve *moves*. In the left panel, steps on the points bend it
# near the points and leave it nearly where it was elsewhere. In the right panel, the same
# steps move the whole curve as one wave: it deepens and rises most of the way even where
# there are no points at all. Two sets of weights can make nearly one curve and have quite
# different gradients. Equation [](#eq-objective) looks at these gradients, because
# $\theta'$ is made with them; Equation [](#eq-objective-joint) cannot.

# %% [markdown]
# ## Training, validation and test tasks
#
# One wave proves nothing. To compare starts fairly, each may be fine-tuned for the
# number of steps that suits it best among a few, up to 250, and that number has to be
# chosen on some data. The tasks of the reported figure must not be that data: the best
# of several results on the test tasks owes part of its rank to luck.
#
# So there are three sets of *tasks*, as there are three sets of examples in ordinary
# learning: **training** tasks for $\theta$, **validation** tasks for choices like this
# one, **test** tasks for the figure that is printed. Sinusoids are endless, so the sets
# are three named streams of the one seed: `meta_train` draws from "training tasks",
# `evaluate` from "test tasks", and the cell below asks for "validation tasks", whose name
# is the constant `VALIDATION`.

# %%
validation = {"n_tasks": 100, "seed": seed, "stream": VALIDATION}
candidates = by_profile(
    profile, smoke=(0, 1), book=(0, 1, 10, 50, 250), paper=(0, 1, 10, 50, 250)
)


def tested(start, shot):
    """The test error of a start after the number of steps that validation prefers."""
    tasks = Sinusoids(shot, query=50)
    best = min(candidates, key=lambda k: errors(start(k), tasks, **validation).mean())
    return best, error(start(best), tasks, n_tasks=600, seed=seed)


# %%
starts = {
    "training from scratch": partial(tuned, joint, from_scratch=True),
    "fine-tuned from joint training": partial(tuned, joint),
    "adapted from the learned start": partial(tuned, learned),
}
shots = by_profile(
    profile, smoke=(1, 10), book=(1, 2, 3, 5, 10), paper=(1, 2, 3, 5, 10)
)
results = {}
for name, start in starts.items():
    chosen, results[name] = zip(*(tested(start, shot) for shot in shots), strict=True)
    print(f"{name:31} steps chosen: {chosen}")

# %% [markdown]
# Equal seeds give equal tasks, so all three meet the same 600 test waves. Where zero
# steps were chosen, learning from these few points did more harm than good on the
# validation tasks. Where 250 steps were chosen, more might have been better still.

# %% [markdown]
# (sec-objective-picture)=
# ## Error against the number of points

# %% tags=["hide-input"]
#| label: fig-objective-shots
#| caption: Test error on fresh waves against the number of support points. Dashed, the two references; the exact answer needs two points. Bars are 95% intervals over 600 tasks; each start is tuned for the number of steps that 100 validation tasks prefer at that number of points.
#| alt: Error on a scale from 0 to 5 against 1 to 10 support points. Training from scratch lies above the line of the best fixed function, at 3.0, for up to five points. Fine-tuning from joint training starts on that line and leaves it from the third point on. Adapting from the learned start lies well below from the first point on and nears the exact answer at 0.
figure, axes = plt.subplots(figsize=(7.2, 4.6))
for (name, evaluations), marker in zip(results.items(), "so^", strict=True):
    style.curve(axes, shots, evaluations, label=name, marker=marker)
for height, label in ((floor, "best fixed\nfunction, 3.006"), (0, "exact answer, 0")):
    axes.axhline(height, color=INK, ls="--", lw=1.2)
    axes.text(10.3, height + 0.07, label)
axes.set(xlabel="support points", ylabel="mean squared error", xlim=(0.6, 12.8))
axes.set(xticks=shots, ylim=(-0.15, 5))
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
scratch, pretrained, adapted = ([e.mean for e in r] for r in results.values())
slack = by_profile(profile, smoke=9.0, book=0.0, paper=0.0)
at_five = shots.index(by_profile(profile, smoke=10, book=5, paper=5))
assert scratch[0] > floor - slack and pretrained[0] > floor - 0.3 - slack
assert adapted[at_five] < pretrained[at_five] / 3 + slack
assert adapted[-1] < 0.5 + slack


# %% [markdown]
# Read [](#fig-objective-shots) from the top.
#
# *Training from scratch* is worse than not looking at the support at all, until there
# are about ten points. A network can fit any five points; it has no reason to continue
# them as a sine.
#
# *Fine-tuning from joint training* begins at 3.006, the error of its start, and leaves it
# slowly: with five points two thirds of that error remain. What it lacks is not data.
# Its start has met as many waves as the learned start, the very same ones, and is already
# the best fixed function there is ([](#thm-objective-fixed)): pretraining on more cannot
# lower where this curve begins.
#
# *Adapting from the learned start* has about a quarter of the fine-tuned error at five
# points, with the same network, the same tasks, the same gradient descent. Only the
# question that training asked was different: not "how well do you predict?" but "how well
# do you predict *after* you have looked?". That question is Equation [](#eq-objective).
#
# And it is not at zero. Two points would be enough for whoever knows sines and cosines.
# The distance to the lower line is what this learner, after a short training, has not
# found out.
#
# One caution. Joint training does so badly here because waves contradict each other: at
# one $x$ they want different $y$, and their mean helps nobody. Where tasks share good
# features and differ in a last layer, as images of different classes do, features from
# ordinary pretraining are hard to beat {cite:p}`chen2019closer,tian2020rethinking`. Such
# a baseline stands in the table of [](#ch-prototypical).

# %% [markdown]
# (sec-objective-seen)=
# ## What breaks it: testing on tasks already seen
#
# Now suppose that we do not have endless waves but a list of them, 1 or 4 or 64, and
# that we are careful in the ordinary way: the points for testing were never trained on.

# %%
@dataclass(frozen=True)
class Listed:
    """A finite p(T): waves from a list, looked at in fresh places every time."""

    amplitude: torch.Tensor
    phase: torch.Tensor
    points: Sinusoids

    def sample(self, n_tasks, *, generator):
        draw = torch.rand(n_tasks, generator=generator, device=generator.device)
        row = (draw * len(self.phase)).long()
        wave = self.amplitude[row], self.phase[row]
        return self.points.observe(*wave, generator=generator)


# %%
counts = by_profile(profile, smoke=(1, 4), book=(1, 4, 16, 64), paper=(1, 4, 16, 64))
amplitude, phase = tasks.functions(64, generator=seeded(seed, "waves of the pool", device=device))
seen, fresh = [], []
for count in counts:
    listed = Listed(amplitude[:count], phase[:count], Sinusoids(shot=10, query=50))
    learner = tuned(meta_trained(listed, inner_steps=1, steps=steps // 4), 10)
    seen.append(error(learner, listed, seed=seed))
    fresh.append(error(learner, listed.points, seed=seed))

# %% tags=["hide-input"]
#| label: fig-objective-seen
#| caption: One learner for each number of training waves, tested with ten support points at fresh places, on the waves it was trained on and on fresh waves. Bars are 95% intervals over 600 tasks.
#| alt: Two curves of error against 1, 4, 16 and 64 training waves. On seen waves the error starts at zero and rises; on fresh waves it starts above 2 and falls; from 16 waves on the two nearly meet.
figure, axes = plt.subplots()
style.curve(axes, counts, fresh, label="on fresh waves", marker="o")
style.curve(axes, counts, seen, label="on the waves of the training", marker="s")
axes.set_xscale("log", base=2)
axes.set_xticks(counts, counts)
axes.set(xlabel="training tasks (waves)", ylabel="mean squared error")
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
gaps = [f.mean - s.mean for f, s in zip(fresh, seen, strict=True)]
print("fresh minus seen:", [round(gap, 2) for gap in gaps])
loose = by_profile(profile, smoke=10.0, book=0.0, paper=0.0)
assert seen[0].mean < 0.1 + loose and gaps[0] > 1 - loose
assert gaps[-1] < 0.3 + loose

# %% [markdown]
# The learner trained on one wave makes almost no error on it, in places where it never
# looked at the wave before. On fresh waves its error is large. It has hardly learned to
# adapt; it has learned the wave, and a test on seen tasks cannot tell the two apart,
# however clean the split of the *points* was.
#
# With more waves the curves close in on each other, the seen from below and the fresh
# from above, just as training and test error do with more examples. The unit of
# generalisation is the task. So from here on a test task's *wave*, and later its
# characters and alphabets, is one that no training or validation task has shown.

# %% [markdown]
# ## The same objective, other tasks
#
# Nothing above depended on waves. Another $p(\mathcal{T})$, another
# $\operatorname{Adapt}$, another loss: here are handwritten characters nobody has
# written before, five of them in each task, one drawing of each as support, and a
# learner that compares ([](#ch-prototypical)).

# %%
characters = draw_alphabets(4, 10, drawings=6, generator=seeded(seed, "glyphs", device=device))
few_shot = FewShot(characters, way=5, shot=1, query=5)
n_tasks = by_profile(profile, smoke=20, book=200, paper=600)
learner = ProtoNet(Conv4(seed=seed).to(device))
untrained = evaluate(learner, few_shot, n_tasks=n_tasks, seed=seed)
print(f"untrained, 5-way 1-shot: {untrained.percent()} (guessing: 20%)")
assert untrained.mean - untrained.ci95 > 0.2

# %% [markdown]
# These tasks have two references of their own. Guessing gives 20%, and a network that
# has learned nothing is already above it, since random features keep some of what makes
# two drawings alike. Any figure for a learner says something only by its distance from
# both.

# %% [markdown]
# ## Exercises
#
# :::{exercise} A phase with a full turn
# :label: ex-objective-turn
# *Easy, 5 minutes.* Let $\varphi$ be uniform in $[0, 2\pi]$ in place of $[0, \pi]$. What
# is the best fixed function now, and what is its error? What would joint training learn?
# :::
#
# ::::{solution} ex-objective-turn
# :label: sol-objective-turn
# :class: dropdown
# The mean of $\sin(x - \varphi)$ over a full turn is zero at every $x$. So the best
# fixed function is zero, its error $\mathbb{E}[y^2] = \frac12\mathbb{E}[A^2] \approx
# 4.252$ is that of knowing nothing, and joint training can only learn to say nothing.
#
# :::{embed} #cell-objective-turn
# :::
# ::::

# %% tags=["remove-cell"]
#| label: cell-objective-turn
source = seeded(seed, "one wave", device=device)
amplitude, phase = tasks.functions(20_000, generator=source)
waves = tasks.observe(amplitude, 2 * phase, generator=source)
losses = task_losses(FixedFunction(torch.zeros_like), waves, squared_error)
assert abs(losses.mean().item() - sinusoids.zero_error()) < 0.15
print(f"{losses.mean().item():.1f}")

# %% [markdown]
# :::{exercise} The wrong set
# :label: ex-objective-support
# *Easy, 10 minutes.* Measure $\mathcal{L}_{\mathcal{T}}$ on the support in place of the
# query, for training from scratch with 250 steps on five points. Why would Equation
# [](#eq-objective) with this loss be worthless as an objective?
# :::
#
# ::::{solution} ex-objective-support
# :label: sol-objective-support
# :class: dropdown
#
# :::{embed} #cell-objective-support
# :::
#
# The error on the support is a small part of that on the query: the network has
# fitted its five points and learned little of the wave. An objective on the support
# rewards memory: a learner that stores its examples, and only gives them back, is
# perfect.
# ::::

# %% tags=["remove-cell"]
#| label: cell-objective-support
test = Sinusoids(shot=5, query=50).sample(100, generator=seeded(seed, "test waves", device=device))
learner = tuned(joint, 250, from_scratch=True)
theta = learner.adapt(test.support_x, test.support_y)
on_support, on_query = (
    squared_error(learner.predict(theta, x), y).mean().item()
    for x, y in ((test.support_x, test.support_y), (test.query_x, test.query_y))
)
assert on_support < on_query / 4
print(f"support {on_support:.1f}, query {on_query:.1f}")

# %% [markdown]
# :::{exercise} How many test tasks?
# :label: ex-objective-interval
# *Medium, 10 minutes.* How many test tasks does the learned start, tuned by 50 steps on
# five points, need for an interval of ±0.02? Would ten times the queries in each task
# do instead?
# :::
#
# ::::{solution} ex-objective-interval
# :label: sol-objective-interval
# :class: dropdown
# The half-width is $1.96\, s / \sqrt n$ with $s$ the standard deviation between tasks,
# so it shrinks as $1 / \sqrt n$. From 300 tasks one can tell how many are enough:
#
# :::{embed} #cell-objective-interval
# :::
#
# More queries measure each task better, and that helps a little. Tasks differ mostly
# because waves and support points differ, and this part of $s$ stays.
# ::::

# %% tags=["remove-cell"]
#| label: cell-objective-interval
few, many = (
    error(tuned(learned, 50), Sinusoids(5, query), n_tasks=300, seed=seed).ci95
    for query in (20, 200)
)
print(f"about {round(300 * (few / 0.02) ** 2, -3):,.0f} tasks")
print(f"with ten times the queries, the interval is {many / few:.1f} of it")
assert many > few / 2


# %% [markdown]
# ::::{exercise} The most that one point can tell
# :label: ex-objective-bayes
# *Hard, 30 minutes.* With one point no answer is exact, but one is best: the mean over
# all waves that pass through the point, weighted by how likely $p(\mathcal{T})$ makes
# them. Write it as a `Learner` and compare it with the learned start.
#
# :::{hint}
# Each $\varphi$ leaves one amplitude, $A = y_1 / \sin(x_1 - \varphi)$. A uniform $A$
# that must produce $y_1$ to within $dy$ leaves room $dA = dy / |\sin(x_1 - \varphi)|$.
# :::
# ::::
#
# ::::{solution} ex-objective-bayes
# :label: sol-objective-bayes
# :class: dropdown
#
# :::{embed} #cell-objective-bayes
# :::
#
# By the argument of [](#thm-objective-fixed), applied after the point is known, no
# learner of any kind has a smaller expected error. Zero is out of reach at one point,
# and the learned start should be judged by its distance from this error.
# ::::

# %% tags=["remove-cell"]
#| label: cell-objective-bayes
class OnePoint(Learner):
    """The posterior mean given one point, on a fine grid of phases."""

    def adapt(self, support_x, support_y):
        phase = torch.linspace(0, torch.pi, 4_000, device=support_x.device)
        sine = torch.sin(support_x - phase)
        amplitude = torch.where(sine == 0, 0.0, support_y / sine)
        low, high = sinusoids.AMPLITUDE
        inside = (amplitude >= low) & (amplitude <= high)
        weight = torch.where(inside, 1 / sine.abs(), 0.0)
        total = weight.sum(-1, keepdim=True).clamp_min(1e-30)
        return amplitude * weight / total, phase

    def predict(self, adapted, query_x):
        coefficients, phase = adapted
        return torch.sin(query_x - phase) @ coefficients.mT


best = error(OnePoint(), Sinusoids(1, 50), seed=seed)
print(f"best possible {best}, learned start {adapted[0]:.2f}")
assert best.mean < adapted[0]

# %% [markdown]
# ## Where to read on
#
# - {cite:t}`finn2017maml`, section 5.1, is where these waves come from, and its Figure 2
#   is the ancestor of [](#fig-objective-adaptation).
# - {cite:t}`hochreiter2001learning` trained a recurrent network on families of functions
#   with the same objective, sixteen years earlier: there $\theta'$ is a hidden state.
# - {cite:t}`baxter2000model` proves what [](#fig-objective-seen) shows: what is learned
#   on enough tasks of an environment holds for its other tasks.
# - {cite:t}`yin2020meta` describe a second way not to learn to adapt: a learner that can
#   tell the task from the query alone ignores the support, and how to prevent it.
# - {cite:t}`hospedales2022meta` survey the field and its names.
