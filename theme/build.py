"""`python -m theme build`: the command behind `make book`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from theme.check import faults
from theme.content import content_folder
from theme.errors import BookError
from theme.pages import ARCHIVE, HERE, Pages
from theme.programs import run
from theme.render import render

# A line with one of these signs, and what follows it with an indent.
COMPLAINT = re.compile(r"^.*?[⛔⚠]\ufe0f?\s*(.*(?:\n {3}\S.*)*)", re.M)
# The theme meets the same in the tree, and knows its cell and its line.
RESTATED = (
    "Invalid code cell metadata",
    "Cannot find image",
    "Error saving image",
    "Unsupported image extension",
    "Cross reference target was not found",
    "Cross reference text is empty",
    "No target for internal reference",
    "Link text is empty",
    "Could not link citation",
    "unknown role",
    "unknown directive",
    "unknown format for raw content",
    "Error copying file",
)


def build(root: Path) -> Path:
    """Build the book of the project at `root` and check it; where its first page is.

    Raises:
        BookError: all that mystmd and the theme complain of; or no page can be written;
            or a link or picture leads nowhere.
    """
    folder, fresh = root / "_build" / "html", root / "_build" / "html-new"
    try:
        install_assets()
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    except OSError as error:
        raise BookError(
            f"The book is written to {folder}, where nothing can be written ({error}). "
            "Build it in a copy of the project that you may change."
        ) from error
    complaints = parse(root)
    pages = Pages(content_folder(root / "_build" / "site"), root)
    try:
        files = render(pages)
    except BookError as error:
        rest = others(complaints, error.faults)
        raise BookError(*error.faults, *paragraphs(rest)) from error
    for place, content in files.items():
        (fresh / place).parent.mkdir(parents=True, exist_ok=True)
        (fresh / place).write_bytes(content)
    pack(fresh)
    found = [*paragraphs(complaints), *faults(fresh)]
    if found:
        raise BookError(*found)
    # An older book stays until there is one to take its place.
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder / "index.html"


def parse(root: Path) -> list[str]:
    """Let mystmd read the project, into _build/site; what it complains of.

    Raises:
        BookError: it ended without having written the site.
    """
    site = root / "_build" / "site"
    shutil.rmtree(site, ignore_errors=True)
    ended = run("myst", "build", "--site", "--ci", folder=root)
    # It exits with 0 after most of its errors, hence the look at its output.
    complaints = list(dict.fromkeys(COMPLAINT.findall(ended.stdout)))
    if ended.returncode or not (site / "config.json").exists():
        last = [
            line
            for line in ended.stdout.partition("Myst CLI Versions")[0].splitlines()
            if not re.match(r"\s*($|at |Node\.js |[╭│╰])", line)
        ]
        raise BookError(
            *paragraphs(complaints),
            *empty_outputs(root),
            f"mystmd could not read the project (exit status {ended.returncode}). Its "
            "last lines:\n    " + "\n    ".join(last[-6:]),
        )
    return complaints


def empty_outputs(root: Path) -> Iterator[str]:
    """Printed texts of no letter in notebooks; mystmd ends at one, and names none."""
    for file in sorted(root.glob("**/*.ipynb")):
        place = file.relative_to(root)
        if place.parts[0].startswith((".", "_")):
            continue
        try:
            cells = json.loads(file.read_text("utf-8"))["cells"]
        except (ValueError, KeyError):
            continue  # of which mystmd complains
        for number, cell in enumerate(cells, start=1):
            for output in cell.get("outputs", ()):
                if output["output_type"] == "stream" and not "".join(output["text"]):
                    yield (
                        f"{place}, cell {number}: an output is printed text of no "
                        "letter, which mystmd cannot read. Run the cell again, or "
                        "clear its outputs."
                    )


def paragraphs(complaints: list[str]) -> list[str]:
    """Complaints of mystmd, each with its place as the theme writes it."""
    in_cells = re.compile(r"^(\S*\.ipynb):(\d+)(?::\d+)? ")
    in_files = re.compile(r"^(\S*):(\d+)(?::\d+)? ")
    found = []
    for complaint in complaints:
        said = in_cells.sub(r"\1, line \2 of a cell: ", " ".join(complaint.split()))
        found.append(in_files.sub(r"\1, line \2: ", said) + " (mystmd)")
    return found


def others(complaints: list[str], known: tuple[str, ...]) -> list[str]:
    """Complaints of mystmd that the faults known to the theme do not restate."""
    return [
        complaint
        for complaint in complaints
        if not any(phrase in complaint for phrase in RESTATED)
        and not any(_said(complaint) in fault for fault in known)
    ]


def _said(complaint: str) -> str:
    """The first line, without its place: of `a.md:3 Unexpected end`, the end."""
    return complaint.partition("\n")[0].partition(" ")[2]


def pack(folder: Path) -> None:
    """The whole book as one file in it, which a reader can take offline.

    The same pages give the same bytes: entries are sorted and have no date.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with ZipFile(folder / ARCHIVE, "w", ZIP_DEFLATED) as archive:
        for file in files:
            name = f"{Path(ARCHIVE).stem}/{file.relative_to(folder).as_posix()}"
            archive.writestr(ZipInfo(name), file.read_bytes(), ZIP_DEFLATED)


def install_assets() -> None:
    """Bring the packages of package-lock.json (KaTeX, axe) to theme/node_modules."""
    locked = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]

    def installed(place: str) -> str | None:
        manifest = HERE / place / "package.json"
        if not manifest.exists():
            return None
        return json.loads(manifest.read_text("utf-8"))["version"]

    if all(
        installed(place) == entry["version"] for place, entry in locked.items() if place
    ):
        return
    ended = run("npm", "ci", "--ignore-scripts", folder=HERE)
    if ended.returncode:
        raise BookError(
            "npm could not fetch the style sheet and fonts of the mathematics, which "
            f"needs the network once:\n{ended.stdout}"
        )
