"""A language model behind an OpenAI-compatible endpoint: θ' is the text of the prompt.

Each query is one POST, to {address}/chat/completions with the examples as the turns of
a dialogue before it, or to {address}/completions with all of them as one text; unless
`options` says otherwise, at temperature 0. The support is sent again with every query;
nothing of it stays on this side but the text.

The package openai makes such requests too. It is not used: with its five packages more
it would do the waiting for a busy server, and leave here what was cut off, thoughts,
errors sent as successes, replies that never end, and where a key may go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labkit.language_models.errors import LanguageModelError
from labkit.language_models.key import Key, unseen
from labkit.language_models.prompts import (
    Answer,
    Pair,
    dialogue,
    first_line,
    plain,
    said,
)
from labkit.language_models.server import Patience, Reply, is_here, post, printable

TOKENS_A_MESSAGE = 8
"""Allowed for the marks that a server writes around each message."""

LIMITS = ("max_tokens", "max_completion_tokens")
"""The names that servers have for the length of the longest answer."""

OURS = {"model", "messages", "prompt", "stream", "n", "best_of"}
"""Fields of the request that are no options: an answer is one, and comes at once."""

WHOLE = {"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"}
TOO_LONG = {"length", "max_tokens", "max_output_tokens", "model_length"}
"""Why a model stopped, in the words of several servers."""


@dataclass(frozen=True)
class Endpoint:
    """Answer queries with the model of that name at that address.

    Attributes:
        address: up to and with the version, such as "http://localhost:8000/v1".
        key_variable: the *name* of the environment variable that holds the key.
        tokens_written: the longest answer; a longer one is cut off. Where `options`
            gives a limit under one of its other names, that one.
        timeout: in seconds, for one answer.
        retries: how often a server that is busy, or lost the request, is asked again.
        pause: the seconds before the first time, doubled for each further one. A
            server that says how long to wait is believed.
        options: more fields of the request. None leaves a field out.
        chat: ask in a dialogue. False is for models and servers that go on with a
            text.
        key_over_plain_http: consent to send the key, readable by all on the way, to
            another machine by http.

    Raises:
        LanguageModelError: an address that is none or holds a key, a key in place of
            the name of a variable, a number or an option that cannot be; and, from
            `predict`, whatever the server refuses.
    """

    address: str
    model: str
    key_variable: str | None = None
    tokens_written: int = 64
    timeout: float = 60.0
    retries: int = 3
    pause: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    chat: bool = True
    key_over_plain_http: bool = False

    free = False

    def __post_init__(self) -> None:
        key = Key(self.key_variable)
        Patience(self.timeout, self.retries, self.pause)
        self._require_an_address(key)
        if key.is_in(f"{self.model} {dict(self.options)}"):
            raise LanguageModelError(
                "The model's name or the options hold a key. A key comes from the "
                "environment variable that key_variable names, and from nowhere else."
            )
        self._require_options()
        limits = [self.options.get(name) for name in LIMITS if name in self.options]
        if limits:
            limit = max((n for n in limits if n is not None), default=None)
            object.__setattr__(self, "tokens_written", limit)
        if type(self.tokens_written) is not int or self.tokens_written < 1:
            raise LanguageModelError(
                f"The longest answer is {self.tokens_written!r} and should be a number "
                f"of tokens, as tokens_written or, in options, one of {LIMITS}: "
                "without, nobody knows the cost."
            )

    def settings(self) -> dict[str, Any]:
        """Where a request goes, and its fields but for the prompt and the limit."""
        options = {k: v for k, v in self.options.items() if k not in LIMITS}
        return {
            "address": self.address.rstrip("/"),
            "model": self.model,
            "temperature": 0,
            **options,
        }

    def adapt(self, support: Sequence[Pair]) -> tuple[Pair, ...]:
        """θ': the examples, as they are."""
        return tuple(support)

    def predict(
        self, adapted: tuple[Pair, ...], queries: Sequence[str]
    ) -> list[Answer]:
        return [self._answer(adapted, query) for query in queries]

    def prompt(self, support: Sequence[Pair], query: str) -> str | list[dict[str, str]]:
        return (dialogue if self.chat else plain)(support, query)

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        """An upper bound: a token for every byte, and some for every message."""
        prompt = self.prompt(support, query)
        texts = [prompt] if isinstance(prompt, str) else [m["content"] for m in prompt]
        return sum(len(text.encode()) + TOKENS_A_MESSAGE for text in texts)

    def _answer(self, support: Sequence[Pair], query: str) -> Answer:
        prompt = self.prompt(support, query)
        fields = {
            "model": self.model,
            "max_tokens": self.tokens_written,
            "temperature": 0,
            **({"messages": prompt} if self.chat else {"prompt": prompt, "stop": "\n"}),
            **self.options,
        }
        if "max_completion_tokens" in self.options and "max_tokens" not in self.options:
            del fields["max_tokens"]
        body = {name: value for name, value in fields.items() if value is not None}
        route = "chat/completions" if self.chat else "completions"
        reply = post(
            f"{self.address.rstrip('/')}/{route}",
            body,
            Key(self.key_variable),
            Patience(self.timeout, self.retries, self.pause),
        )
        if reply.status != 200:
            raise LanguageModelError(self._refusal(reply, route))
        return self._read(reply)

    def _read(self, reply: Reply) -> Answer:
        """The answer in a reply that is a success."""
        try:
            return self._content(reply.body)
        except (KeyError, IndexError, TypeError):
            kind = reply.headers.get("content-type", "no type")
            raise LanguageModelError(
                f"What {self.address} answered is not in the form of OpenAI's "
                f"completions ({printable(kind)}): {self._words(reply, 100)!r}. Is the "
                "address complete, with the /v1 at its end?"
            ) from None

    def _content(self, body: Any) -> Answer:
        choice = body["choices"][0]
        text = choice["message"]["content"] if self.chat else choice["text"]
        cut_off = self._reason(body, choice)
        if text is None:
            return Answer("", cut_off or "it has no content")
        if isinstance(text, list):  # parts, of which thoughts are other types
            text = "".join(part["text"] for part in text if "text" in part)
        if not isinstance(text, str):
            raise TypeError
        return (said if self.chat else first_line)(printable(text), cut_off)

    def _reason(self, body: dict[str, Any], choice: dict[str, Any]) -> str:
        """Why the answer is not whole; empty if it is, or if the server never says."""
        if "finish_reason" not in choice:
            used = (body.get("usage") or {}).get("completion_tokens") or 0
            return "length" if used >= self.tokens_written else ""
        reason = str(choice["finish_reason"]).lower()
        if reason in WHOLE:
            return ""
        return "length" if reason in TOO_LONG else f"finish_reason: {reason}"

    def _refusal(self, reply: Reply, route: str) -> str:
        status, words = reply.status, self._words(reply)
        if status in (401, 403):  # the server's words may hold parts of the key
            where = self.key_variable or "no variable: key_variable is not given"
            return f"{self.address} refuses the key ({status}). It came from {where}."
        text = f"{self.address} answers with an error ({status}): {words}"
        if status in (404, 405, 501):
            if self.model in words or "model" in words.lower():
                return f"{text} Does the server have the model {self.model!r}?"
            other = "a text (chat=False)" if self.chat else "a dialogue (chat=True)"
            return (
                f"{text} It has no /{route} there. Is the address complete, with the "
                f"/v1 at its end, and does the server answer to {other} only?"
            )
        if 300 <= status < 400:
            return f"{text} It points to another address, which was not followed."
        if reply.is_passing and reply.pause:
            return f"{text} It asks for a pause of {reply.pause:,.0f} s."
        return text

    def _words(self, reply: Reply, most: int = 500) -> str:
        return reply.words(Key(self.key_variable), most)

    def _require_an_address(self, key: Key) -> None:
        try:
            parts = urlsplit(self.address)
            good = (
                parts.scheme in ("http", "https")
                and parts.hostname
                and not (
                    parts.username
                    or "@" in parts.netloc
                    or parts.query
                    or parts.fragment
                )
            )
            good = good and parts.port != 0 and self.address.isprintable()
        except ValueError:
            good = False
        if not good or key.is_in(self.address):
            raise LanguageModelError(
                "The address of an endpoint has the form https://host/v1, with neither "
                "a user nor a key in it, and nothing after a question mark."
            )
        if parts.path.rstrip("/").endswith("/completions"):
            raise LanguageModelError(
                f"The address {self.address} ends before /chat/completions, which is "
                "added to it."
            )
        if (
            self.key_variable is not None
            and parts.scheme == "http"
            and not is_here(self.address)
            and not self.key_over_plain_http
        ):
            raise LanguageModelError(
                f"{self.address} is another machine, and by http everybody on the way "
                "can read the key. Use https or, in a network that you trust, "
                "key_over_plain_http=True."
            )

    def _require_options(self) -> None:
        if ours := sorted(OURS & set(self.options)):
            raise LanguageModelError(
                f"{', '.join(ours)} in options: these fields of a request are set "
                "here. An answer is one, asked for at once."
            )
        try:
            json.dumps(dict(self.options), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise LanguageModelError(
                f"The options of a request go out as JSON: {error}."
            ) from None


# what was given to it may be a key in the wrong place
Endpoint.__init__ = unseen(Endpoint.__init__)  # type: ignore[method-assign]
