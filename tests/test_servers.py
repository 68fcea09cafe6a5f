"""What servers do, and what a reader's exam makes of it: a row of the table a test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from labkit.language_models.endpoint import Endpoint
from labkit.language_models.errors import LanguageModelError
from tests.model_server import Act, ModelServer, answered, running


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a client waits, which pass at once."""
    pauses: list[float] = []
    monkeypatch.setattr("labkit.language_models.server.time.sleep", pauses.append)
    return pauses


def answer(server: ModelServer, **settings: Any) -> str:
    (text,) = Endpoint(server.address, "reverser", **settings).predict((), ["lo mi"])
    return text


# Asked again


@pytest.mark.parametrize(
    "busy",
    [
        Act(408),
        Act(409),
        Act(425),
        Act(429),
        Act(500),
        Act(502, "<html>Bad gateway"),
        Act(503),
        Act(504),
        Act(524),
        Act(529, {"type": "error", "error": {"type": "overloaded_error"}}),
        Act(drop=True),
        Act(body='{"choices": [', length=900),
        Act(200, {"error": {"code": 429, "message": "upstream is busy"}}),
        Act(200, {"error": {"code": 502, "message": "no"}, "choices": []}),
    ],
    ids=lambda act: str(act.status) + "d" * act.drop + "l" * bool(act.length),
)
def test_a_server_that_is_busy_or_lost_the_request_is_asked_again(
    busy: Act, server: ModelServer, pauses: list[float]
) -> None:
    server.acts = [busy, busy]
    assert answer(server) == "MI LO"
    assert pauses == [1, 2]
    first, second, third = (r["headers"]["Idempotency-Key"] for r in server.requests)
    assert first == second == third
    answer(server)
    assert server.requests[-1]["headers"]["Idempotency-Key"] != first


@pytest.mark.parametrize("stall", [0.1, 20.0])
def test_one_that_takes_too_long_is_asked_again(
    stall: float, server: ModelServer
) -> None:
    """Whether it drips or says nothing: the time is for the whole answer."""
    server.acts = [Act(body=" " * 200, stall=stall)]
    start = time.monotonic()
    assert answer(server, timeout=1.0, pause=0.0) == "MI LO"
    assert len(server.requests) >= 2
    assert time.monotonic() - start < 15
    server.acts = [Act(body=" " * 200, stall=stall)]
    with pytest.raises(LanguageModelError, match=r"asked 1 times, and given 0\.5 s"):
        answer(server, timeout=0.5, retries=0)


def test_not_for_ever(server: ModelServer, pauses: list[float]) -> None:
    server.acts = [Act(429, "slow down")] * 9
    with pytest.raises(LanguageModelError, match=r"\(429\): slow down"):
        answer(server, retries=2)
    assert len(server.requests) == 3
    server.acts = [Act(drop=True)] * 9
    with pytest.raises(LanguageModelError, match=r"does not answer .*asked 3 times"):
        answer(server, retries=2)
    server.acts = [Act(429)]
    with pytest.raises(LanguageModelError, match="429"):
        answer(server, retries=0)


@pytest.mark.parametrize("status", [400, 402, 413, 422])
def test_a_refusal_is_not_repeated_and_in_the_servers_own_words(
    status: int, server: ModelServer, pauses: list[float]
) -> None:
    words = "maximum context length is 512 tokens"
    page = f"<html><body><h1>{words}</h1></body></html>"
    for body in ({"error": {"message": words}}, {"detail": words}, words, page):
        server.acts = [Act(status, body)]
        with pytest.raises(LanguageModelError, match=rf"\({status}\): {words}$"):
            answer(server)
    assert pauses == []


# As long as it says


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("10", 10), ("0", 0), ("0.5", 0.5), ("-3", 0), ("soon", 1), ("nan", 1), ("", 1)],
)
def test_the_pause_that_a_server_asks_for_is_kept(
    said: str, seconds: float, server: ModelServer, pauses: list[float]
) -> None:
    server.acts = [Act(429, headers={"Retry-After": said})]
    assert answer(server) == "MI LO"
    assert pauses == [seconds]


def test_the_pause_may_be_a_date(server: ModelServer, pauses: list[float]) -> None:
    then = datetime.now(UTC) + timedelta(seconds=30)
    gmt = format_datetime(then, usegmt=True)
    for date in (gmt, gmt.replace("GMT", "+0000"), gmt.replace("GMT", "-0000")):
        server.acts = [Act(503, headers={"Retry-After": date})]
        assert answer(server) == "MI LO"
        assert 25 < pauses.pop() <= 30


def test_nobody_waits_for_tomorrow(server: ModelServer, pauses: list[float]) -> None:
    server.acts = [Act(429, "daily limit", {"Retry-After": "86400"})]
    with pytest.raises(LanguageModelError, match="pause of 86,400 s"):
        answer(server)
    assert pauses == []


# Whole or not


@pytest.mark.parametrize("reason", ["stop", "STOP", "eos", "end_turn", "COMPLETE"])
def test_an_answer_is_whole_where_the_model_ended_it(
    reason: str, server: ModelServer
) -> None:
    server.acts = [answered("MI LO", reason)]
    (found,) = Endpoint(server.address, "reverser").predict((), ["lo mi"])
    assert (found, found.cut_off) == ("MI LO", "")


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (answered("MI", "length"), "length"),
        (answered("MI", "MAX_TOKENS"), "length"),
        (answered("MI", None), "finish_reason: none"),
        (answered("MI", "content_filter"), "finish_reason: content_filter"),
        (answered(None, "tool_calls"), "finish_reason: tool_calls"),
        (answered(None, "stop"), "it has no content"),
        (answered("", "length", reasoning_content="Let me"), "length"),
        (answered("<think>First, reverse", "stop"), "its thoughts do not end"),
        (answered("<think>First, reverse", "length"), "length"),
    ],
)
def test_an_answer_that_is_not_whole_says_why(
    act: Act, why: str, server: ModelServer
) -> None:
    server.acts = [act]
    (found,) = Endpoint(server.address, "reverser").predict((), ["lo mi"])
    assert found.cut_off == why


def test_where_the_reason_is_never_given_the_count_of_tokens_tells(
    server: ModelServer,
) -> None:
    model = Endpoint(server.address, "reverser", tokens_written=5)
    for used, why in ((5, "length"), (4, "")):
        choice = {"message": {"content": "MI LO"}}
        body = {"choices": [choice], "usage": {"completion_tokens": used}}
        server.acts = [Act(body=body)]
        assert model.predict((), ["lo mi"])[0].cut_off == why


@pytest.mark.parametrize(
    "content",
    [
        "<think>lo mi backwards</think>\n\nMI LO",
        "lo mi backwards</think>MI LO",
        "<thinking>a</thinking> <thinking>b</thinking> MI LO",
        [{"type": "text", "text": "MI"}, {"type": "text", "text": " LO"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "MI LO"}],
    ],
)
def test_thoughts_and_parts_are_not_the_answer(
    content: Any, server: ModelServer
) -> None:
    server.acts = [answered(content)]
    assert answer(server) == "MI LO"


# Of another kind


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "",
        "{}",
        "[]",
        "null",
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": [{"finish_reason": "stop"}]}',
        '{"choices": [{"message": {"content": 5}}]}',
        '{"choices": [{"message": {"content": [5]}}]}',
        '{"choices": [{"message"',
        "[" * 100_000,
        b"\xff\xfe\x00",
        'data: {"choices": [{"delta": {"content": "MI"}}]}\n\ndata: [DONE]\n\n',
    ],
)
def test_what_is_in_another_form_is_named(
    body: str | bytes, server: ModelServer
) -> None:
    server.acts = [Act(200, body, {"Content-Type": "text/event-stream"})]
    with pytest.raises(LanguageModelError) as raised:
        answer(server)
    assert "not in the form of OpenAI's completions (text/event-str" in str(
        raised.value
    )
    assert "\n" not in str(raised.value)


def test_a_flood_is_no_answer(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.language_models.server.LARGEST_REPLY", 1000)
    server.acts = [Act(body=" " * 5000)]
    with pytest.raises(LanguageModelError, match="more than 1,000 bytes"):
        answer(server)


NO_ROUTE = [
    {"detail": "Not Found"},
    {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
    "404 page not found",
]
NO_MODEL = [
    {"error": {"message": "model 'reverser' not found, try pulling it first"}},
    {"object": "error", "message": "The model `reverser` does not exist."},
]


@pytest.mark.parametrize("body", NO_ROUTE)
def test_a_server_without_dialogues_is_told_from_one_without_the_model(
    body: Any, server: ModelServer
) -> None:
    server.acts = [Act(404, body)]
    with pytest.raises(LanguageModelError, match=r"no /chat/completions.*chat=False"):
        answer(server)
    assert answer(server, chat=False) == "MI LO"


@pytest.mark.parametrize("body", NO_MODEL)
def test_a_server_without_the_model_says_so(body: Any, server: ModelServer) -> None:
    server.acts = [Act(404, body)]
    with pytest.raises(LanguageModelError, match="have the model 'reverser'"):
        answer(server)


def test_where_a_server_points_is_named_and_not_followed(server: ModelServer) -> None:
    server.acts = [Act(307, headers={"Location": "https://elsewhere.example/v1"})]
    with pytest.raises(LanguageModelError, match="another address, which was not"):
        answer(server)
    assert len(server.requests) == 1


def test_what_a_terminal_obeys_is_not_passed_on(server: ModelServer) -> None:
    server.acts = [
        Act(400, "\x1b]0;title\x07\x1b[2Jno \x1b[31msuch\x1b[0m\x00\r field")
    ]
    with pytest.raises(
        LanguageModelError, match=r"\(400\): no such�� ?field"
    ) as raised:
        answer(server)
    assert str(raised.value).isprintable()
    server.acts = [answered("MI\x1b[2J L\x07O \ud800")]
    assert answer(server) == "MI L�O �"


def test_no_proxy_is_asked_for_a_server_on_this_machine(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert answer(server, retries=0) == "MI LO"


def test_nobody_at_the_address_is_said_so() -> None:
    down = Endpoint("http://127.0.0.1:9/v1", "m", retries=0)
    with pytest.raises(LanguageModelError, match=r"does not answer \(ConnectError"):
        down.predict((), ["to"])


def test_json_that_a_server_sends_is_read_whatever_it_says_it_is(
    server: ModelServer,
) -> None:
    act = answered("MI LO")
    act.headers["Content-Type"] = "text/plain"
    server.acts = [act]
    assert answer(server) == "MI LO"
