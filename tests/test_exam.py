"""The exam of a language model: its bill, the answers that are kept, its score."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from labkit.language_models.answers import Answers, Line
from labkit.language_models.endpoint import Endpoint
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import TextTask, ask, cost, mark
from tests.model_server import Act, ModelServer, answered, running

TASKS = [
    TextTask((("ka lo", "LO KA"), ("mi", "MI")), (("lo mi", "MI LO"), ("to", "TO"))),
    TextTask((("to ka mi", "MI KA TO"),), (("lo mi", "MI LO "), ("to", "to"))),
    TextTask((), (("lo mi ka", "KA MI LO"), ("a b", "a b"))),
]
ANSWERS = [["MI LO", "TO"], ["MI LO", "TO"], ["KA MI LO", "B A"]]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running() as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def reverser(server: ModelServer, **settings: Any) -> Endpoint:
    return Endpoint(server.address, "reverser", **{"retries": 0, **settings})


# The score


def test_the_score_is_the_mean_over_tasks_of_answers_right_to_the_letter() -> None:
    found = mark(TASKS, ANSWERS, seed=5)
    assert found.mean == pytest.approx((1 + 0.5 + 0.5) / 3)
    for near in ("MI LO KA", "mi lo"):  # more than was asked, and other letters
        assert mark(TASKS, [[near, "TO"], *ANSWERS[1:]], seed=5).mean < found.mean
    deviation = ((1 / 3) ** 2 + 2 * (1 / 6) ** 2) / 2
    assert found.ci95 == pytest.approx(1.96 * (deviation / 3) ** 0.5)
    assert (found.n_tasks, found.seed, found.normalisation) == (3, 5, "inductive")


def test_what_has_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        mark(TASKS[:1], ANSWERS[:1], seed=5)
    for wrong in (ANSWERS[:2], [["MI LO"], *ANSWERS[1:]]):
        with pytest.raises(
            ValueError, match=r"6 queries of 3 tasks have \d answers in"
        ):
            mark(TASKS, wrong, seed=5)
    with pytest.raises(ValueError, match="without a query"):
        TextTask((), ())


# The bill


def test_the_cost_is_told_without_a_request(server: ModelServer, file: Path) -> None:
    model = reverser(server, tokens_written=10)
    told = cost(model, TASKS, price=(3.0, 6.0), seconds_per_prompt=0.5)
    assert server.requests == []
    assert (told.prompts, told.tokens_written, told.seconds) == (6, 60, 3)
    assert told.money == pytest.approx((told.tokens_read * 3 + 60 * 6) / 1e6)
    ask(model, TASKS, file)
    sent = [m["content"] for request in server.requests for m in request["messages"]]
    assert told.tokens_read == sum(len(text.encode()) + 8 for text in sent)
    assert str(told).startswith("6 prompts: at most ")
    assert "about 3 s, at a price of at most 0.00" in str(told)


def test_what_is_kept_costs_nothing_more(server: ModelServer, file: Path) -> None:
    model = reverser(server)
    assert cost(model, TASKS, file) == cost(model, TASKS)
    ask(model, TASKS[:2], file)
    assert cost(model, TASKS, file) == cost(model, TASKS[2:])
    ask(model, TASKS, file)
    assert cost(model, TASKS, file).prompts == 0
    assert cost(model, []).prompts == 0


# Nothing is paid for twice


def test_answers_that_are_kept_are_not_asked_for_again(
    server: ModelServer, file: Path
) -> None:
    assert ask(reverser(server), TASKS, file) == ANSWERS
    before = file.read_bytes()
    for settings in (
        {},
        {"timeout": 5.0, "retries": 9, "pause": 9.0},
        {"tokens_written": 500},
        {"tokens_written": 9},
        {"options": {"max_tokens": None, "max_completion_tokens": 500}},
    ):
        assert ask(reverser(server, **settings), TASKS, file) == ANSWERS
    assert len(server.requests) == 6
    assert file.read_bytes() == before


def test_other_settings_are_another_model(server: ModelServer, file: Path) -> None:
    ask(reverser(server), TASKS[:1], file)
    ask(reverser(server, options={"seed": 1}), TASKS[:1], file)
    ask(reverser(server, chat=False), TASKS[:1], file)
    assert len(server.requests) == 6


def test_a_line_holds_what_is_needed_to_judge_it(
    server: ModelServer, file: Path
) -> None:
    tasks = [TextTask((("ка", "КА"),), (("é\u2028 x", "X É"),))]
    ask(reverser(server), tasks, file)
    line = json.loads(file.read_text("utf-8"))
    assert line["prompt"] == server.requests[0]["messages"]
    assert (line["query"], line["right"], line["answer"]) == ("é\u2028 x", "X É", "X É")
    assert (line["cut_off"], line["limit"]) == ("", 64)
    assert line["model"]["model"] == "reverser"
    assert "КА" in file.read_text("utf-8"), "to be read, not \\u041a"
    ask(reverser(server), tasks, file)
    assert len(server.requests) == 1


def test_a_failure_keeps_what_was_paid_for_and_says_so(
    server: ModelServer, file: Path
) -> None:
    model = reverser(server)
    server.acts = [Act(500, "out of order")]
    with pytest.raises(LanguageModelError, match=r"\(500\): out of order$"):
        ask(model, TASKS, file)
    ask(model, TASKS[:1], file)
    server.acts = [Act(500, "out of order")]
    with pytest.raises(LanguageModelError, match=r"2 answers are kept in answers\."):
        ask(model, TASKS, file)
    server.requests.clear()
    assert ask(model, TASKS, file) == ANSWERS
    assert len(server.requests) == 4


def test_an_interruption_keeps_them_too(
    server: ModelServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Endpoint.predict, iter(range(9))

    def interrupted(self: Endpoint, *words: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *words)

    monkeypatch.setattr(Endpoint, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(reverser(server), TASKS, file)
    assert len(file.read_text().splitlines()) == 3
    ask(reverser(server), TASKS, file)
    assert len(file.read_text().splitlines()) == len(server.requests) == 6


# Nothing that is not whole is counted


def test_an_answer_cut_off_stops_the_exam_until_more_is_allowed(
    server: ModelServer, file: Path
) -> None:
    server.acts = [answered("MI LO"), answered("T", "length")]
    short = reverser(server, tokens_written=5)
    for _ in range(2):  # of which the second pays for nothing
        with pytest.raises(LanguageModelError, match="cut off after 5 tokens: 'T'"):
            ask(short, TASKS, file)
        assert len(server.requests) == 2
    longer = reverser(server, tokens_written=6)
    assert cost(longer, TASKS, file).prompts == 5
    assert ask(longer, TASKS, file) == ANSWERS
    assert len(server.requests) == 7
    assert ask(short, TASKS, file) == ANSWERS, "whole, whatever is allowed now"
    assert len(server.requests) == 7


def test_one_that_ended_otherwise_is_asked_for_again(
    server: ModelServer, file: Path
) -> None:
    for reason in (None, "content_filter"):
        server.acts = [answered("M", reason)]
        with pytest.raises(LanguageModelError, match=r"not whole \(finish_reason: "):
            ask(reverser(server), TASKS, file)
    assert cost(reverser(server), TASKS, file).prompts == 6
    assert ask(reverser(server), TASKS, file) == ANSWERS
    assert len(server.requests) == 2 + 6


def test_they_count_as_they_are_if_the_reader_says_so(
    server: ModelServer, file: Path
) -> None:
    acts = [answered("MI LO", "length"), answered("T", "content_filter")]
    server.acts = acts.copy()
    for _ in range(2):
        found = ask(reverser(server), TASKS, file, count_cut_off=True)
        assert found == [["MI LO", "T"], *ANSWERS[1:]]
        assert len(server.requests) == 6


# The file


@pytest.mark.parametrize("left", [0, 1, 5, 7, 9, 60, 110, 200, 300, 400])
def test_a_line_cut_off_anywhere_costs_one_answer(
    left: int, server: ModelServer, file: Path
) -> None:
    model = reverser(server)
    ask(model, TASKS, file)
    *whole, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole) + last[:left])
    server.requests.clear()
    for _ in range(2):
        assert ask(model, TASKS, file) == ANSWERS
        assert len(server.requests) <= 1


def test_a_file_that_went_through_another_editor_is_read(
    server: ModelServer, file: Path
) -> None:
    ask(reverser(server), TASKS, file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert ask(reverser(server), TASKS, file) == ANSWERS
    assert len(server.requests) == 6


GOOD: dict[str, Any] = {
    **{"id": "a", "model": {}, "prompt": "p", "query": "x", "right": "y"},
    **{"answer": "y", "cut_off": "", "limit": 64},
}


@pytest.mark.parametrize(
    "content",
    [
        "Dear diary",
        "[1]",
        "null",
        '"id"',
        "[" * 100_000,
        "<<<<<<< HEAD",
        '{"prompt": "an older format", "query": "x", "answer": "y"}',
        json.dumps({**GOOD, "more": 1}),
        json.dumps({**GOOD, "answer": 5}),
        json.dumps({**GOOD, "id": ["a"]}),
        json.dumps({**GOOD, "limit": None}),
        json.dumps({k: v for k, v in GOOD.items() if k != "answer"}),
        b"\xff\xfe\x00garbage",
    ],
)
def test_another_file_in_the_place_of_answers_is_left_alone(
    content: str | bytes, server: ModelServer, file: Path
) -> None:
    data = content.encode() if isinstance(content, str) else content
    data = json.dumps(GOOD).encode() + b"\n" + data + b"\n"
    file.write_bytes(data)
    words = r"Line 2 of answers\.jsonl is not an answer that `ask` wrote"
    with pytest.raises(LanguageModelError, match=words):
        ask(reverser(server), TASKS, file)
    with pytest.raises(LanguageModelError, match=words):
        cost(reverser(server), TASKS, file)
    assert file.read_bytes() == data
    assert server.requests == []


def test_where_nothing_can_be_kept_nothing_is_asked(
    server: ModelServer, tmp_path: Path, file: Path
) -> None:
    with pytest.raises(LanguageModelError, match="no folder"):
        ask(reverser(server), TASKS, tmp_path / "no" / "answers.jsonl")
    with pytest.raises(LanguageModelError, match="cannot be read"):
        ask(reverser(server), TASKS, tmp_path)
    file.symlink_to(tmp_path / "no" / "answers.jsonl")
    with pytest.raises(LanguageModelError, match="nothing was asked"):
        ask(reverser(server), TASKS, file)
    assert server.requests == []


def test_a_full_disk_damages_no_line_and_shows_the_answer(
    server: ModelServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(reverser(server), TASKS[:1], file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    words = r"came, and could not be written to answers\.jsonl \(No space.*'MI LO'"
    with pytest.raises(LanguageModelError, match=words):
        ask(reverser(server), TASKS, file)
    assert file.read_bytes() == before


def test_a_line_is_written_whole_where_the_system_writes_a_part(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:7])

    kept = Answers(file)
    with Slow(file, "ab") as slow:
        kept._add(slow, Line(**GOOD))
    assert json.loads(file.read_text()) == GOOD


def test_two_exams_at_once_do_not_pay_for_the_same_answers(
    server: ModelServer, file: Path
) -> None:
    pytest.importorskip("fcntl", reason="no locks of this kind on this system")
    ask(reverser(server), TASKS[:1], file)
    with Answers(file).writing():
        with pytest.raises(LanguageModelError, match=r"Another process is adding"):
            ask(reverser(server), TASKS, file)
        assert len(server.requests) == 2
    assert ask(reverser(server), TASKS, file) == ANSWERS
