"""Long trainings, each one command: `python -m labkit train NAME`.

A chapter's reader cannot wait for these. Each writes a record, and where a chapter
needs them its weights (`labkit.experiments.records`), so that every figure in the book
that no cell computes can be traced to the command that did.
"""

from __future__ import annotations

from labkit.experiments.adapted_characters import EXPERIMENTS as ADAPTED_CHARACTERS
from labkit.experiments.characters import EXPERIMENTS as CHARACTERS
from labkit.experiments.emergence import EXPERIMENTS as EMERGENCE
from labkit.experiments.experiment import Experiment
from labkit.experiments.gaussian_processes import EXPERIMENTS as GAUSSIAN_PROCESSES
from labkit.experiments.languages import EXPERIMENTS as LANGUAGES
from labkit.experiments.linear_regression import EXPERIMENTS as LINEAR_REGRESSION
from labkit.experiments.records import like
from labkit.experiments.sinusoids import EXPERIMENTS as SINUSOIDS
from labkit.experiments.stream import EXPERIMENTS as STREAMS

EXPERIMENTS: dict[str, Experiment] = {
    **CHARACTERS,
    **ADAPTED_CHARACTERS,
    **GAUSSIAN_PROCESSES,
    **SINUSOIDS,
    **STREAMS,
    **LINEAR_REGRESSION,
    **LANGUAGES,
    **EMERGENCE,
}


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        ValueError: there is none; the message names those like it.
    """
    if name not in EXPERIMENTS:
        raise ValueError(
            f"There is no experiment {name!r}. There are: "
            f"{like(name, [*EXPERIMENTS])}. `python -m labkit list` shows all."
        )
    return EXPERIMENTS[name]
