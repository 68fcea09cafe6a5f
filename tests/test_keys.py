"""The key of an endpoint is sent to its server, and shown to nobody else."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from html import escape
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from IPython.core.ultratb import VerboseTB

from labkit.language_models.endpoint import Endpoint
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import TextTask, ask
from tests.model_server import KEY, Act, ModelServer, answered, running


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f"{KEY}\n")


def keyed(server: ModelServer, **settings: Any) -> Endpoint:
    settings = {"retries": 0, **settings}
    return Endpoint(server.address, "reverser", key_variable="SOME_KEY", **settings)


def shown(call: Callable[[], Any]) -> str:
    """All that a reader can see of a failure, with the values of variables."""
    try:
        call()
    except BaseException as error:
        trace = error.__traceback__
        # this file holds the key, as does what checks types in tests
        while trace and "language_models" not in trace.tb_frame.f_code.co_filename:
            trace = trace.tb_next
        verbose = VerboseTB(theme_name="nocolor")
        frames = verbose.text(type(error), error, trace, context=9)
        held = [
            f"{frame.f_code.co_filename}: {frame.f_locals}"
            for frame, _ in traceback.walk_tb(trace)
            if not {"jaxtyping", "beartype"} & set(frame.f_code.co_filename.split("/"))
        ]
        assert held
        assert error.__context__ is None or isinstance(error, LanguageModelError)
        return "\n".join([frames, *held, str(error), repr(error)])
    raise AssertionError("nothing failed")


def test_the_key_is_sent_and_in_no_object(server: ModelServer) -> None:
    model = keyed(server)
    assert model.predict((), ["to"]) == ["TO"]
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(model) + str(vars(model)) + json.dumps(model.settings())


FAILURES = {
    "refused": Act(401, f"wrong key {KEY}"),
    "forbidden": Act(403, f"wrong key {KEY[:9]}***{KEY[-4:]}"),
    "no request": Act(400, f"bad request with {KEY}"),
    "lost": Act(drop=True),
    "cut": Act(body="{", length=99),
    "in another form": Act(body=f"<html>{KEY}"),
    "pointing elsewhere": Act(302, KEY, {"Location": f"http://127.0.0.1/{KEY}"}),
    "busy": Act(503, KEY),
}


@pytest.mark.parametrize("act", FAILURES.values(), ids=FAILURES.keys())
def test_no_failure_shows_it(act: Act, server: ModelServer) -> None:
    server.acts = [act]
    seen = shown(lambda: keyed(server).predict((), ["to"]))
    assert "LanguageModelError" in seen
    assert KEY not in seen
    assert KEY[:9] not in seen


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError, ValueError])
def test_nor_does_what_interrupts_a_request(
    interruption: type[BaseException],
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deep in httpx, where the key stands in variables."""

    def interrupted(self: Any, request: Any) -> None:
        headers = request.headers.raw
        assert any(KEY.encode() in value for _, value in headers)
        try:
            raise OSError
        except OSError:
            raise interruption from None

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", interrupted)
    seen = shown(lambda: keyed(server).predict((), ["to"]))
    assert interruption.__name__ in seen
    assert KEY not in seen


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY[:8],
        KEY[-8:],
        quote(KEY),
        quote(KEY, safe=""),
        escape(KEY),
        KEY.replace("/", "\\/"),
        base64.b64encode(KEY.encode()).decode(),
        f"{KEY[:9]}\x1b[0m{KEY[9:]}",
    ],
)
@pytest.mark.parametrize("before", [0, 480, 490, 496])
def test_a_server_that_repeats_it_is_not_quoted(
    echo: str, before: int, server: ModelServer
) -> None:
    """Nor its beginning, where the message ends within the key."""
    for body in ("." * before + echo, {"error": {"message": "." * before + echo}}):
        server.acts = [Act(400, body)]
        with pytest.raises(LanguageModelError, match=r"\(400\): ") as raised:
            keyed(server).predict((), ["to"])
        for start in range(len(KEY) - 5):
            assert KEY[start : start + 6] not in str(raised.value)
        assert KEY[:3] not in str(raised.value)


@pytest.mark.parametrize("held", [None, "", " \n", "ключ", "two\nlines", "two words"])
def test_a_variable_that_holds_no_key_is_named_before_a_request(
    held: str | None, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY")
    if held is not None:
        monkeypatch.setenv("SOME_KEY", held)
    seen = shown(lambda: keyed(server).predict((), ["to"]))
    assert "environment variable SOME_KEY holds no key" in seen
    assert not (held and held.strip()) or held not in seen
    assert server.requests == []


MISPLACED: dict[str, dict[str, Any]] = {
    "for the name of its variable": {"key_variable": KEY},
    "in capitals": {"key_variable": "AKIAIOSFODNN7EXAMPLE"},
    "for the model": {"model": KEY},
    "in the options": {"options": {"api_key": KEY}},
    "as a query": {"address": f"https://host/v1?api_key={KEY}"},
    "as a fragment": {"address": f"https://host/v1#{KEY}"},
    "as a password": {"address": f"https://me:{quote(KEY, safe='')}@host/v1"},
    "as a user": {"address": "https://secret-of-mine@host/v1"},
    "in the path": {"address": f"https://host/{KEY}/v1"},
}


@pytest.mark.parametrize("wrong", MISPLACED.values(), ids=MISPLACED.keys())
def test_a_key_in_another_place_is_refused_and_not_repeated(
    wrong: dict[str, Any],
) -> None:
    right = {"address": "https://host/v1", "model": "m", "key_variable": "SOME_KEY"}
    seen = shown(lambda: Endpoint(**{**right, **wrong}))
    assert "LanguageModelError" in seen
    for secret in (KEY, quote(KEY, safe=""), "AKIAIOSFODNN7EXAMPLE", "secret-of-mine"):
        assert secret not in seen


def test_a_key_of_no_known_form_is_known_by_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "plain0secret")
    for address, model in (
        ("https://host/plain0secret", "m"),
        ("https://host/v1", "plain0secret"),
    ):
        with pytest.raises(LanguageModelError, match="key") as raised:
            Endpoint(address, model, key_variable="SOME_KEY")
        assert "plain0secret" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["hf-internal-testing/tiny", "xai-org/grok-1", "task-sketch", "gpt-4o"]
)
def test_names_of_models_are_no_keys(name: str) -> None:
    assert Endpoint("https://host/v1", name).model == name


def test_over_plain_http_it_goes_to_this_machine_only() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "a.localhost"):
        Endpoint(f"http://{host}:8000/v1", "m", key_variable="SOME_KEY")
    for host in ("192.168.1.5", "example.org", "localhost.example.org", "0.0.0.0"):
        with pytest.raises(LanguageModelError, match="everybody on the way can read"):
            Endpoint(f"http://{host}/v1", "m", key_variable="SOME_KEY")
        Endpoint(f"https://{host}/v1", "m", key_variable="SOME_KEY")
        Endpoint(f"http://{host}/v1", "m")
        Endpoint(
            f"http://{host}/v1",
            "m",
            key_variable="SOME_KEY",
            key_over_plain_http=True,
        )


def test_it_is_not_carried_to_where_a_server_points(server: ModelServer) -> None:
    with running() as elsewhere:
        server.acts = [Act(307, headers={"Location": elsewhere.address})]
        with pytest.raises(LanguageModelError, match="307"):
            keyed(server).predict((), ["to"])
        assert elsewhere.requests == []


def test_no_file_of_answers_holds_it(server: ModelServer, tmp_path: Any) -> None:
    file = tmp_path / "answers.jsonl"
    tasks = [TextTask((), (("to", "TO"), ("ka", "KA")))]
    server.acts = [answered(f"My key is {KEY}")]
    ask(keyed(server), tasks, file)
    assert file.read_text("utf-8").count("\n") == 2
    assert "SOME_KEY" not in file.read_text("utf-8")
