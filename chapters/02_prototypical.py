# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (ch-prototypical)=
# # Prototypical networks
#
# Copy five characters out of an alphabet you cannot read, one of each, and ask a friend
# which of the five a sixth drawing shows. Your friend will mostly be right. A classifier
# trained in the ordinary way cannot even be asked: its last layer has one output for every
# class it was trained on, and none for these.
#
# Prototypical networks {cite:p}`snell2017prototypical` have no such layer. A network turns
# each drawing into a point; the points of a class are averaged; a new drawing takes the
# class of the nearest average. The network is what is learned. The classes are new every
# time.
#
# :::{admonition} What you will be able to do
# :class: tip
# - Compute the prediction of a prototypical network by hand, and say what $\theta'$ is.
# - Prove for which distances the mean is the right summary of a class.
# - Rewrite the prediction as a linear classifier, and say what a picture of it loses.
# - Train one on invented characters, and measure it on real ones beside the baselines that
#   a sceptic asks for.
# - Name two inputs that break it, and predict which.
# :::

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %% tags=["hide-input"]
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from IPython.display import HTML
from matplotlib import pyplot as plt
from torch.nn import functional as F

from labkit import figures, records
from labkit.device import choose, generator
from labkit.evaluation import evaluate
from labkit.figures_characters import plot_embedding, plot_task
from labkit.learners.fine_tuning import FineTuning
from labkit.learners.matching import MatchingNet
from labkit.learners.nearest_centroid import NearestCentroid
from labkit.learners.nearest_neighbour import NearestNeighbour
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.resnet import ResNet
from labkit.networks.with_head import WithHead
from labkit.notebooks import by_profile
from labkit.objective import accuracy, cross_entropy
from labkit.supervised import train_classifier
from labkit.tasks import omniglot
from labkit.tasks.characters import FewShot
from labkit.tasks.glyphs import draw_alphabets
from labkit.training import cosine, meta_train

figures.style()
device = choose(device)
print(f"profile {profile}, on {device.type}")

# %% [markdown]
# ## Start the training, then read
#
# The training takes most of a minute, so start it first. It needs no data set. A small
# program invents alphabets, and lets ten hands draw each of their characters: the *glyphs*.

# %%
n_alphabets = by_profile(profile, smoke=4, book=100, paper=300)
glyphs = draw_alphabets(n_alphabets, 20, 10, size=48, generator=generator(seed, device))
print(glyphs)

# %% [markdown]
# A training task takes 60 of these characters, shows one drawing of each and asks for one
# more. Every task takes other characters and numbers them anew, so that no label means
# anything beyond its task.

# %%
steps = by_profile(profile, smoke=4, book=500, paper=4000)
learner = ProtoNet(ResNet(seed=seed), "squared_euclidean").to(device)
history = meta_train(
    learner,
    FewShot(glyphs, way=60, shot=1, query=1),
    loss=cross_entropy,
    steps=steps,
    learning_rate=5e-3,
    schedule=cosine(steps),
    seed=seed,
)
learner.eval()
last = torch.tensor(history.losses[-50:]).mean().item()
print(f"loss: {math.log(60):.1f} for a guess, {last:.1f} at the end")
assert profile == "smoke" or last < 0.8

# %% [markdown]
# The loss is the cross-entropy, the mean over a task's queries. Whoever guesses among 60
# classes pays $\ln 60 = 4.1$ nats. The network ends at a small part of that, on classes
# drawn afresh at every step.
#
# ## The idea in a picture
#
# Now invent more alphabets. They did not exist while the network was trained. Each task
# takes three characters of one alphabet, five support drawings of each and six queries.

# %%
n_fresh = by_profile(profile, smoke=2, book=20, paper=50)
fresh = draw_alphabets(n_fresh, 20, 20, size=48, generator=generator(seed + 1, device))
n_tasks = by_profile(profile, smoke=8, book=200, paper=1000)
three_way = FewShot(fresh, way=3, shot=5, query=6, within_alphabet=True)
episode = three_way.sample(n_tasks, generator=generator(seed, device))
with torch.no_grad():
    support = learner.network(episode.support_x).unflatten(1, (3, 5))
    query = learner.network(episode.query_x)
print("embedded:", tuple(support.shape), tuple(query.shape))


# %%
def accuracy_with(shots):
    """Of every task, if only the first drawings of each class are averaged."""
    prototypes = support[:, :, :shots].mean(2)
    return accuracy(learner.similarity(query, prototypes), episode.query_y)


one_shot, five_shots = accuracy_with(1), accuracy_with(5)
print(f"1 shot {one_shot.mean():.1%}, 5 shots {five_shots.mean():.1%} of the queries")
task = int((five_shots - one_shot).argmax())
assert profile == "smoke" or five_shots.mean() > one_shot.mean() > 0.9

# %%
#| label: fig-prototypes
#| caption: "One task with one and with five support drawings of each class. Above, the drawings; the frame of a query is the class predicted for it, and a wrong answer is struck out. Below, the plane through the three prototypes A, B and C in the 128-dimensional embedding, and the region in which each of them is the nearest. Queries stand where they are projected, coloured by their true class. On the right, rings mark the prototypes of the left panel, arrows lead to the new ones, and dashed lines are the old borders where they cut the new plane."
#| alt: "Two columns, for 1 and 5 shots. Above, a sheet of three rows of drawings; with 1 shot a few queries of one class are struck out, with 5 none. Below, a plane divided by straight borders into three regions around the points A, B and C, with the query drawings scattered over it; with 5 shots the points and the borders have moved, and all drawings lie in the region of their class."
plot_task(episode[task : task + 1], support[task], query[task], shots=(1, 5))

# %% [markdown]
# Look first at what did not happen. Between the left and the right column no weight of the
# network changed, and none has heard of these three characters. Four more drawings of each
# class arrived, three averages moved, and with them the borders.
#
# On the left a class is what one drawing happens to look like. That drawing lies somewhere
# among its kind, sometimes at the rim, and the border, half way to the next prototype, cuts
# into the class. The average of five drawings lies nearer the middle.
#
# We chose this task because it makes the point: of all those drawn it gains most from the
# four extra drawings. In the mean over tasks, printed above, the gain is small, because one
# drawing is nearly enough for three glyphs.
#
# ## What Adapt computes
#
# Let $f_\theta$ be the network, from a drawing to a point in $\R^D$; here $D = 128$. Let
# $S_k$ be the support drawings of class $k$ among $N$ classes. The *prototype* of the class
# is their mean in the embedding:
#
# ```{math}
# :label: eq-proto-mean
# c_k = \frac{1}{|S_k|} \sum_{x \in S_k} f_\theta(x)
# ```
#
# and a query $x$ belongs to class $k$ with probability
#
# ```{math}
# :label: eq-proto-softmax
# p(y = k \mid x) = \frac{\exp(-d(f_\theta(x), c_k))}{\sum_{j=1}^N \exp(-d(f_\theta(x), c_j))}
# ```
#
# where $d$ is a distance, here the squared Euclidean one, $d(z, c) = \lVert z - c \rVert^2$.
# So $\theta' = (c_1, \dots, c_N)$, and adapting means one pass through the network and $N$
# averages. Of the network's weights it changes none.
#
# ```{literalinclude} ../labkit/learners/protonet.py
# :start-at: def adapt(
# :end-before: def require_support
# :label: lst-protonet
# :caption: Equations 1 and 2 of Snell et al. (2017), for T tasks at once.
# :filename: labkit/learners/protonet.py
# ```
#
# The targets are one-hot rows, so `targets.mT @ features` adds up the features of each
# class, and dividing by the number of its drawings makes it Equation [](#eq-proto-mean). The
# training above followed the gradient of the query loss through both calls, and so through
# the drawings in the prototypes as well as the queries. Does the code do what the equation
# says?

# %%
with torch.no_grad():
    adapted = learner.adapt(episode.support_x[:1], episode.support_y[:1])[0]
by_hand = torch.stack([sum(support[0, k]) / 5 for k in range(3)])
assert torch.allclose(adapted, by_hand, rtol=1e-3, atol=1e-3)
print(tuple(adapted.shape), f"{adapted.numel() * adapted.element_size()} bytes")

# %% [markdown]
# Three rows, one for each class: all that the learner keeps of a task, however many drawings
# it was shown.
#
# (sec-proto-mean)=
# ## Why the mean?
#
# One might as well have taken the median, or the drawing nearest the others. The mean is
# right for one family of distances, and the squared Euclidean one belongs to it. Take a
# differentiable, strictly convex function $\varphi$. Its *Bregman divergence* is the gap
# between $\varphi$ at $z$ and the tangent drawn at $c$:
#
# ```{math}
# :label: eq-proto-bregman
# d_\varphi(z, c) = \varphi(z) - \varphi(c) - (z - c)^\top \nabla \varphi(c) \;\ge\; 0
# ```
#
# with equality only at $z = c$. For $\varphi(z) = \lVert z \rVert^2$ it is
# $\lVert z - c \rVert^2$; for $\varphi(z) = \sum_i z_i \ln z_i$ it is the Kullback–Leibler
# divergence, generalised to positive numbers that need not add up to 1.
#
# :::{prf:theorem} The mean is the best single point {cite:p}`banerjee2005clustering`
# :label: thm-proto-mean
# For every Bregman divergence, the point $c$ with the smallest total divergence
# $\sum_i d_\varphi(z_i, c)$ from $n$ points is their mean $\bar z$, and no other.
# :::
#
# :::{prf:proof}
# By Equation [](#eq-proto-bregman), $\sum_i d_\varphi(z_i, c) = \sum_i \varphi(z_i) - n
# \varphi(c) - n (\bar z - c)^\top \nabla \varphi(c)$. At $c = \bar z$ the last term
# vanishes. The difference of the two is
#
# $$
# \sum_i d_\varphi(z_i, c) - \sum_i d_\varphi(z_i, \bar z) = n \left[\varphi(\bar z) -
# \varphi(c) - (\bar z - c)^\top \nabla \varphi(c)\right] = n \, d_\varphi(\bar z, c),
# $$
#
# which is positive unless $c = \bar z$.
# :::
#
# A minimum has slope zero, so the claim can be tested on any eight points. Two distances
# that are no Bregman divergences stand beside two that are.

# %%
distances = {
    "squared Euclidean": lambda z, c: (z - c).square().sum(-1),
    "Kullback–Leibler": lambda z, c: (z * (z / c).log() - z + c).sum(-1),
    "Euclidean, not squared": lambda z, c: (z - c).norm(dim=-1),
    "1 − cosine": lambda z, c: 1 - torch.cosine_similarity(z, c, dim=-1),
}
points = 0.1 + torch.rand(8, 5, generator=generator(seed), dtype=torch.float64)
mean = points.mean(0).requires_grad_()
slope = {
    name: torch.autograd.grad(distance(points, mean).sum(), mean)[0].norm().item()
    for name, distance in distances.items()
}
for name, value in slope.items():
    print(f"{name:24} slope at the mean {value:.3f}")
assert max(list(slope.values())[:2]) < 1e-9 < 1e-3 < min(list(slope.values())[2:])

# %% [markdown]
# The first two are zero, the last two are not: for those, some other point represents the
# class better. A prototypical network may still use the cosine, and the shipped ones below
# do, but then the mean is a choice and not a consequence.
#
# There is a second reading. Suppose the embedded drawings of class $k$ scatter about $c_k$ as
# a Gaussian with the same variance $\frac12$ in every direction, and all classes are equally
# frequent. The density is proportional to $\exp(-\lVert z - c_k \rVert^2)$, and Bayes' rule
# gives exactly Equation [](#eq-proto-softmax). Other Bregman divergences belong to other
# exponential families in the same way ({cite:t}`banerjee2005clustering`, section 4;
# {cite:t}`snell2017prototypical`, section 2.3). So the method assumes that *every class is a
# ball, and all balls are of one size*. Raw pixels are nothing like that. Training makes the
# embedding so, for classes like those it is trained on; we shall break that below.
#
# (sec-proto-linear)=
# ## A linear classifier, written by Adapt
#
# Multiply out the squared distance:
#
# ```{math}
# :label: eq-proto-linear
# -\lVert z - c_k \rVert^2 = \underbrace{2 c_k}_{w_k}{}^\top z \;\underbrace{-\, \lVert c_k \rVert^2}_{b_k} \;-\; \lVert z \rVert^2
# ```
#
# The last term is the same for every class, and the softmax does not see it. What remains is
# a linear classifier with weights $w_k = 2 c_k$ and biases $b_k = -\lVert c_k \rVert^2$
# ({cite:t}`snell2017prototypical`, equation 8). Adapt writes the last layer that the ordinary
# classifier was missing.

# %%
prototypes = support.mean(2).double()
z = query.double()
w, b = 2 * prototypes, -prototypes.square().sum(-1)
linear = z @ w.mT + b.unsqueeze(1) - z.square().sum(-1, keepdim=True)
logits = learner.similarity(z, prototypes)
print("largest difference below 1e-6:", bool((linear - logits).abs().max() < 1e-6))
assert (linear - logits).abs().max() < 1e-6

# %% [markdown]
# The two agree to $10^{-6}$, in double precision, for every query and class of every task.
# Three things follow.
#
# The border between two classes is where $(w_j - w_k)^\top z + b_j - b_k = 0$: the flat set
# half way between $c_j$ and $c_k$, at right angles to the line that joins them. A class owns
# an intersection of half-spaces, which is convex: a *Voronoi cell*. That is why all borders in
# [](#fig-prototypes) are straight.
#
# Everything that is not linear about recognising a drawing has to happen in $f_\theta$, before
# the task is known.
#
# And the picture of three classes is exact. Split $z$ into its projection $z_\parallel$ on
# the plane through the prototypes and the rest: by Pythagoras $\lVert z - c_k \rVert^2 =
# \lVert z_\parallel - c_k \rVert^2 + \lVert z - z_\parallel \rVert^2$, and the second part is
# again the same for every class. What a drawing looks like off the plane, in 126 of its 128
# dimensions, is lost from the figure, and has no part in the answer.

# %%
centre = prototypes.mean(1, keepdim=True)
plane = torch.linalg.svd(prototypes - centre, full_matrices=False).Vh[:, :2]


def flat(points):
    """[T, n, 128] → [T, n, 2]: coordinates in the plane through the prototypes."""
    return (points - centre) @ plane.mT


in_the_plane = learner.similarity(flat(z), flat(prototypes)).softmax(-1)
assert (in_the_plane - logits.softmax(-1)).abs().max() < 1e-6
kept = (flat(z).square().sum() / (z - centre).square().sum()).item()
print(f"same probabilities from {kept:.0%} of the squared distance to the centre")

# %% [markdown]
# With $N$ classes it takes $N - 1$ dimensions, so for five there is no picture that loses
# nothing ([](#ex-proto-directions) measures what two dimensions cost). A plot of many classes
# in the plane shows less than the network knows, as the next figure does.
#
# ## What was learned
#
# What the network contributes is the space in which averages make sense. Here are eight
# characters of a fresh alphabet, as pixels, as the network places them before any training,
# and as it places them now.

# %%
#| label: fig-embedding
#| caption: "Eight characters, 15 drawings of each, on the first two principal components. Below each title: how many of the drawings have one of their own character as nearest neighbour, in all dimensions; and how much of the variance the plane keeps. Colours repeat after four characters."
#| alt: "Three panels of small drawings scattered over a plane. As pixels and before training they are mixed. After training drawings of the same character lie together in clusters."
eight_way = FewShot(fresh, way=8, shot=1, query=15, within_alphabet=True)
episode = eight_way.sample(1, generator=generator(seed, device))
drawings, labels = episode.query_x[0], episode.query_y[0].argmax(-1)
with torch.no_grad():
    spaces = {
        "pixels": drawings.flatten(1),
        "before training": ResNet(seed=seed).to(device).eval()(drawings),
        "after training": learner.network(drawings),
    }
_, panels = plt.subplots(1, 3, figsize=(9, 3.8))
own_kind = [
    plot_embedding(panel, drawings, labels, space, title)
    for panel, (title, space) in zip(panels, spaces.items(), strict=True)
]
assert profile == "smoke" or own_kind[2] > own_kind[0]

# %% [markdown]
# In pixels the nearest neighbour is often another character drawn at the same place. After
# training it is nearly always the same character, and the clusters are compact and separate:
# the balls that the second reading asked for.
#
# ## Shots
#
# How much does each further drawing help?

# %%
#| label: fig-shots
#| caption: Accuracy against the number of support drawings of each class, on 5-way tasks within fresh alphabets; squared Euclidean distance, inductive, bars are 95% intervals.
#| alt: A rising curve over 1, 2, 5 and 10 shots that flattens.
shots = (1, 2, 5, 10)
few_shot = [FewShot(fresh, 5, k, query=5, within_alphabet=True) for k in shots]
by_shot = [evaluate(learner, t, n_tasks=n_tasks // 2, seed=seed) for t in few_shot]
_, axes = plt.subplots(figsize=(6, 3))
figures.curve(axes, shots, by_shot, marker="o")
axes.set(xlabel="support drawings of each class (shots)", ylabel="accuracy")
axes.set_xticks(shots)
plt.show()
assert profile == "smoke" or by_shot[-1].mean > by_shot[0].mean

# %% [markdown]
# The second drawing brings the most, and after five there is little left to gain. The error
# of a mean of $K$ draws falls as $1/K$: the first step halves it.
#
# ## The sceptic's table
#
# Would something simpler do as well? And does it matter that training tasks had 60 classes
# when the test has five? To compare on equal terms we go down to a small network (Conv4 of
# {cite:t}`vinyals2016matching` with 16 channels, on drawings of 28 × 28 pixels). Every
# contestant that trains is given the same number of steps with 120 of the same drawings each,
# from the same initial weights.

# %%
steps = by_profile(profile, smoke=2, book=200, paper=2000)
small, small_fresh = glyphs.resize(28), fresh.resize(28)


def conv4():
    return Conv4(width=16, seed=seed).to(device)


body = conv4()
train_classifier(
    body, small, steps=steps, batch_size=120, learning_rate=5e-3, seed=seed
)
contestants = {
    "nearest neighbour in pixels": NearestNeighbour().to(device),
    "trained from scratch on each task": FineTuning(
        WithHead(conv4(), 5).to(device), loss=cross_entropy, steps=40, rate=0.3
    ),
    "ordinary classifier, nearest centroid": NearestCentroid(body),
}

# %%
for way, tasks_per_step in ((5, 12), (20, 3), (60, 1)):
    protonet = contestants[f"prototypical, trained {way}-way"] = ProtoNet(conv4())
    meta_train(
        protonet,
        FewShot(small, way, shot=1, query=1),
        tasks_per_step=tasks_per_step,
        steps=steps,
        learning_rate=5e-3,
        schedule=cosine(steps),
        seed=seed,
    )


# %%
def compare(learners, tasks, n_tasks):
    """Evaluate and print: all on the same tasks, 95% intervals."""
    results = {
        name: evaluate(one, tasks, n_tasks=n_tasks, seed=seed, device=device)
        for name, one in learners.items()
    }
    for name, result in results.items():
        print(f"{name:38} {result.percent():>13}, {n_tasks} tasks")
    return [result.mean for result in results.values()]


n_few = by_profile(profile, smoke=2, book=100, paper=1000)
table = compare(contestants, FewShot(small_fresh, way=5, shot=1, query=5), n_few)
pixels, scratch, classifier, five_way, _, sixty_way = table
assert profile == "smoke" or sixty_way > five_way > max(pixels, scratch)
assert profile == "smoke" or sixty_way > classifier > pixels

# %% [markdown]
# All on the same 5-way 1-shot tasks between fresh alphabets. A network trained on five
# drawings alone is worse than comparing pixels: five drawings do not determine thousands of
# weights. The ordinary classifier, told to tell 2,000 characters apart, learns features in
# which averages work too, though it was never asked for that. Under this budget it stays
# behind; with far more training such features become hard to beat on photographs
# ({cite:t}`wang2019simpleshot`, {cite:t}`chen2019closer`), so test before you choose.
#
# The last three rows differ only in how the same 120 drawings were cut into tasks. Twelve
# 5-way tasks a step match the test; one 60-way task does not, and comes out ahead. In a 60-way
# task a drawing must keep its distance from 59 others at once, among them the few that really
# resemble it; in a 5-way task those seldom meet. {cite:t}`snell2017prototypical` (section 2.6)
# found the same, train Omniglot 60-way, and advise to match the number of shots instead, on
# which {cite:t}`cao2020theoretical` say why. Mind what the intervals mean: they measure these
# trained networks on more tasks. Another training seed would move each row too.
#
# ## Real characters
#
# Nothing so far was drawn by a person. Omniglot {cite:p}`lake2015concept` has 1,623 characters
# by 20 people each. We keep three of its alphabets, Katakana, Sanskrit and Tagalog, for this
# test alone: every choice in this chapter was made on glyphs or on five other alphabets. The
# cell needs the file `images_background_small2.zip`; `python -m labkit data omniglot small2`
# downloads it and checks it. Without the file the chapter goes on.

# %%
n_real = by_profile(profile, smoke=2, book=600, paper=1000)
held_out = ["Japanese_(katakana)", "Sanskrit", "Tagalog"]
if omniglot.available("small2"):
    real = omniglot.load("small2", size=48).select(held_out).to(device)
    between = FewShot(real, way=5, shot=1, query=5)
    (measured,) = compare({"real, between alphabets": learner}, between, n_real)
    compare({"real, within": learner}, replace(between, within_alphabet=True), n_real)
    assert profile == "smoke" or measured >= 0.92
else:
    real = None
    print("No Omniglot here. To get it: python -m labkit data omniglot small2")

# %% [markdown]
# A minute of training on squiggles from a program, and the network tells apart characters
# that people in Japan and India have written for centuries, from one example of each. Tasks
# within one alphabet are harder, because its characters share their style and often their
# parts.
#
# How far does it go with more time? Two networks come with the book, trained by
# `python -m labkit train protonet-glyphs` on glyphs alone, and by `protonet-glyphs-small1` on
# glyphs and the 136 real characters of five other alphabets, with rotations. They differ from
# ours in one more respect: $-d$ is the cosine of query and prototype times a learned scale.

# %%
shipped = [records.read(n) for n in ("protonet-glyphs", "protonet-glyphs-small1")]
caption = "Real characters of three held-out alphabets; cosine with a learned scale"
HTML(records.html_table(shipped, caption, tasks="held-out alphabets*"))

# %%
name = "held-out alphabets, 5-way 1-shot between alphabets"
recorded = [record.figure(name).mean for record in shipped]
assert recorded[0] >= 0.95 and recorded[1] >= 0.975
reloaded = ProtoNet(ResNet(), "cosine").to(device)
records.load_weights(reloaded, "protonet-glyphs")
if real is not None:
    (again,) = compare({"protonet-glyphs, loaded": reloaded}, between, n_real)
    assert profile == "smoke" or abs(again - recorded[0]) < 0.015

# %% [markdown]
# The stored weights give their recorded figure again. Down the table two things make a task
# harder: more classes, and classes of one alphabet. One thing makes it easier: more drawings
# of each. To the right, time and a few real characters buy the most where tasks are hard.
# These figures do not belong beside the published 98.8% of
# {cite:t}`snell2017prototypical` (Table 1, 5-way 1-shot), which is on other test characters
# after training on 1,200 real ones with rotations.
#
# ## What breaks it
#
# The embedding was made for drawings like those it was trained on. What if others come? We
# change the drawings of fresh 5-way 1-shot tasks, once in support and query alike, and once in
# the queries alone, as when you learn from print and are asked in handwriting.

# %%
changes = {
    "nothing": lambda x: x,
    "a quarter turn": lambda x: x.rot90(1, (-2, -1)),
    "a broad pen": lambda x: F.max_pool3d(x, (1, 5, 5), stride=1, padding=(0, 2, 2)),
    "ink and paper swapped": lambda x: 1 - x,
}


@dataclass(frozen=True)
class Changed:
    """Tasks with every drawing changed, or with `both=False` the queries alone."""

    tasks: FewShot
    change: Callable
    both: bool = True

    def sample(self, n_tasks, *, generator):
        e = self.tasks.sample(n_tasks, generator=generator)
        support_x = self.change(e.support_x) if self.both else e.support_x
        return replace(e, support_x=support_x, query_x=self.change(e.query_x))


# %%
#| label: fig-broken
#| caption: Accuracy on 5-way 1-shot tasks between fresh alphabets whose drawings are changed; inductive, 95% intervals, the same tasks throughout. The dotted line is a guess.
#| alt: Dots for four changes and three series. The prototypical network is far above the pixels when nothing is changed; it falls when queries alone are turned, and when ink and paper are swapped on both sides, where the pixels do as well as before.
tasks = FewShot(fresh, way=5, shot=1, query=5)
series = {"prototypes": (learner, True), "prototypes, queries only": (learner, False)}
series["pixels"] = (NearestNeighbour().to(device), True)
_, axes = plt.subplots(figsize=(7.2, 3.8))
results = {}
for shift, marker, (label, (one, both)) in zip(
    (-0.12, 0, 0.12), "osD", series.items(), strict=True
):
    results[label] = [
        evaluate(one, Changed(tasks, f, both), n_tasks=n_few, seed=seed, device=device)
        for f in changes.values()
    ]
    places = [i + shift for i in range(len(changes))]
    figures.curve(axes, places, results[label], label=label, marker=marker, ls="")
axes.axhline(1 / 5, color=figures.INK, ls=":")
axes.set(xlabel="what is changed", ylabel="accuracy", ylim=(0, 1.02))
axes.set_xticks(range(len(changes)), changes)
axes.legend()
plt.show()

# %%
plain, *_, swapped = (result.mean for result in results["prototypes"])
pixels_plain, *_, pixels_swapped = (result.mean for result in results["pixels"])
print(f"ink and paper swapped: prototypes {swapped:.0%}, pixels {pixels_swapped:.0%}")
assert abs(pixels_swapped - pixels_plain) < 0.02
assert profile == "smoke" or swapped < plain - 0.2

# %% [markdown]
# A quarter turn of everything costs little: an invented alphabet turned is another invented
# alphabet. Turn the queries alone, and the network, which was never told that a turned
# character is the same, answers about as the pixels would.
#
# Swapping ink and paper is the instructive one. To the pixels it is nothing, since
# $\lVert (1 - a) - (1 - b) \rVert = \lVert a - b \rVert$. The learned embedding, far better on
# every drawing it was made for, collapses: its filters and its normalisation statistics have
# never met a black page. A learned distance is knowledge about a distribution of inputs, and
# outside of it there is no warrant that it beats the plainest one.
#
# The second failure needs no strange input. Let a class hold *two* characters, as a capital and
# a small letter share a name. We merge the classes of 10-way tasks in pairs: five classes, two
# support drawings in each, one of either character. The comparison keeps both drawings and
# lets them vote; it is the subject of [](#ch-matching), with this very network.

# %%
ten_way = FewShot(fresh, way=10, shot=1, query=5)


@dataclass(frozen=True)
class TwoInOne:
    """The tasks of `tasks`, every two neighbouring classes made one."""

    tasks: FewShot

    def sample(self, n_tasks, *, generator):
        e = self.tasks.sample(n_tasks, generator=generator)
        merged = [y.unflatten(-1, (-1, 2)).sum(-1) for y in (e.support_y, e.query_y)]
        return replace(e, support_y=merged[0], query_y=merged[1])


# %%
keeps_both = MatchingNet(learner.network, "squared_euclidean").eval()
two_kinds = TwoInOne(ten_way)
compare({"one character a class, 2 shots": learner}, FewShot(fresh, 5, 2, 5), n_few)
both = {"two a class, averaged": learner, "two a class, both kept": keeps_both}
averaged, kept = compare(both, two_kinds, n_few)
assert profile == "smoke" or averaged < kept - 0.02

# %% [markdown]
# The average of two unlike drawings lies between them, where neither is, and may lie nearer
# to a stranger. It is the ball assumption that breaks, in an embedding that is as good as
# before: the same points, kept apart, give the answers back. No number of further drawings
# would help, for they would fix that point between ever more exactly.
# {cite:t}`allen2019infinite` let each class have as many prototypes as it needs.
#
# A third trap, in how networks normalise, is so common that it has a chapter of its own later:
# had the queries shared batch statistics, every one would have been answered with a look at
# the others. All figures here are inductive.
#
# ## Exercises
#
# :::{exercise} Rare classes
# :label: ex-proto-prior
# *Easy, 10 minutes.* Suppose class $k$ turns up with known probability $\pi_k$. What must be
# added to the logits? Derive it from the Gaussian reading, and test it on points that are
# Gaussian.
# :::
#
# ::::{solution} ex-proto-prior
# :label: sol-proto-prior
# :class: dropdown
# Bayes' rule multiplies each density by $\pi_k$: the logit becomes $-\lVert z - c_k \rVert^2 +
# \ln \pi_k$. Distances are untouched; borders move towards the rare class, and stay parallel.
#
# :::{embed} #cell-proto-prior
# :::
# ::::

# %% tags=["remove-cell"]
#| label: cell-proto-prior
source = generator(seed)
centres, prior = torch.tensor([[0.0], [1.0]]), torch.tensor([0.9, 0.1])
truth = torch.multinomial(prior, 20_000, replacement=True, generator=source)
z = centres[truth] + 0.5**0.5 * torch.randn(20_000, 1, generator=source)
logits = -(z - centres.T).square()
plain = (logits.argmax(-1) == truth).float().mean()
informed = ((logits + prior.log()).argmax(-1) == truth).float().mean()
assert informed > plain + 0.05
print(f"without the prior {plain:.2f}, with it {informed:.2f}")

# %% [markdown]
# :::{exercise} How many directions matter
# :label: ex-proto-directions
# *Medium, 20 minutes.* Project 5-way tasks on the first $m$ principal components of their five
# prototypes and classify there. What accuracy do you expect for $m = 1, 2, 3, 4$?
# :::
#
# ::::{solution} ex-proto-directions
# :label: sol-proto-directions
# :class: dropdown
# Five points span four dimensions, so by the argument of [](#sec-proto-linear) $m = 4$ must
# give all answers of the full space. Each direction less merges what differs only along it:
#
# :::{embed} #cell-proto-directions
# :::
#
# In two dimensions, as in every scatter plot of an embedding, some of the classes stand on top
# of one another.
# ::::

# %% tags=["remove-cell"]
#| label: cell-proto-directions
five_shot = FewShot(fresh, way=5, shot=5, query=5)
episode = five_shot.sample(n_tasks // 2, generator=generator(seed, device))
with torch.no_grad():
    c = learner.adapt(episode.support_x, episode.support_y)
    z = learner.network(episode.query_x)
directions = torch.linalg.svd(c - c.mean(1, keepdim=True), full_matrices=False).Vh
accuracies = [
    accuracy(learner.similarity(z @ v.mT, c @ v.mT), episode.query_y).mean().item()
    for v in (directions[:, :m] for m in (1, 2, 3, 4))
]
print([f"{value:.1%}" for value in accuracies])
everything = accuracy(learner.similarity(z, c), episode.query_y).mean().item()
assert abs(accuracies[3] - everything) < 1e-3
assert profile == "smoke" or accuracies[0] < accuracies[3]

# %% [markdown]
# :::{exercise} From 5-way to 20-way
# :label: ex-proto-way
# *Medium, 20 minutes.* Suppose a query is nearer to its own prototype than to a wrong one with
# the same probability $r$, independently for every wrong one. Predict the 20-way accuracy from
# the 5-way one, then measure it. Why is the prediction off, and in which direction?
# :::
#
# ::::{solution} ex-proto-way
# :label: sol-proto-way
# :class: dropdown
# A query is right if it beats $N - 1$ wrong prototypes, so $a_N = r^{N-1}$ and $a_{20} =
# a_5^{19/4}$.
#
# :::{embed} #cell-proto-way
# :::
#
# The measured accuracy is at least as high. Queries are not alike: most beat nearly every
# rival, a few badly drawn ones lose to many. As $r \mapsto r^{19/4}$ is convex, the mean of
# $r_i^{19}$ over queries is larger than the power of the mean (Jensen).
# ::::

# %% tags=["remove-cell"]
#| label: cell-proto-way
five = evaluate(learner, FewShot(fresh, 5, 1, 5), n_tasks=2 * n_few, seed=seed)
twenty = evaluate(learner, FewShot(fresh, 20, 1, 5), n_tasks=n_few, seed=seed)
predicted = five.mean ** (19 / 4)
print(f"5-way {five.percent()}, 20-way {twenty.percent()}, predicted {predicted:.1%}")
assert profile == "smoke" or twenty.mean > predicted - twenty.ci95 - 5 * five.ci95

# %% [markdown]
# :::{exercise} The right summary for the cosine
# :label: ex-proto-cosine
# *Hard, 30 minutes.* Which point $c$ maximises the total cosine $\sum_i \cos(z_i, c)$? Is it
# what `ProtoNet(network, "cosine")` computes? Does the difference matter for the shipped
# network?
# :::
#
# ::::{solution} ex-proto-cosine
# :label: sol-proto-cosine
# :class: dropdown
# With $u_i = z_i / \lVert z_i \rVert$ the sum is $(\sum_i u_i)^\top c / \lVert c \rVert$, so
# every $c$ in the direction of $\sum_i u_i$ is best: average the *normalised* points.
# `ProtoNet` averages first, so long points weigh more. The network has learned with that:
#
# :::{embed} #cell-proto-cosine
# :::
#
# The two differ by less than the interval: training has made the lengths of one class much the
# same.
# ::::

# %% tags=["remove-cell"]
#| label: cell-proto-cosine
reloaded.eval()
with torch.no_grad():
    support = reloaded.network(episode.support_x).unflatten(1, (5, 5))
    z = reloaded.network(episode.query_x)
for name, points in (("points", support), ("directions", F.normalize(support, dim=-1))):
    right = accuracy(reloaded.similarity(z, points.mean(2)), episode.query_y).mean()
    print(f"mean of {name:10} {right:.1%}")
    assert profile == "smoke" or right > 0.9

# %% [markdown]
# ## Where to read on
#
# - {cite:t}`snell2017prototypical` in full is nine pages. Section 2.4 has the linear view,
#   section 3.3 *zero-shot* learning, where a prototype is made from a description of the class
#   in place of examples.
# - {cite:t}`banerjee2005clustering` derive everything this chapter says about means, and $k$-means
#   clustering for every Bregman divergence.
# - {cite:t}`allen2019infinite` replace the ball by a mixture; {cite:t}`wang2019simpleshot` and
#   {cite:t}`chen2019closer` argue for the ordinary classifier.
# - [](#ch-matching) keeps every labelled drawing, and so has no ball to assume.
