"""One line that shows how far a long computation has come.

It is live in a terminal and in JupyterLab. In a headless execution it prints nothing,
so stored notebook outputs hold results only and are the same at every run.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable


class Progress:
    """Counts up to `total`, showing `label`, the time left and an optional note.

    `show` receives each new line of text; by default it is chosen by where we run.
    """

    def __init__(
        self, label: str, total: int, show: Callable[[str], None] | None = None
    ) -> None:
        self.label, self.total = label, total
        self._show = show or _display()
        self._start = time.monotonic()
        self._shown = 0.0

    def __call__(self, done: int, note: str = "") -> None:
        """Report how many are done; redraws at most 5 times a second."""
        now = time.monotonic()
        if done < self.total and now - self._shown < 0.2:
            return
        self._shown = now
        elapsed = now - self._start
        left = elapsed / max(done, 1) * (self.total - done)
        clock = f"{left:.0f} s left" if done < self.total else f"{elapsed:.0f} s"
        self._show(f"{self.label}: {done}/{self.total}, {clock} {note}".rstrip())


def _display() -> Callable[[str], None]:
    # Jupyter Server names the session of a kernel that somebody looks at; nbclient
    # and nbval start kernels without one.
    if "JPY_SESSION_NAME" in os.environ and "ipykernel" in sys.modules:
        from IPython.display import Pretty, display

        handle = display(Pretty(""), display_id=True)
        return lambda line: handle.update(Pretty(line))
    if sys.stderr.isatty():
        return lambda line: print(
            f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True
        )
    return lambda line: None
