"""The wheel and the source archive, built and used where nothing else of ours is."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Runs a command in an environment that holds the wheel, and returns its result.

    The packages that labkit needs are those of this environment, seen through a path,
    which shows none of its editable installs.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    packages = subprocess.check_output(
        [scripts / "python", "-c", "import site; print(site.getsitepackages()[0])"],
        text=True,
    ).strip()
    here = "\n".join(site.getsitepackages())
    Path(packages, "dependencies.pth").write_text(here, "utf-8")
    subprocess.run(
        [scripts / "python", "-m", "pip", "install", "--no-deps", "--quiet", built[0]],
        check=True,
        capture_output=True,
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LABKIT_") and name != "PYTHONPATH"
        }
        variables |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
        variables |= {"LOCALAPPDATA": str(folder / "data")}
        return subprocess.run(
            [scripts / words[0], *words[1:]],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
        )

    return run


def test_the_wheel_holds_the_code_its_records_and_the_licence_of_the_code(built):
    names = zipfile.ZipFile(built[0]).namelist()
    rooms = {name.split("/")[0] for name in names}
    assert {room.partition("-")[0] for room in rooms} == {"labkit"}
    licences = [name for name in names if "licenses" in name]
    assert [name.rpartition("/")[2] for name in licences] == ["LICENSE"]
    assert "labkit/py.typed" in names
    assert "labkit/shipped/results/protonet-glyphs.json" in names
    assert "labkit/shipped/checkpoints/protonet-glyphs.safetensors" in names


def test_an_installed_command_prints_a_record(installed):
    found = installed("labkit", "table", "protonet-glyphs", "--tasks", "fresh*5-way*")
    assert found.returncode == 0, found.stderr
    assert "fresh glyphs, 5-way 1-shot between alphabets" in found.stdout


def test_an_installed_command_measures_a_record_again(installed):
    found = installed("labkit", "evaluate", "linear-pool-4-draw-0", "--tasks", "8")
    assert found.returncode == 0, found.stderr
    assert "new tasks, 7 examples" in found.stdout


def test_an_installed_command_trains(installed):
    found = installed("labkit", "train", "linear-pool-4-draw-0", "--smoke")
    assert found.returncode == 0, found.stderr
    assert "new tasks, 7 examples" in found.stdout


def test_data_go_into_the_folder_of_the_user_or_into_one_that_is_named(installed):
    code = "from labkit.tasks.omniglot import FILES; print(FILES['small1'].path())"
    found = installed("python", "-c", code)
    path = Path(found.stdout.strip())
    assert path.parts[-4:-1] == ("data", "labkit", "omniglot"), found.stderr


def test_a_missing_checkpoint_says_where_it_was_looked_for(installed):
    found = installed("labkit", "evaluate", "omniglot-protonet-1shot")
    assert found.returncode == 1
    assert "There is no record omniglot-protonet-1shot.json" in found.stderr
    assert "labkit train omniglot-protonet-1shot" in found.stderr


def test_the_names_a_user_types_come_from_labkit_itself(installed):
    code = "from labkit import MAML, ProtoNet, evaluate, meta_train; print(MAML)"
    assert "labkit.learners.maml" in installed("python", "-c", code).stdout


def test_the_source_archive_tests_itself(built, tmp_path):
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    for name in ("LICENSE", "LICENSE-TEXT", "README.md", "Makefile", "chapters"):
        assert (unpacked / name).exists(), name
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    chosen = ["tests/test_protonet.py", "tests/test_architecture.py"]
    found = subprocess.run(
        [*command, *chosen], cwd=unpacked, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout
