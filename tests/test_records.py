"""Records: what is stored, what pages show, what checkpoints do: one and the same."""

import json
import re
import subprocess
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit.evaluation import Evaluation, evaluate
from labkit.experiments import EXPERIMENTS, find, records
from labkit.experiments.characters import EXPERIMENTS as CHARACTERS
from labkit.experiments.characters import FewShotCharacters
from labkit.experiments.experiment import require_writable, run
from labkit.experiments.linear_regression import EXPERIMENTS as LINEAR_REGRESSION
from labkit.experiments.linear_regression import InContextRegression
from labkit.experiments.records import DamagedRecord, Published, Record, Result
from labkit.files import CLONE, home
from labkit.learners.protonet import ProtoNet
from labkit.networks.conv4 import Conv4
from labkit.randomness import SCHEME, seeded
from labkit.tasks import omniglot
from labkit.tasks.characters import CharacterSet
from labkit.tasks.glyphs import draw_alphabets

STORED = sorted((CLONE / "data" / "results").glob("*.json"))
TRAINED = [path.stem for path in STORED if path.stem in EXPERIMENTS]
OF_CHARACTERS = [n for n in TRAINED if isinstance(find(n), FewShotCharacters)]
CHAPTERS = sorted((CLONE / "chapters").glob("*.ipynb"))


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """An empty folder of results of one's own."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return tmp_path


def a_record(name="trial"):
    figure = Result.of(
        "5-way 1-shot",
        Evaluation(0.9512, 0.0041, 1000, 0, "inductive"),
        Published(0.988, "Snell et al. 2017, Table 1"),
    )
    return Record(
        experiment=name,
        command=f"python -m labkit train {name}",
        configuration={"steps": 10},
        results=[figure],
        seed=0,
        seed_scheme=SCHEME,
        seconds=1.5,
        device="cpu (test)",
        threads=1,
        torch=torch.__version__,
        commit="0123456789ab",
    )


def test_a_record_reads_back_as_it_was_written(own_home):
    a_record().write()
    assert records.read("trial") == a_record()


def test_a_missing_record_names_the_command_and_those_there_are(own_home):
    a_record().write()
    with pytest.raises(FileNotFoundError, match=r"labkit train other.*trial"):
        records.read("other")


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.pop("commit"),
        lambda fields: fields.update(extra=1),
        lambda fields: fields.update(results=3),
        lambda fields: fields["results"][0].update(mean="high"),
        lambda fields: fields["results"][0].pop("mean"),
        lambda fields: fields["results"][0].update(published={"value": 1}),
    ],
    ids=["missing", "extra", "no list", "no number", "result", "published"],
)
def test_a_record_with_other_fields_is_named_with_the_remedy(own_home, damage):
    path = a_record().write()
    fields = json.loads(path.read_text())
    damage(fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(
        DamagedRecord, match=r"(?s)trial.json is no record.*labkit train"
    ):
        records.read("trial")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"results": []}'])
def test_what_is_no_record_at_all_is_named_too(own_home, text):
    a_record().write().write_text(text)
    with pytest.raises(DamagedRecord, match=r"trial.json is no record"):
        records.read("trial")


def test_a_missing_figure_lists_those_there_are():
    with pytest.raises(KeyError, match="5-way 1-shot"):
        a_record().result("5-way 2-shot")


def test_tables_show_ours_beside_the_published():
    row = records.table([a_record()]).splitlines()[-1]
    assert row == (
        "| trial | 5-way 1-shot | 95.1 ± 0.4% | 1,000 tasks | inductive "
        "| 98.8% (Snell et al. 2017, Table 1) |"
    )
    assert records.table([a_record()], tasks="20-way*").count("\n") == 1


def test_what_is_no_accuracy_is_shown_in_its_unit_and_not_in_percent():
    record = a_record()
    likelihood = replace(record.results[0], mean=0.7912, unit="nats per target")
    head, _, row = records.table([replace(record, results=[likelihood])]).splitlines()
    assert "| nats per target |" in head
    assert "| 0.79 ± 0.00 |" in row and "| 0.99 (Snell" in row


def kept(learner, name="trial"):
    """The path of its weights, which the record of that name tells of."""
    digest = records.save_weights(learner, name)
    replace(a_record(name), checkpoint_sha256=digest).write()
    return home() / "checkpoints" / f"{name}.safetensors"


def test_weights_return_as_they_were_and_are_named_by_their_content(own_home):
    first, second = ProtoNet(Conv4(seed=1)), ProtoNet(Conv4(seed=2))
    path = kept(first)
    assert records.sha256(path) == records.read("trial").checkpoint_sha256
    records.load_weights(second, "trial")
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_missing_weights_name_the_command(own_home):
    with pytest.raises(FileNotFoundError, match="labkit train trial"):
        records.load_weights(ProtoNet(Conv4()), "trial")


def test_the_commit_is_that_of_this_repository_and_of_no_other(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "labkit").mkdir()
    (tmp_path / "labkit" / "file.py").touch()
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "one")
    monkeypatch.setattr(records, "CLONE", tmp_path / "labkit")
    assert records.surroundings(torch.device("cpu"))["commit"] == "unknown"
    monkeypatch.setattr(records, "CLONE", tmp_path.resolve())
    unchanged = records.surroundings(torch.device("cpu"))["commit"]
    assert re.fullmatch("[0-9a-f]{12}", unchanged)
    (tmp_path / "labkit" / "file.py").write_text("changed")
    assert records.surroundings(torch.device("cpu"))["commit"] == unchanged + "+"


def test_weights_of_another_learner_are_named(own_home):
    kept(ProtoNet(Conv4()))
    with pytest.raises(RuntimeError, match=r"trial.safetensors holds .* ProtoNet"):
        records.load_weights(ProtoNet(Conv4(width=3)), "trial")


def test_weights_that_are_not_those_recorded_are_refused(own_home):
    """A flipped bit, a short file, and another experiment's weights of one shape."""
    path, other = kept(ProtoNet(Conv4())), kept(ProtoNet(Conv4(seed=1)), "other")
    whole = path.read_bytes()
    flipped = bytes([*whole[:-1], whole[-1] ^ 1])
    for content in (flipped, whole[:500], other.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DamagedRecord, match=r"trial.safetensors is damaged.*train"):
            records.load_weights(ProtoNet(Conv4()), "trial")


def test_an_unknown_experiment_lists_those_like_it():
    with pytest.raises(ValueError, match=r"protonet-glyphs.*labkit list"):
        find("protonet-glyhps")
    with pytest.raises(ValueError, match=rf"{list(EXPERIMENTS)[-1]}.*labkit list"):
        find("xyz")


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_no_record_names_a_path_of_the_machine_it_was_made_on(path):
    assert "/" not in json.loads(path.read_text()).get("device", "")
    assert str(Path.home()) not in path.read_text()


@pytest.mark.parametrize("name", TRAINED)
def test_a_record_is_of_the_experiment_as_it_stands(name):
    """A field that came after the record has a default: what was done before."""
    record, experiment = records.read(name), find(name)
    defaults = {
        field.name: field.default
        for field in fields(experiment)
        if field.default is not MISSING
    }
    recorded = {**defaults, **record.configuration}
    for field, value in experiment.configuration().items():
        assert recorded[field] == value, f"run `{record.command}` again"


@pytest.mark.parametrize("name", TRAINED)
def test_a_checkpoint_is_the_one_its_record_was_made_with(name):
    path = CLONE / "data" / "checkpoints" / f"{name}.safetensors"
    assert records.sha256(path) == records.read(name).checkpoint_sha256


@pytest.mark.parametrize("name", OF_CHARACTERS)
@pytest.mark.parametrize("source", ["fresh glyphs", "held-out alphabets"])
def test_a_checkpoint_still_gives_its_recorded_figure(name, source):
    experiment, record = find(name), records.read(name)
    if source == "held-out alphabets" and not omniglot.available("small2"):
        pytest.skip("needs Omniglot: python -m labkit data omniglot small2")
    tasks_name = f"{source}, 5-way 1-shot between alphabets"
    figure = record.result(tasks_name)
    learner = records.load_weights(experiment.learner(), name)
    tasks = experiment.evaluations()[tasks_name]()
    again = experiment.evaluate(
        learner, tasks, n_tasks=figure.n_tasks, seed=figure.seed
    )
    # another processor rounds otherwise, which may turn a close query or two
    assert again.mean == pytest.approx(figure.mean, abs=2e-3)
    assert again.normalisation == figure.normalisation


def test_an_experiment_runs_from_tasks_to_figures(own_home, monkeypatch, capsys):
    """Its record says what its stored weights do, which is more than guessing."""
    two = draw_alphabets(2, 20, 20, generator=seeded(0))
    for source in ("held_out", "fresh_glyphs"):
        monkeypatch.setattr(f"labkit.experiments.characters.{source}", lambda size: two)
    monkeypatch.setattr(FewShotCharacters, "data_sha256", lambda self: {})
    monkeypatch.setattr(FewShotCharacters, "tasks_judged", 10)
    experiment = replace(
        CHARACTERS["protonet-glyphs"],
        network="Conv4",
        width=8,
        way=20,
        steps=5,
        glyph_alphabets=2,
        views=1,
    )
    record = run("small", experiment, seed=0, device=torch.device("cpu"))
    learner = records.load_weights(experiment.learner(), "small")
    assert len(record.results) == 10
    for result in record.results:
        tasks = experiment.evaluations()[result.tasks]()
        one_by_one = evaluate(learner, tasks, n_tasks=10, seed=0)
        assert result.mean == pytest.approx(one_by_one.mean, abs=2e-3)
        (way,) = re.findall(r"(\d+)-way", result.tasks)
        assert result.mean > 2 / int(way)
    assert "held-out alphabets, 5-way 1-shot" in capsys.readouterr().out


def test_a_folder_that_takes_no_results_is_named_before_training(tmp_path, monkeypatch):
    require_writable(tmp_path / "new")
    monkeypatch.setattr("os.access", lambda folder, mode: False)
    with pytest.raises(PermissionError, match="new cannot be written to"):
        require_writable(tmp_path / "new")


def test_an_experiment_that_was_changed_does_not_go_on_from_its_old_weights(
    own_home, monkeypatch
):
    monkeypatch.setattr(InContextRegression, "tasks_judged", 8)
    settings: dict[str, Any] = {"seed": 5, "device": torch.device("cpu")}
    small = replace(LINEAR_REGRESSION["linear-pool-4-draw-0"], steps=3)
    record = run("small", small, **settings)
    assert record.experiment == "small-seed5"  # and the book's "small" is untouched
    assert records.read("small-seed5") == record
    assert {result.seed for result in record.results} == {5}
    with pytest.raises(ValueError, match=r"noise 0.25 -> 3.0.*Delete the file"):
        run("small", replace(small, noise=3.0), **settings)


@pytest.mark.parametrize("name", [n for n in EXPERIMENTS if n.startswith("omniglot")])
def test_the_standard_tables_run_given_the_release(name, monkeypatch):
    release = CharacterSet(
        torch.randint(256, (80, 20, 28, 28)).to(torch.uint8),
        torch.zeros(80, dtype=torch.int64),
        tuple(f"A/character{n:02}" for n in range(80)),
        ("A",),
    )
    parts = release.split(30, 20, 30, generator=seeded(0))
    monkeypatch.setattr("labkit.experiments.characters._vinyals", lambda size: parts)
    monkeypatch.setattr(FewShotCharacters, "data_sha256", lambda self: {})
    record = run(name, find(name), seed=0, device=torch.device("cpu"), smoke=True)
    assert [figure.published is not None for figure in record.results] == [True, True]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_rows_of_records_shown_in_a_chapter_are_those_of_the_records(path):
    current = records.html_table([records.read(name) for name in TRAINED], "")
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            for row in re.findall(r"<tr data-record=.*?</tr>", html):
                assert row in current, f"make execute CHAPTER={path.stem}: {row}"


def test_the_figures_in_the_readme_are_those_of_the_records():
    readme = (CLONE / "README.md").read_text()
    tables = re.findall(
        r"<!-- records:begin (.*?) \| (.*?) -->\n(.*?)\n<!-- records:end -->",
        readme,
        re.S,
    )
    assert tables, "README.md has lost its tables of records"
    for names, pattern, shown in tables:
        expected = records.table([records.read(n) for n in names.split()], pattern)
        command = f"python -m labkit table {names} --tasks '{pattern}'"
        assert shown.strip() == expected, f"put there what `{command}` prints"
