"""A chapter of four cells, for the tests of the commands on chapters."""

from __future__ import annotations

from pathlib import Path

import nbformat

SCRIPT = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A chapter

# %% tags=["parameters"]
seed = 0
device = "auto"
profile = "book"

# %%
print(seed, device, profile)

# %%
print("the second")
"""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def outputs(path: Path) -> list[str]:
    """What each code cell of a notebook printed."""
    return [
        "".join(output.text for output in cell.outputs)
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
