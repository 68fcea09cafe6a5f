"""One request to a server of language models, with patience where it helps.

A server that is busy, restarts, loses the connection or takes too long is asked again;
what it refuses is not. Redirects are not followed, and no proxy is asked for a server
on this machine.
"""

from __future__ import annotations

import json
import math
import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from ipaddress import ip_address
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from labkit.language_models.errors import LanguageModelError
from labkit.language_models.key import Key, unseen

PASSING = {408, 409, 425, 429}
"""Refusals that may not be the last word; so may all of 500 and above."""

LONGEST_PAUSE = 300.0
"""In seconds: for no longer than this is a server waited for because it asks for it."""

LARGEST_REPLY = 1 << 24
"""In bytes. An answer has some thousand."""

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Its repr leaves out what may repeat the key.

    Attributes:
        status: of HTTP; or the one in an error that a gateway sends as a success.
        body: what its JSON says; None where it is none.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    body: Any = field(repr=False)

    @property
    def is_passing(self) -> bool:
        """Whether the same request may do better in a while."""
        return self.status in PASSING or self.status >= 500

    @property
    def pause(self) -> float | None:
        """The seconds that it asks to wait, if it does."""
        asked = self.headers.get("retry-after", "")
        try:
            seconds = float(asked)
        except ValueError:
            try:
                then = parsedate_to_datetime(asked)
            except ValueError:
                return None
            if then.tzinfo is None:
                then = then.replace(tzinfo=UTC)
            seconds = (then - datetime.now(UTC)).total_seconds()
        return None if math.isnan(seconds) else max(seconds, 0.0)

    def words(self, key: Key, most: int = 500) -> str:
        """What it says, for a message: a line without the key or any control."""
        said = self.body
        for name in ("error", "message", "detail"):
            if isinstance(said, dict) and name in said:
                said = said[name]
        if not isinstance(said, str):
            page = self.text.lstrip().startswith("<")
            said = re.sub(r"<[^>]*>", " ", self.text) if page else self.text
        line = " ".join(printable(said).split())
        # the key goes before the cut; what is looked through has an end of its own
        return key.hidden(line[: 20 * most])[:most]


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        timeout: in seconds, for one reply.
        retries: how often it is asked again.
        pause: the seconds before the first time, doubled for each further one; unless
            the server says how long.

    Raises:
        LanguageModelError: a number that is none of these.
    """

    timeout: float
    retries: int
    pause: float

    def __post_init__(self) -> None:
        if not (0 < self.timeout < math.inf and 0 <= self.pause < math.inf):
            raise LanguageModelError(
                f"timeout={self.timeout} and pause={self.pause} are seconds: the first "
                "above 0, the second not below."
            )
        if self.retries < 0:
            raise LanguageModelError(f"retries={self.retries}: not below 0.")


def printable(text: str) -> str:
    """Without what a terminal obeys: its escapes go, other controls become “�”."""
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Cs") or c in "\n\t" else "�"
        for c in _ESCAPE.sub("", text)
    )


def is_here(address: str) -> bool:
    """Whether the host of an address is this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def post(url: str, body: dict[str, Any], key: Key, patience: Patience) -> Reply:
    """The server's reply to a request, whatever its status.

    A request that is made again has the same Idempotency-Key, so that a server that
    knows it computes the answer, and bills it, once.

    Raises:
        LanguageModelError: no httpx, no key, or no reply.
    """
    key.require()
    headers = {"Idempotency-Key": uuid4().hex}
    for attempt in count():
        last, asked = attempt == patience.retries, None
        try:
            reply = _exchange(url, body, headers, key, patience.timeout)
        except _NoReplyError as error:
            if last:
                raise LanguageModelError(
                    f"{url} does not answer ({error}). Is the server running, and the "
                    f"address right? It was asked {attempt + 1} times, and given "
                    f"{patience.timeout:g} s each time."
                ) from None
        else:
            asked = reply.pause
            if last or not reply.is_passing or (asked or 0) > LONGEST_PAUSE:
                return reply
        time.sleep(patience.pause * 2**attempt if asked is None else asked)
    raise AssertionError("counting ends")


class _NoReplyError(Exception):
    """A request to which nothing whole came back, and which may be made again."""


def _exchange(
    url: str, body: dict[str, Any], headers: dict[str, str], key: Key, timeout: float
) -> Reply:
    try:
        import httpx
    except ImportError:
        raise LanguageModelError(
            "Endpoints need the package httpx: pip install 'labkit[lm]'"
        ) from None
    try:
        stream = partial(httpx.stream, verify=_certificates())
        return _received(stream, url, body, headers, key, timeout)
    except httpx.TransportError as error:
        why = f"{type(error).__name__} {printable(str(error))}"
        raise _NoReplyError(why) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LanguageModelError(
            f"{url} cannot be asked: {type(error).__name__} {printable(str(error))}"
        ) from None


@lru_cache(maxsize=1)
def _certificates() -> Any:
    """Those that this machine trusts; to read them takes longer than a request."""
    import httpx

    return httpx.create_ssl_context()


@unseen
def _received(
    stream: Callable[..., Any],
    url: str,
    body: dict[str, Any],
    headers: dict[str, str],
    key: Key,
    timeout: float,
) -> Reply:
    deadline = time.monotonic() + timeout
    content = bytearray()
    with stream(
        "POST",
        url,
        json=body,
        headers=headers,
        auth=key,
        timeout=timeout,
        trust_env=not is_here(url),
    ) as reply:
        for piece in reply.iter_bytes():
            content += piece
            if len(content) > LARGEST_REPLY:
                raise LanguageModelError(
                    f"{url} sends more than {LARGEST_REPLY:,} bytes for one answer, "
                    "which is none. Is the address right?"
                )
            if time.monotonic() > deadline:
                raise _NoReplyError(f"its reply takes longer than {timeout:g} s")
    text = content.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    status = reply.status_code
    if status == 200 and isinstance(said, dict) and not said.get("choices"):
        error = said.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if error:
            status = code if isinstance(code, int) and code >= 400 else 400
    return Reply(status, dict(reply.headers), text, said)
