"""A language model behind an address: what is sent, and what it is billed for."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.language_models.endpoint import Endpoint
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import LanguageModel, TextTask, cost
from tests.model_server import ModelServer, running

SUPPORT = (("ka lo", "LO KA"), ("mi", "MI"))
ADDRESS = "https://host/v1"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running() as server:
        yield server


def test_a_query_is_one_request_with_the_examples_as_turns(server: ModelServer) -> None:
    model = Endpoint(server.address, "reverser")
    assert isinstance(model, LanguageModel)
    answers = model.predict(model.adapt(SUPPORT[:1]), ["lo mi", "to"])
    assert answers == ["MI LO", "TO"]
    first, second = server.requests
    assert first["path"] == "/v1/chat/completions"
    assert [m["role"] for m in first["messages"]] == ["user", "assistant", "user"]
    assert first["messages"][0]["content"].endswith("\n\nka lo")
    assert [m["content"] for m in first["messages"][1:]] == ["LO KA", "lo mi"]
    assert first["messages"] == model.prompt(SUPPORT[:1], "lo mi")
    assert (first["temperature"], first["max_tokens"]) == (0, 64)
    assert not {"stop", "stream", "prompt"} & set(first)
    assert second["messages"][:-1] == first["messages"][:-1]


def test_or_with_all_of_them_as_one_text(server: ModelServer) -> None:
    """For servers, and for models, that were not made for dialogues."""
    model = Endpoint(server.address, "reverser", chat=False)
    assert model.predict(SUPPORT[:1], ["lo mi"]) == ["MI LO"]
    (sent,) = server.requests
    assert sent["path"] == "/v1/completions"
    assert sent["prompt"] == "Input: ka lo\nOutput: LO KA\nInput: lo mi\nOutput:"
    assert sent["stop"] == "\n"
    assert "messages" not in sent


def test_an_address_may_end_in_a_slash(server: ModelServer) -> None:
    slashed = Endpoint(server.address + "/", "reverser")
    assert slashed.predict((), ["to"]) == ["TO"]
    assert slashed.settings() == Endpoint(server.address, "reverser").settings()


def test_options_add_fields_and_leave_others_out(server: ModelServer) -> None:
    options = {"temperature": None, "seed": 7}
    Endpoint(server.address, "reverser", options=options).predict((), ["to"])
    assert "temperature" not in server.requests[0]
    assert server.requests[0]["seed"] == 7


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"max_tokens": 500}, {"max_tokens": 500}),
        ({"max_completion_tokens": 500}, {"max_completion_tokens": 500}),
        (
            {"max_tokens": None, "max_completion_tokens": 500},
            {"max_completion_tokens": 500},
        ),
        (
            {"max_tokens": 20, "max_completion_tokens": 500},
            {"max_tokens": 20, "max_completion_tokens": 500},
        ),
    ],
)
def test_the_bill_is_for_the_longest_answer_that_is_allowed(
    options: dict[str, Any], sent: dict[str, int], server: ModelServer
) -> None:
    model = Endpoint(server.address, "reverser", options=options)
    told = cost(model, [TextTask((), (("to", "TO"), ("ka", "KA")))])
    assert told.tokens_written == 2 * 500
    assert server.requests == []
    model.predict((), ["to"])
    assert {k: v for k, v in server.requests[0].items() if k.startswith("max")} == sent


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens_written": 0},
        {"tokens_written": -1},
        {"options": {"max_tokens": None}},
        {"options": {"max_tokens": "64"}},
        {"options": {"max_tokens": 0}},
    ],
)
def test_without_a_limit_there_is_no_bill(wrong: dict[str, Any]) -> None:
    with pytest.raises(LanguageModelError, match="nobody knows the cost"):
        Endpoint(ADDRESS, "m", **wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 3}, "n in options"),
        ({"stream": True}, "stream in options"),
        ({"model": "another", "messages": []}, "messages, model in options"),
        ({"stop": {"\n"}}, "go out as JSON"),
        ({"temperature": math.nan}, "go out as JSON"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(LanguageModelError, match=words):
        Endpoint(ADDRESS, "m", options=options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0.0},
        {"timeout": -1.0},
        {"timeout": math.inf},
        {"timeout": math.nan},
        {"retries": -1},
        {"pause": -1.0},
        {"pause": math.nan},
    ],
)
def test_patience_is_counted_in_numbers_that_can_be(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(LanguageModelError, match=f"{name}="):
        Endpoint(ADDRESS, "m", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:8000",
        "http://",
        "ftp://host/v1",
        "",
        "https://[host/v1",
        "https://host:port/v1",
        "https://host:99999/v1",
        "https://host/v1?api-version=2",
        "https://ho\x1b[2Jst/v1",
    ],
)
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(LanguageModelError, match=r"the form https://host/v1") as raised:
        Endpoint(wrong, "m")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("route", ["/chat/completions", "/completions/"])
def test_an_address_with_its_route_is_shortened_by_the_reader(route: str) -> None:
    with pytest.raises(LanguageModelError, match="ends before /chat/completions"):
        Endpoint(f"{ADDRESS}{route}", "m")


def test_how_long_to_wait_is_no_part_of_an_answer() -> None:
    patient = Endpoint(ADDRESS, "m", timeout=600.0, retries=9, pause=4.0)
    longer = Endpoint(ADDRESS, "m", tokens_written=500, key_variable="SOME_KEY")
    same = Endpoint(ADDRESS, "m", options={"max_completion_tokens": 9}).settings()
    assert patient.settings() == longer.settings() == same
    for other in (
        Endpoint("https://elsewhere/v1", "m"),
        Endpoint(ADDRESS, "n"),
        Endpoint(ADDRESS, "m", options={"seed": 1}),
        Endpoint(ADDRESS, "m", options={"temperature": 1}),
    ):
        assert other.settings() != same


def test_without_httpx_the_extra_is_named(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(LanguageModelError, match=r"pip install 'labkit\[lm\]'"):
        Endpoint(server.address, "reverser").predict((), ["to"])
