"""The methods of the book, one idea a file.

    min_θ  E_{T ~ p(T)} [ L_T( f_θ' ) ]      with   θ' = Adapt(θ, support_T)

`labkit.tasks` is p(T), an `Episode` is one draw of it, every learner in
`labkit.learners` is an Adapt and an f_θ', `labkit.objective` is the expectation,
`labkit.training.meta_train` the minimisation and `labkit.evaluation.evaluate` the
honest estimate of what was reached.
"""

import os

# Threads that wait for one another sleep. By default they spin, and where another
# program wants the processor too, two threads then take ten times as long as one.
# PyTorch reads it once, as it is imported; what the reader has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from labkit.episode import Episode, TaskDistribution
from labkit.evaluation import Evaluation, evaluate
from labkit.learner import Learner
from labkit.learners.anil import ANIL
from labkit.learners.in_context import InContext
from labkit.learners.maml import MAML
from labkit.learners.mann import MANN
from labkit.learners.matching import MatchingNet
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.networks.mlp import MLP
from labkit.networks.network import Network
from labkit.objective import accuracy, cross_entropy, squared_error
from labkit.randomness import seeded
from labkit.training import meta_train

__all__ = [
    "ANIL",
    "MAML",
    "MANN",
    "MLP",
    "Conv4",
    "Episode",
    "Evaluation",
    "InContext",
    "Learner",
    "MatchingNet",
    "Network",
    "ProtoNet",
    "TaskDistribution",
    "accuracy",
    "cross_entropy",
    "evaluate",
    "meta_train",
    "seeded",
    "squared_error",
]
