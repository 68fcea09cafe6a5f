"""`python -m labkit`: what it prints, and what it says when it can not."""

import pytest

from labkit.__main__ import main
from labkit.experiments import EXPERIMENTS


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "protonet-glyhps"], "There is no experiment 'protonet-glyhps'"),
        (
            ["train", "matching-glyphs", "--device", "gpu"],
            "device='gpu' cannot be used",
        ),
        (["table", "omniglot-nothing"], "There is no record omniglot-nothing.json"),
        (["data", "omniglot", "small3"], "small3"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_paragraph(arguments, message, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("labkit: ")
    assert message in said
    assert "Traceback" not in said


def test_missing_data_is_noticed_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert main(["train", "omniglot-*"]) == 1
    said = capsys.readouterr().err
    assert "images_background.zip" in said
    assert "python -m labkit data omniglot" in said
