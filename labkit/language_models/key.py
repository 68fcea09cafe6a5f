"""The key of an endpoint: read from the environment when it is sent, shown nowhere.

No object holds it, and no local variable in any frame of a traceback, so that it is not
shown by `%xmode Verbose` either, which prints the values of variables.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import Any, TypeVar
from urllib.parse import quote

from labkit.language_models.errors import LanguageModelError

T = TypeVar("T")

_KEYS_OF_KNOWN_FORM = re.compile(
    r"\b(sk[-_]\S{6}|(gsk|xai|nvapi|pplx|csk|ghp|r8)[-_]\w{20}|hf_\w{20}"
    r"|AIza\S{20}|AKIA[0-9A-Z]{12})"
)
_PART = 6
"""Characters of a key in a row that are too many to show."""


def unseen(call: Callable[..., T]) -> Callable[..., T]:
    """The same call, of whose inside an error shows nothing: a traceback that prints
    the values of variables would show the key there, or what was given in its place.
    """

    @wraps(call)
    def outside(*given: Any, **named: Any) -> T:
        try:
            return call(*given, **named)
        except BaseException as error:  # Ctrl-C, too
            failure = error
        given, named = (), {}
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    return outside


@dataclass(frozen=True)
class Key:
    """The key that an environment variable holds; none if there is no variable.

    Raises:
        LanguageModelError: a key in place of the name of a variable.
    """

    variable: str | None

    def __post_init__(self) -> None:
        if self.variable is not None and (
            not re.fullmatch("[A-Z_][A-Z0-9_]*", self.variable)
            or _KEYS_OF_KNOWN_FORM.search(self.variable)
        ):
            raise LanguageModelError(
                "key_variable is the name of an environment variable, in capitals, "
                "such as MY_API_KEY, and never the key itself. What was given is not "
                "repeated here, in case it was the key."
            )

    def require(self) -> None:
        """
        Raises:
            LanguageModelError: the variable holds no key.
        """
        if self.variable is not None and not re.fullmatch("[!-~]+", self._read()):
            raise LanguageModelError(
                f"The environment variable {self.variable} holds no key. Set it before "
                "Python starts, outside of the notebook."
            )

    def __call__(self, request: Any) -> Any:
        """Sign a request, as httpx asks of its `auth`."""
        if self.variable is not None:
            request.headers["Authorization"] = f"Bearer {self._read()}"
        return request

    def is_in(self, text: str) -> bool:
        """Whether a text holds this key, or one of a form that keys often have."""
        key = self._read()
        return bool(_KEYS_OF_KNOWN_FORM.search(text)) or (
            len(key) >= _PART and key in text
        )

    def hidden(self, text: str) -> str:
        """The text without the key, whole or in part, as it is or encoded."""
        key = self._read()
        forms = {
            key,
            quote(key),
            quote(key, safe=""),
            escape(key),
            key.replace("/", "\\/"),
            b64encode(key.encode()).decode(),
        }
        for form in sorted(forms, key=len, reverse=True):
            shortest = min(_PART, len(form)) or 1
            for size in range(len(form), shortest - 1, -1):
                for start in range(len(form) - size + 1):
                    text = text.replace(form[start : start + size], "[the key]")
        return text

    def _read(self) -> str:
        return os.environ.get(self.variable or "", "").strip()
