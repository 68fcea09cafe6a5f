"""What every chapter shares: three sizes of the same computation."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")

PROFILES = ("smoke", "book", "paper")
"""Seconds, to prove that it runs; what is committed; the full protocol, for a GPU."""


def by_profile(profile: str, *, smoke: Value, book: Value, paper: Value) -> Value:
    """The value that belongs to the profile of this run.

    Raises:
        ValueError: there is no such profile.
    """
    if profile not in PROFILES:
        raise ValueError(
            f"profile={profile!r} is unknown. Choose one of: {', '.join(PROFILES)}."
        )
    return {"smoke": smoke, "book": book, "paper": paper}[profile]
