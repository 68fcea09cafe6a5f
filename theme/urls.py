"""Addresses that a page may link to, and what it must not do with them."""

from __future__ import annotations

import re

from theme.errors import BookError

LINKED = ("", "http", "https", "mailto", "tel")


def scheme(url: str) -> str:
    """In lower case; "" for a place in the book. Browsers ignore spaces and control
    characters within it, and so does this."""
    found = re.match(r"([a-z][a-z0-9+.-]*):", re.sub(r"[\0- ]", "", url).lower())
    return found[1] if found else ""


def is_remote(url: str) -> bool:
    """Whether what loads it asks the web for it."""
    slashed = re.sub(r"[\0- ]", "", url).replace("\\", "/").startswith("//")
    return slashed or scheme(url) in ("http", "https", "ftp")


def linkable(url: str) -> str:
    """The address as it is, if a reader may be sent there.

    Raises:
        BookError: following it would run a script, or leave a reader's machine in
            another way than to a page or a mail.
    """
    if scheme(url) not in LINKED:
        raise BookError(
            f"A link leads to {url[:80]}. Pages link to other pages, to http, https, "
            "mailto and tel: write one of these, or the text without a link."
        )
    return url
