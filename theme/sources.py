"""Where the author finds what a node was made from: page, cell, line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from theme.tree import Node, walk

KINDS = {"notebook-code": ("code",), "notebook-content": ("markdown", "raw")}
"""By the kind of a block, the types of the cells that it may come from."""


BLOCKS = ("block", "footnoteDefinition")


@dataclass(frozen=True)
class Source:
    """The text of a Markdown file, or of one cell of a notebook.

    Attributes:
        cell: Its number in the notebook, from 1; None in a Markdown file.
        is_code: Whether it is a cell of code. Then mystmd counts lines in a caption.
    """

    text: str
    cell: int | None = None
    is_code: bool = False

    def line_of(self, node: Node, after: int) -> int | None:
        """The line, from 1, that the node begins on.

        mystmd notes it for some nodes. Of others their first part has one, or the
        source the words that made them, which are looked for from line `after` on.
        """
        for part in walk(node):
            if "position" in part and not self.is_code:
                return part["position"]["start"]["line"]
        address, text = _address(node), _beginning(node)
        lines = self.text.splitlines()
        for number in range(max(after, 1), len(lines) + 1):
            line = lines[number - 1].strip()
            if (address and address in line) or (text and text == line):
                return number
        return None


def sources(file: Path, tree: Node) -> dict[int, Source]:
    """By the `id()` of each block and footnote of the tree, what it was made from."""
    blocks = [n for n in tree.get("children", ()) if n["type"] in BLOCKS]
    try:
        text = file.read_text("utf-8-sig")
        cells = json.loads(text)["cells"] if file.suffix == ".ipynb" else None
    except (OSError, ValueError, KeyError):
        return {}  # places are then named without a line that had to be looked for
    if cells is None:
        return dict.fromkeys(map(id, blocks), Source(text))
    ids = {cell.get("id") for cell in cells}
    found, last = {}, -1
    for block in blocks:
        if block["type"] == "footnoteDefinition":  # mystmd puts them at the end
            last = -1
        for at in range(last + 1, len(cells)):
            if _made_from(block, cells[at], ids):
                text = "".join(cells[at]["source"])
                is_code = cells[at]["cell_type"] == "code"
                found[id(block)] = Source(text, at + 1, is_code)
                last = at
                break
    return found


def _address(node: Node) -> str:
    return node.get("urlSource") or node.get("src") or node.get("url") or ""


def _beginning(node: Node) -> str:
    """The first line of what a node holds."""
    return str(node.get("value") or "").strip().partition("\n")[0]


def _made_from(block: Node, cell: Node, ids: set[str]) -> bool:
    """Whether this cell can be the block's; mystmd drops cells that show nothing."""
    if block.get("html_id") in ids:  # unless a label has taken its place
        return cell.get("id") == block["html_id"]
    if block["type"] == "footnoteDefinition":
        return f"[^{block.get('label')}]:" in "".join(cell["source"])
    if cell["cell_type"] not in KINDS.get(block.get("kind", ""), ()):
        return False
    code = next((node for node in walk(block) if node["type"] == "code"), None)
    if block["kind"] == "notebook-code" and code:
        return "".join(cell["source"]).rstrip().endswith(code["value"].rstrip())
    text = "".join(cell["source"])
    parts = list(walk(block))
    written = filter(None, [*map(_address, parts), *map(_beginning, parts)])
    return any(part in text for part in written)
