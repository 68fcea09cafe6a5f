"""Lake's one-shot trials: 20 tasks, 20-way 1-shot within an alphabet, fixed for all.

Lake et al. (2015), Human-level concept learning through probabilistic program
induction. In each of 20 runs, one person's drawings of 20 characters of an alphabet are
the support, and another's of the same characters are the queries. People err in 4.5% of
the 400 trials (Lake et al. 2015); the modified Hausdorff distance of the script that
comes with the runs errs in 38.8% (demo_classification.py of the release).
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from labkit.episode import Episode
from labkit.tasks import downloads
from labkit.tasks.archives import SmallFiles, opened
from labkit.tasks.characters import area_resize
from labkit.tasks.downloads import DamagedData
from labkit.tasks.drawings import read_drawings
from labkit.tasks.omniglot import FILES


def load(size: int = 28, folder: Path | None = None) -> Episode:
    """The 20 runs as 20 tasks, 20 support and 20 query drawings of `size` × `size`.

    Raises:
        MissingData: the file is not there. The message says how to get it.
        DamagedData: the file is not the published one.
    """
    return read(downloads.locate(FILES["all_runs"], folder), size)


def read(path: Path, size: int) -> Episode:
    """The runs of a zip, in order, ink 1.0.

    runNN/training/classMM.png are the support, in the order of MM, which is the label;
    runNN/test/itemMM.png the queries; and each line of runNN/class_labels.txt names a
    query and the support drawing of the same character.

    Raises:
        DamagedData: a file is missing or cannot be read, or the answers do not pair
            each query with one support drawing of its run.
    """
    with opened(path) as files:
        names = files.members
        runs = sorted({m[1] for n in names if (m := re.match(r"(run\d+)/", n))})
        if not runs:
            raise DamagedData(f"{path} holds no folder run01, run02, … of trials.")
        tasks = [_run(files, run, size) for run in runs]
    ways = sorted({len(label) for _, _, label in tasks})
    if len(ways) > 1:
        raise DamagedData(
            f"{path} holds runs of {ways} characters: all must have equally many."
        )
    support_x, query_x, label = map(torch.stack, zip(*tasks, strict=True))
    one_hot = torch.eye(ways[0])
    return Episode(
        support_x=support_x,
        support_y=one_hot.expand(len(runs), -1, -1),
        query_x=query_x,
        query_y=one_hot[label],
    )


def _run(files: SmallFiles, run: str, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Support and query drawings [way, 1, size, size], and the label of each query."""
    name = f"{run}/class_labels.txt"
    try:
        lines = files.read(name).decode().splitlines()
    except UnicodeDecodeError as error:
        raise DamagedData(
            f"{name} of {files.path} cannot be read ({error})."
        ) from error
    pairs = [line.split() for line in lines if line.strip()]
    answer = dict(pair for pair in pairs if len(pair) == 2)
    support, queries = sorted(set(answer.values())), sorted(answer)
    if not pairs or not len(pairs) == len(answer) == len(support):
        raise DamagedData(
            f"{name} of {files.path} must pair each query with a support drawing "
            f'of its own, in lines such as "{run}/test/item01.png '
            f'{run}/training/class08.png".'
        )
    images = read_drawings(files, support + queries)
    ink = area_resize(images, size)[:, None] / 255
    label = torch.tensor([support.index(answer[query]) for query in queries])
    return ink[: len(support)], ink[len(support) :], label
