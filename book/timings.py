"""How long the chapters take: measured, and kept for their pages to say.

python -m book.timings [CHAPTER ...]

Runs each chapter from top to bottom at profile `book` on one thread, and writes the
processor time to chapters/timings.json: unlike the time of the clock, it hardly depends
on what else the machine is doing.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from book import chapters, runs
from labkit import device
from labkit.experiments import records
from labkit.files import write_atomically

TIMINGS = runs.CHAPTERS / "timings.json"


def main(names: list[str]) -> int:
    """Measure the chapters of these names, all for none; the exit status."""
    os.environ["OMP_NUM_THREADS"] = "1"
    known = json.loads(TIMINGS.read_text("utf-8")) if TIMINGS.exists() else {}
    where = records.surroundings(device.choose("cpu"))
    for path in chapters.find(names):
        before = _processor_seconds()
        with tempfile.TemporaryDirectory() as folder:
            outcome = runs.run(path, {"device": "cpu"}, output_folder=Path(folder))
        if outcome.failure:
            print(f"{path.stem}: {outcome.failure}", file=sys.stderr)
            return 1
        known[path.stem] = {
            "seconds": round(_processor_seconds() - before),
            "device": where["device"],
            "torch": where["torch"],
        }
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        write_atomically(TIMINGS, text)
        print(f"{path.stem}: {known[path.stem]['seconds']} s")
    return 0


def _processor_seconds() -> float:
    """Spent so far by finished child processes, of which a kernel is one."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
