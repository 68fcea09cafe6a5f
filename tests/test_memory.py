"""What memory grows with, and what it does not: bytes of tensors alive at once."""

from itertools import pairwise

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labkit.evaluation import evaluate
from labkit.learners.maml import MAML
from labkit.networks.mlp import MLP
from labkit.objective import meta_loss, squared_error
from labkit.tasks.sinusoids import Sinusoids
from labkit.training import meta_train

TASKS = Sinusoids()


class Peak(TorchDispatchMode):
    """Largest number of bytes of results of operations that were alive together."""

    def __init__(self):
        super().__init__()
        self.alive, self.bytes = {}, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        results = operation(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, torch.Tensor):
                storage = result.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: a for key, a in self.alive.items() if not a[0].expired()}
        self.bytes = max(self.bytes, sum(size for _, size in self.alive.values()))
        return results


def peak(function):
    function()  # what is created once and kept
    with Peak() as mode:
        function()
    return mode.bytes


def learner(inner_steps=3, first_order=False):
    return MAML(
        MLP(),
        loss=squared_error,
        inner_steps=inner_steps,
        inner_rate=0.01,
        first_order=first_order,
    )


def test_the_measure_counts_what_is_alive_together():
    def three_of_which_two_at_once():
        a = torch.zeros(1000)
        b = a + 1
        del a
        return b + 1

    assert peak(three_of_which_two_at_once) == 8000


def test_evaluation_needs_no_more_for_200_tasks_than_for_20():
    maml = learner()

    def evaluation(n_tasks):
        return peak(lambda: evaluate(maml, TASKS, score=squared_error, n_tasks=n_tasks))

    scores = 200 * 8  # one number a task is kept, in double precision, and stacked
    assert evaluation(200) <= evaluation(20) + 4 * scores


def test_evaluation_needs_no_more_for_more_inner_steps():
    def evaluation(inner_steps):
        maml = learner(inner_steps)
        return peak(lambda: evaluate(maml, TASKS, score=squared_error, n_tasks=20))

    assert evaluation(10) == evaluation(3)


def outer_step(inner_steps, first_order):
    maml = learner(inner_steps, first_order)
    episode = TASKS.sample(8, generator=torch.Generator().manual_seed(0))

    def step():
        maml.zero_grad()
        meta_loss(maml, episode, squared_error).backward()

    return peak(step)


def test_the_outer_step_grows_with_the_inner_steps_at_second_order_alone():
    second = [outer_step(n, first_order=False) for n in (2, 4, 6, 8)]
    steps = [b - a for a, b in pairwise(second)]
    assert min(steps) > 0
    assert max(steps) < 1.05 * min(steps)  # as much for every further step
    assert outer_step(8, first_order=True) == outer_step(4, first_order=True)


def test_chunks_of_tasks_bound_it():
    def training(tasks_per_chunk):
        maml = learner()
        return peak(
            lambda: meta_train(
                maml,
                TASKS,
                steps=1,
                loss=squared_error,
                tasks_per_step=32,
                tasks_per_chunk=tasks_per_chunk,
            )
        )

    whole, half, eighth = training(None), training(16), training(4)
    assert half < 0.6 * whole
    assert eighth < 0.2 * whole
