"""What holds for every chapter as committed. `make test` also runs nbval over them."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import NotebookNode

from book import chapters, marks, pairs, runs
from labkit.experiments.profiles import PROFILES, by_profile

PATHS = chapters.find([])
every_chapter = pytest.mark.parametrize("path", PATHS, ids=[p.stem for p in PATHS])


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def parsed(cell: NotebookNode) -> ast.Module:
    """The code of a cell without the commands of IPython."""
    lines = cell.source.splitlines()
    return ast.parse("\n".join(line for line in lines if line[:1] not in "%!"))


def stored_text(path: Path) -> str:
    """All that the outputs of a notebook say in words."""
    found = []
    for cell in code_cells(path):
        for output in cell.outputs:
            found.append(output.get("text", ""))
            data = output.get("data", {})
            found += [data.get(kind, "") for kind in ("text/plain", "text/html")]
    return "\n".join(found)


@every_chapter
def test_script_and_notebook_hold_the_same_text(path: Path) -> None:
    script = path.with_suffix(".py").read_text(encoding="utf-8")
    assert pairs.script_of(read(path)) == script, "To mend it: make sync"


@every_chapter
def test_everything_but_the_outputs_follows_from_the_text(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    normalised = copy.deepcopy(notebook)
    pairs.normalise(normalised, path.stem)
    assert normalised == notebook, "To mend it: make sync"


@every_chapter
def test_labels_captions_and_alternative_texts_are_sentences(path: Path) -> None:
    marks.check(read(path), path.name)


@every_chapter
def test_formulas_are_plain_latex(path: Path) -> None:
    """JupyterLab does not know the book's macros, which pages of prose may use."""
    project = yaml.safe_load((pairs.ROOT / "myst.yml").read_text(encoding="utf-8"))[
        "project"
    ]
    names = "|".join(re.escape(macro) for macro in project["math"])
    for cell in read(path).cells:
        assert not re.search(f"(?:{names})(?![a-zA-Z])", cell.source), cell.source


def broken_formulas(text: str) -> list[str]:
    """Formulas within a sentence of which a line begins with an operator.

    To Markdown such a line is an item of a list, a quotation or the rule below a
    heading: the formula is never seen.
    """
    within = re.findall(r"(?<![\\$])\$(?!\$)([^$]+?)(?<!\\)\$(?!\$)", text)
    return [formula for formula in within if re.search(r"\n *[-+*=<>]", formula)]


@every_chapter
def test_no_line_within_a_formula_begins_with_an_operator(path: Path) -> None:
    prose = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert [formula for text in prose for formula in broken_formulas(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the mean over $j = 0, \\dots, N\n- 1$ is", ["j = 0, \\dots, N\n- 1"]),
        ("so $y\n= x$ holds", ["y\n= x"]),
        ("with $a - b$ and\n- $c$ in a list", []),
        ("$$\na\n= b\n$$", []),
        ("half of $x\n\\cdot y$", []),
    ],
)
def test_a_formula_that_markdown_would_break_is_found(
    text: str, found: list[str]
) -> None:
    assert broken_formulas(text) == found


@every_chapter
def test_no_output_is_a_wall_of_text(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert len(output.get("data", {}).get("text/plain", "")) < 2000, cell.source


@every_chapter
def test_figures_are_seen_where_svg_is_not_shown(path: Path) -> None:
    """In JupyterLab on another computer, in Colab and on GitHub."""
    remedy = f"To mend it: make execute CHAPTER={path.stem}"
    for cell in code_cells(path):
        for output in cell.outputs:
            kinds = output.get("data", {})
            assert "image/svg+xml" not in kinds or "image/png" in kinds, remedy
    assert path.stat().st_size < 1_500_000


@every_chapter
def test_one_cell_holds_the_three_parameters(path: Path) -> None:
    cells = code_cells(path)
    if not cells:
        pytest.skip("a chapter of prose")
    tagged = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    values = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(tagged[0].source).body
    }
    assert values == {"seed": 0, "device": "auto", "profile": "book"}


@every_chapter
def test_labkit_comes_before_torch(path: Path) -> None:
    """PyTorch reads what labkit sets for its threads once, as it is imported."""
    nodes = (node for cell in code_cells(path) for node in ast.walk(parsed(cell)))
    modules = [
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in nodes
        if isinstance(node, ast.ImportFrom | ast.Import)
    ]
    rooms = [module.partition(".")[0] for module in modules]
    assert "torch" not in rooms or rooms.index("labkit") < rooms.index("torch")


@every_chapter
def test_code_comes_in_pieces_that_fit_the_eye(path: Path) -> None:
    """Imports are not counted: one a module, they are folded away and not read."""
    imports = re.compile("import |from ")
    cells = [
        [line for line in cell.source.splitlines() if not imports.match(line)]
        for cell in code_cells(path)
    ]
    assert max(map(len, cells)) <= 25, max(cells, key=len)
    code = [line for lines in cells for line in lines if line.strip()]
    assert len([line for line in code if not line.startswith("#")]) <= 250


@every_chapter
def test_was_executed_from_top_to_bottom(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    remedy = f"To mend it: make execute CHAPTER={path.stem}"
    assert counts == list(range(1, len(counts) + 1)), remedy


@every_chapter
def test_stores_no_error_and_no_warning(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"{cell.source}\n{output.text}"


@every_chapter
def test_outputs_name_no_address_and_no_folder_of_a_machine(path: Path) -> None:
    found = re.findall(
        r"0x[0-9a-f]{6,}|/(?:home|root|tmp|Users|work)/", stored_text(path)
    )
    assert not found


@every_chapter
def test_runs_small_with_another_seed_from_another_folder(
    path: Path, tmp_path: Path
) -> None:
    before = {
        file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()
    }
    outcome = runs.run(
        path,
        {"profile": "smoke", "seed": 1},
        output_folder=tmp_path / "runs",
        working_directory=tmp_path,
    )
    assert not outcome.failure
    after = {
        file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()
    }
    assert after == before


def test_the_pair_check_agrees_with_jupytext_itself(tmp_path: Path) -> None:
    script = '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nseed = 0\n'
    (tmp_path / "01_a.py").write_text(script, encoding="utf-8")
    pairs.sync(tmp_path / "01_a.ipynb")
    settings = pairs.ROOT / "jupytext.toml"
    (tmp_path / "jupytext.toml").write_bytes(settings.read_bytes())
    convert = ["01_a.ipynb", "--to", "py:percent", "--output", "converted.py"]
    subprocess.run(
        [sys.executable, "-m", "jupytext", *convert],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "converted.py").read_bytes() == (
        tmp_path / "01_a.py"
    ).read_bytes()


@pytest.mark.parametrize(
    ("profile", "value"), list(zip(PROFILES, (1, 2, 3), strict=True))
)
def test_a_profile_chooses_its_value(profile: str, value: int) -> None:
    assert by_profile(profile, smoke=1, book=2, paper=3) == value


def test_an_unknown_profile_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"'fast' is unknown.*smoke, book, paper"):
        by_profile("fast", smoke=1, book=2, paper=3)


def test_the_picture_in_the_readme_is_that_of_the_chapter() -> None:
    folder = Path(__file__).parents[1] / "chapters"
    picture = (folder / "images" / "prototypes.svg").read_text(encoding="utf-8")
    outputs = [
        output.get("data", {}).get("image/svg+xml")
        for cell in read(folder / "02_prototypical.ipynb").cells
        for output in cell.get("outputs", [])
    ]
    assert picture in outputs, "copy the picture of fig-prototypes there"
