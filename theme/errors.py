"""What stops a build."""

from __future__ import annotations


class BookError(Exception):
    """The book cannot be built; each fault is one paragraph that says what to do."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n  ".join(self.faults)
