"""Lake's one-shot trials, on a zip of two runs of three characters made here."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from labkit.tasks import lake
from labkit.tasks.downloads import DamagedData, MissingData

ANSWERS = {"run01": [2, 3, 1], "run02": [1, 3, 2]}
"""The class that item 1, 2, 3 of each run shows."""


def png(column):
    """Ink in the one of 15 columns of 7 pixels: what the drawing shows."""
    paper = np.ones((105, 105), dtype=bool)
    paper[:, 7 * column : 7 * column + 7] = False
    buffer = io.BytesIO()
    Image.fromarray(paper).save(buffer, "png")
    return buffer.getvalue()


def runs(answers=ANSWERS):
    """Drawings whose columns say run, side and number: name -> content."""
    members = {}
    for r, (run, classes) in enumerate(answers.items()):
        lines = []
        for item, c in enumerate(classes, 1):
            members[f"{run}/training/class{item:02d}.png"] = png(6 * r + item - 1)
            members[f"{run}/test/item{item:02d}.png"] = png(6 * r + 3 + item - 1)
            lines.append(
                f"{run}/test/item{item:02d}.png {run}/training/class{c:02d}.png"
            )
        members[f"{run}/class_labels.txt"] = "\n".join(lines[::-1]) + "\n"
    return members


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_each_run_is_a_task_with_its_answers(tmp_path):
    episode = lake.read(write(tmp_path / "all_runs.zip", runs()), size=15)
    assert episode.support_x.shape == episode.query_x.shape == (2, 3, 1, 15, 15)
    for r, classes in enumerate(ANSWERS.values()):
        for i in range(3):
            assert episode.support_x[r, i, 0, 0].nonzero().item() == 6 * r + i
            assert episode.query_x[r, i, 0, 0].nonzero().item() == 6 * r + 3 + i
        assert torch.equal(episode.support_y[r], torch.eye(3))
        assert (episode.query_y[r].argmax(-1) + 1).tolist() == classes
    assert episode.support_x.max() == 1.0 and episode.support_x.min() == 0.0


LABELS = "run02/class_labels.txt"
PAIR = "run02/test/item01.png run02/training/class01.png\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({LABELS: None}, "class_labels.txt .* cannot be read"),
        ({LABELS: b"\xff\xfe"}, "class_labels.txt .* cannot be read"),
        ({LABELS: ""}, "must pair each query"),
        ({LABELS: "run02/test/item01.png\n"}, "must pair each query"),
        ({LABELS: PAIR + PAIR}, "must pair each query"),
        ({LABELS: PAIR}, r"runs of \[1, 3\] characters"),
        ({"run02/test/item02.png": None}, "item02.png .* cannot be read"),
        ({"run01/training/class03.png": b"no"}, "class03.png .* cannot be read"),
        (
            {LABELS: "run02/test/item01.png ../secret.png\n"},
            "../secret.png of .*all_runs.zip cannot be read: it is not there",
        ),
    ],
)
def test_a_missing_or_garbled_file_is_named(tmp_path, changes, message):
    members = {k: v for k, v in (runs() | changes).items() if v is not None}
    with pytest.raises(DamagedData, match=message):
        lake.read(write(tmp_path / "all_runs.zip", members), size=28)


def test_an_archive_without_runs_is_refused(tmp_path):
    with pytest.raises(DamagedData, match="no folder run01"):
        lake.read(write(tmp_path / "all_runs.zip", {"notes.txt": "none"}), size=28)


def test_only_the_published_runs_are_loaded(tmp_path):
    with pytest.raises(MissingData, match="python -m labkit data omniglot"):
        lake.load(folder=tmp_path)
    write(tmp_path / "all_runs.zip", runs())
    with pytest.raises(DamagedData, match="sha256 should be 437c1eea"):
        lake.load(folder=tmp_path)
