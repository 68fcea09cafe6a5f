"""A language model behind an OpenAI-compatible endpoint: θ' is the text of the prompt.

Each query is one POST to {address}/chat/completions, with the examples as the turns of
a dialogue before it and, unless `options` says otherwise, temperature 0. The support is
sent again with every query; nothing of it stays on this side but the text.

The key is read from an environment variable when a request is made. It is kept in no
object, and no message repeats it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labkit.language_models.exam import BridgeError, Pair, dialogue

TOKENS_A_MESSAGE = 8
"""Allowed for the marks that a server writes around each message."""

BUSY = {429, 500, 502, 503, 504}
"""Answers of a server that may do better when asked again."""


@dataclass(frozen=True)
class Endpoint:
    """Answer queries with the model of that name at that address.

    Attributes:
        address: up to and with the version, such as "http://localhost:8000/v1".
        key_variable: the *name* of the environment variable that holds the key.
        tokens_written: the longest answer; a longer one is cut off.
        timeout: in seconds, for one answer.
        retries: how often a busy server is asked again, and the seconds before the
            first time, doubled for each further one.
        pause: how often a busy server is asked again, and the seconds before the first
            time, doubled for each further one.
        options: more fields of the request. None leaves a field out.

    Raises:
        BridgeError: no httpx, an address that is none, a key in place of the name of
            a variable; and, from `predict`, whatever the server refuses.
    """

    address: str
    model: str
    key_variable: str | None = None
    tokens_written: int = 64
    timeout: float = 60.0
    retries: int = 3
    pause: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    free = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or "@" in parts.netloc
        ):
            raise BridgeError(
                "The address of an endpoint has the form https://host/v1, with neither "
                "a user nor a key in it."
            )
        if self.key_variable and not re.fullmatch(
            "[A-Z_][A-Z0-9_]*", self.key_variable
        ):
            raise BridgeError(
                "key_variable is the name of an environment variable, in capitals, "
                "such as MY_API_KEY, and never the key itself. What was given is not "
                "repeated here, in case it was the key."
            )

    def adapt(self, support: Sequence[Pair]) -> tuple[Pair, ...]:
        """θ': the examples, as they are."""
        return tuple(support)

    def predict(self, adapted: tuple[Pair, ...], queries: Sequence[str]) -> list[str]:
        return [self._answer(adapted, query) for query in queries]

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        """An upper bound: a token for every byte, and some for every message."""
        return sum(
            len(message["content"].encode()) + TOKENS_A_MESSAGE
            for message in dialogue(support, query)
        )

    def _answer(self, support: Sequence[Pair], query: str) -> str:
        body = {
            "model": self.model,
            "messages": dialogue(support, query),
            "max_tokens": self.tokens_written,
            "temperature": 0,
            **self.options,
        }
        body = {name: value for name, value in body.items() if value is not None}
        reply = self._post(body)
        try:
            return str(reply.json()["choices"][0]["message"]["content"] or "").strip()
        except (ValueError, KeyError, IndexError, TypeError):
            raise BridgeError(
                f"What {self.address} answered is not in the form of OpenAI's "
                "chat/completions. Is the address complete, with the /v1 at its end?"
            ) from None

    def _post(self, body: dict[str, Any]) -> Any:
        """The server's reply to a request, after some patience if it is busy."""
        try:
            import httpx
        except ImportError:
            raise BridgeError(
                "Endpoints need the package httpx: pip install 'labkit[lm]'"
            ) from None
        key = self._key()
        url = f"{self.address.rstrip('/')}/chat/completions"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        for attempt in range(self.retries + 1):
            try:
                reply = httpx.post(
                    url, json=body, headers=headers, timeout=self.timeout
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # not `from error`, which holds the request and with it the key
                raise BridgeError(
                    f"{self.address} does not answer ({type(error).__name__}). Is the "
                    "server running, and the address right?"
                ) from None
            if reply.status_code not in BUSY or attempt == self.retries:
                break
            time.sleep(self.pause * 2**attempt)
        if not reply.is_success:
            raise BridgeError(self._refusal(reply, key))
        return reply

    def _key(self) -> str | None:
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key or not (key.isascii() and key.isprintable()):
            raise BridgeError(
                f"The environment variable {self.key_variable} holds no key. Set it "
                "before Python starts, outside of the notebook."
            )
        return key

    def _refusal(self, reply: Any, key: str | None) -> str:
        status = reply.status_code
        if status in (401, 403):  # the server's words may hold parts of the key
            where = self.key_variable or "no variable: key_variable is not given"
            return f"{self.address} refuses the key ({status}). It came from {where}."
        said = reply.text[:500]
        if key:
            said = said.replace(key, "[the key]")
        if status == 404:
            said += f" Does the server have the model {self.model!r}?"
        return f"{self.address} answers with an error ({status}): {said}"
