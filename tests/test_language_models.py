"""Language models that others trained, asked as learners: on disk, and by a server."""

from __future__ import annotations

import builtins
import json
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from labkit.language_models.endpoint import Endpoint
from labkit.language_models.exam import BridgeError, TextTask, ask, cost, mark
from labkit.language_models.local import LocalModel

SUPPORT = (("ka lo", "LO KA"), ("mi", "MI"), ("to ka mi", "MI KA TO"))
QUERIES = ("lo mi", "ka", "to")
KEY = "sk-Very/Secret+123"
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import name` fail, as where it is not installed."""
    real = builtins.__import__

    def guarded(wanted: str, *rest: Any, **keywords: Any) -> Any:
        if wanted == name:
            raise ImportError(name)
        return real(wanted, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", guarded)


# A model on disk


def save_model(folder: Path, template: str | None = None, context: int = 256) -> Path:
    """A Llama with two layers, at random, with a byte-level vocabulary of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Input: ka lo\nOutput: LO KA\n"] * 9, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        eos_token_id=fast.eos_token_id,
        initializer_range=0.5,  # so large that answers differ
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "chatty"
    return save_model(folder, TEMPLATE, context=1024)


def by_the_loop(model: LocalModel, prompt: str) -> str:
    """The most probable tokens, each from a pass over all before it, with no cache."""
    tokens = model.tokenizer(prompt)["input_ids"]
    start = len(tokens)
    for _ in range(model.tokens_written):
        with torch.no_grad():
            logits = model.model(torch.tensor([tokens]), use_cache=False).logits
        tokens.append(int(logits[0, -1].argmax()))
        if tokens[-1] == model.tokenizer.eos_token_id:
            break
    return model.tokenizer.decode(tokens[start:], skip_special_tokens=True)


def test_answers_from_the_cache_are_those_of_whole_passes(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=12)
    adapted = model.adapt(SUPPORT)
    answers = model.predict(adapted, QUERIES)
    examples = "".join(f"Input: {x}\nOutput: {y}\n" for x, y in SUPPORT)
    for query, answer in zip(QUERIES, answers, strict=True):
        whole = by_the_loop(model, f"{examples}Input: {query}\nOutput:")
        assert answer == whole.strip().partition("\n")[0].strip()
    assert len(set(answers)) > 1
    assert adapted.cache.get_seq_length() == len(adapted.tokens)


def test_without_a_prefix_in_common_the_prompt_is_read_again(folder: Path) -> None:
    """As with vocabularies that join the end of the examples to the query."""
    model = LocalModel(folder, longest_answer=12)
    adapted = model.adapt(SUPPORT)
    expected = model.predict(adapted, QUERIES)
    joined = type(adapted)(adapted.support, [0, *adapted.tokens], adapted.cache)
    assert model.predict(joined, QUERIES) == expected


def test_the_support_changes_answers_and_may_be_empty(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=12)
    alone = model.predict(model.adapt(()), QUERIES)
    assert alone != model.predict(model.adapt(SUPPORT), QUERIES)
    whole = by_the_loop(model, f"Input: {QUERIES[0]}\nOutput:")
    assert alone[0] == whole.strip().partition("\n")[0].strip()


def test_adapting_changes_no_weight_and_answers_depend_on_no_other(
    folder: Path,
) -> None:
    model = LocalModel(folder, longest_answer=8)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    adapted = model.adapt(SUPPORT)
    forwards = model.predict(adapted, QUERIES)
    assert model.predict(adapted, QUERIES[::-1]) == forwards[::-1]
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_answer_is_one_line_and_ends_where_the_model_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LocalModel(folder)

    def writes(text: str, end: bool) -> str:
        tokens = model.tokenizer(text)["input_ids"]
        tokens += [model.tokenizer.eos_token_id] if end else [0] * 99
        script = iter(tokens)

        class Out:
            cache = None

            def __init__(self) -> None:
                self.logits = torch.zeros(1, 1, 300)
                self.logits[0, 0, next(script)] = 1

        monkeypatch.setattr(model, "_forward", lambda tokens, cache: Out())
        (answer,) = model.predict(model.adapt(()), ["x"])
        return answer

    monkeypatch.setattr(model, "adapt", lambda s: LocalModel.adapt(model, ()))
    assert writes(" LO KA\nInput: more", end=False) == "LO KA"
    assert writes(" LO KA", end=True) == "LO KA"
    assert writes("\n LO KA\n", end=True) == "LO KA"


def test_a_dialogue_is_written_by_the_models_own_template(chatty: Path) -> None:
    model = LocalModel(chatty, chat=True, longest_answer=12)
    tokens = model._tokens(SUPPORT[:1], "lo mi")
    prompt = model.tokenizer.decode(tokens)
    assert prompt.startswith("<|user|>All my messages follow one rule.")
    assert prompt.endswith(
        "\n\nka lo<|end|><|assistant|>LO KA<|end|><|user|>lo mi<|end|><|assistant|>"
    )
    (answer,) = model.predict(model.adapt(SUPPORT[:1]), ["lo mi"])
    assert answer == by_the_loop(model, prompt).strip()
    (alone,) = model.predict(model.adapt(()), ["lo mi"])
    assert isinstance(alone, str)


def test_a_model_without_a_chat_template_says_so(folder: Path) -> None:
    with pytest.raises(BridgeError, match=r"tiny has no chat template.*chat=True"):
        LocalModel(folder, chat=True)


def test_a_prompt_that_does_not_fit_says_what_would(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=200)
    many = SUPPORT * 9
    words = r"27 examples has \d+ tokens, and an answer up to 200; tiny reads 256"
    with pytest.raises(BridgeError, match=words):
        model.adapt(many)
    task = TextTask(many, ((QUERIES[0], "MI LO"),))
    with pytest.raises(BridgeError, match="fewer examples"):
        cost(model, [task])


def test_no_model_and_a_broken_model_say_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match=r"no model in .*nothing: no config\.json"):
        LocalModel(tmp_path / "nothing")
    for file in folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BridgeError, match="cannot be loaded"):
        LocalModel(tmp_path)


def test_without_transformers_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_installed("transformers", monkeypatch)
    with pytest.raises(BridgeError, match=r"pip install 'labkit\[lm\]'"):
        LocalModel(folder)


def test_loading_asks_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **keywords: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    LocalModel(folder)


# A server


class Server(BaseHTTPRequestHandler):
    """Answers a query with its words reversed, in capitals; asks for the key."""

    requests: ClassVar[list[dict[str, Any]]] = []
    refusals: ClassVar[list[tuple[int, str]]] = []
    """What to answer first, before answering well."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append({**body, "path": self.path})
        key = self.headers.get("Authorization")
        if self.refusals:
            status, text = self.refusals.pop(0)
        elif key not in (None, f"Bearer {KEY}"):
            status, text = 401, json.dumps({"error": f"wrong key {key}"})
        elif body["model"] != "reverser":
            status, text = 404, "no such model"
        else:
            query = body["messages"][-1]["content"].split("\n")[-1]
            answer = " ".join(reversed(query.upper().split()))
            message = {"role": "assistant", "content": f" {answer}\n"}
            status, text = 200, json.dumps({"choices": [{"message": message}]})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.requests.clear()
    Server.refusals.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_query_is_one_request_with_the_examples_as_turns(address: str) -> None:
    model = Endpoint(address, "reverser")
    answers = model.predict(model.adapt(SUPPORT[:1]), ["lo mi", "to"])
    assert answers == ["MI LO", "TO"]
    first, second = Server.requests
    assert first["path"] == "/v1/chat/completions"
    assert [m["role"] for m in first["messages"]] == ["user", "assistant", "user"]
    assert first["messages"][0]["content"].endswith("\n\nka lo")
    assert [m["content"] for m in first["messages"][1:]] == ["LO KA", "lo mi"]
    assert first["temperature"] == 0
    assert first["max_tokens"] == 64
    assert second["messages"][:-1] == first["messages"][:-1]


def test_options_add_fields_and_leave_others_out(address: str) -> None:
    options = {"max_tokens": None, "max_completion_tokens": 9}
    model = Endpoint(address, "reverser", options=options)
    model.predict((), ["to"])
    assert "max_tokens" not in Server.requests[0]
    assert Server.requests[0]["max_completion_tokens"] == 9


def test_the_key_comes_from_the_variable_and_is_shown_nowhere(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Endpoint(address, "reverser", key_variable="SOME_KEY", pause=0.0)
    monkeypatch.setenv("SOME_KEY", f"{KEY}\n")
    assert model.predict((), ["to"]) == ["TO"]
    assert KEY not in repr(model) + str(vars(model))

    complaint = (400, f"bad request with {KEY}")
    Server.refusals.append(complaint)
    with pytest.raises(BridgeError, match=r"\(400\): bad request with \[the key\]"):
        model.predict((), ["to"])


def test_no_error_and_no_traceback_shows_the_key(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-wrong-456"
    monkeypatch.setenv("SOME_KEY", wrong)
    down = Endpoint("http://127.0.0.1:9/v1", "m", key_variable="SOME_KEY")
    refused = Endpoint(address, "reverser", key_variable="SOME_KEY")
    for model, words in (
        (down, "does not answer"),
        (refused, r"refuses the key \(401"),
    ):
        with pytest.raises(BridgeError, match=words) as raised:
            model.predict((), ["to"])
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
        assert wrong not in "".join(traceback.format_exception(raised.value))
    assert "SOME_KEY" in str(raised.value)


@pytest.mark.parametrize("held", [None, "", " \n", "ключ", "two\nlines"])
def test_a_variable_that_holds_no_key_is_named_before_a_request(
    held: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    if held is not None:
        monkeypatch.setenv("SOME_KEY", held)
    with pytest.raises(BridgeError, match="environment variable SOME_KEY holds no key"):
        Endpoint(address, "reverser", key_variable="SOME_KEY").predict((), ["to"])
    assert Server.requests == []


def test_a_key_in_place_of_a_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(BridgeError, match="never the key itself") as raised:
        Endpoint("http://localhost/v1", "m", key_variable=KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("wrong", ["localhost:8000", "http://", "ftp://host/v1", ""])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(BridgeError, match="https://host/v1"):
        Endpoint(wrong, "m")


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(BridgeError, match="neither a user nor a key") as raised:
        Endpoint("https://user:secret@host/v1", "m")
    assert "secret" not in str(raised.value)


def test_a_busy_server_is_asked_again_and_not_for_ever(address: str) -> None:
    model = Endpoint(address, "reverser", retries=2, pause=0.0)
    Server.refusals += [(429, "slow down"), (503, "starting")]
    assert model.predict((), ["to"]) == ["TO"]
    Server.refusals += [(429, "slow down")] * 3
    with pytest.raises(BridgeError, match=r"\(429\): slow down"):
        model.predict((), ["to"])
    assert len(Server.requests) == 6


def test_the_servers_own_words_are_passed_on(address: str) -> None:
    Server.refusals.append((400, "maximum context length is 512 tokens"))
    with pytest.raises(BridgeError, match="maximum context length is 512 tokens"):
        Endpoint(address, "reverser").predict(SUPPORT, ["to"])
    with pytest.raises(BridgeError, match="Does the server have the model 'other'"):
        Endpoint(address, "other").predict((), ["to"])


@pytest.mark.parametrize("text", ["<html>", "{}", '{"choices": []}', "[]"])
def test_a_server_of_another_kind_is_noticed(text: str, address: str) -> None:
    Server.refusals.append((200, text))
    with pytest.raises(BridgeError, match="not in the form of OpenAI"):
        Endpoint(address, "reverser").predict((), ["to"])


def test_a_key_is_not_carried_to_where_a_server_points(address: str) -> None:
    Server.refusals.append((307, ""))
    with pytest.raises(BridgeError, match="307"):
        Endpoint(address, "reverser").predict((), ["to"])
    assert len(Server.requests) == 1


def test_a_server_that_is_too_slow_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*words: Any, **keywords: Any) -> None:
        raise httpx.ReadTimeout("late")

    monkeypatch.setattr("httpx.post", late)
    with pytest.raises(BridgeError, match=r"does not answer \(ReadTimeout\)"):
        Endpoint(address, "reverser").predict((), ["to"])


def test_without_httpx_the_extra_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_installed("httpx", monkeypatch)
    with pytest.raises(BridgeError, match=r"pip install 'labkit\[lm\]'"):
        Endpoint(address, "reverser").predict((), ["to"])


# The exam

TASKS = [
    TextTask(SUPPORT[:2], (("lo mi", "MI LO"), ("to", "TO"))),
    TextTask(SUPPORT[2:], (("lo mi", "MI LO "), ("to", "to"))),
    TextTask((), (("lo mi ka", "KA MI LO"), ("a b", "a b"))),
]


def test_the_score_is_the_mean_over_tasks_of_answers_right_to_the_letter(
    address: str, tmp_path: Path
) -> None:
    answers = ask(Endpoint(address, "reverser"), TASKS, tmp_path / "answers.jsonl")
    assert answers == [["MI LO", "TO"], ["MI LO", "TO"], ["KA MI LO", "B A"]]
    found = mark(TASKS, answers, seed=5)
    assert found.mean == pytest.approx((1 + 0.5 + 0.5) / 3)
    for near in ("MI LO KA", "mi lo"):  # more than was asked, and other letters
        assert mark(TASKS, [[near, "TO"], *answers[1:]], seed=5).mean < found.mean
    deviation = ((1 / 3) ** 2 + 2 * (1 / 6) ** 2) / 2
    assert found.ci95 == pytest.approx(1.96 * (deviation / 3) ** 0.5)
    assert (found.n_tasks, found.seed, found.normalisation) == (3, 5, "inductive")
    with pytest.raises(ValueError, match="at least 2"):
        mark(TASKS[:1], answers[:1], seed=5)


def test_the_cost_is_told_without_a_request(address: str, tmp_path: Path) -> None:
    model = Endpoint(address, "reverser", tokens_written=10)
    told = cost(model, TASKS, price=(3.0, 6.0), seconds_per_prompt=0.5)
    assert Server.requests == []
    assert told.prompts == 6
    assert told.tokens_written == 60
    assert told.seconds == 3
    assert told.money == pytest.approx((told.tokens_read * 3 + 60 * 6) / 1e6)
    ask(model, TASKS, tmp_path / "answers.jsonl")
    sent = [m["content"] for request in Server.requests for m in request["messages"]]
    assert told.tokens_read == sum(len(text.encode()) + 8 for text in sent)
    assert str(told).startswith("6 prompts: at most ")
    assert "about 3 s, at a price of at most 0.00" in str(told)


def test_what_is_free_is_timed_and_counted_in_its_own_tokens(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=4)
    told = cost(model, TASKS)
    prompts = [
        "".join(f"Input: {a}\nOutput: {b}\n" for a, b in task.support)
        + f"Input: {x}\nOutput:"
        for task in TASKS
        for x, _ in task.query
    ]
    assert told.tokens_read == sum(
        len(model.tokenizer(p)["input_ids"]) for p in prompts
    )
    assert told.seconds is not None
    assert told.seconds > 0
    assert told.money is None


def test_answers_that_are_kept_are_not_asked_for_again(
    address: str, tmp_path: Path
) -> None:
    model, file = Endpoint(address, "reverser"), tmp_path / "answers.jsonl"
    first = ask(model, TASKS, file)
    before = file.read_bytes()
    assert ask(model, TASKS, file) == first
    assert len(Server.requests) == 6
    assert file.read_bytes() == before
    other = Endpoint(address, "reverser", tokens_written=9)
    ask(other, TASKS[:1], file)
    assert len(Server.requests) == 8, "other settings are another model"


def test_a_failure_keeps_what_was_paid_for_and_says_so(
    address: str, tmp_path: Path
) -> None:
    model = Endpoint(address, "reverser", retries=0)
    file = tmp_path / "answers.jsonl"
    Server.refusals.append((500, "out of order"))
    with pytest.raises(BridgeError, match="out of order"):
        ask(model, TASKS, file)
    assert not file.exists(), "nothing came, so nothing is written"
    ask(model, TASKS[:1], file)
    Server.refusals.append((500, "out of order"))
    with pytest.raises(BridgeError, match=r"2 answers are kept in answers\.jsonl"):
        ask(model, TASKS, file)
    Server.requests.clear()
    assert ask(model, TASKS, file)[0] == ["MI LO", "TO"]
    assert len(Server.requests) == 4


def test_an_interruption_keeps_them_too(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = Endpoint(address, "reverser"), tmp_path / "answers.jsonl"
    real, calls = httpx.post, iter(range(9))

    def interrupted(*words: Any, **keywords: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(*words, **keywords)

    monkeypatch.setattr("httpx.post", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(model, TASKS, file)
    assert len(file.read_text().splitlines()) == 3
    ask(model, TASKS, file)
    assert len(file.read_text().splitlines()) == len(Server.requests) == 6


@pytest.mark.parametrize("left", [0, 1, 9, 14, 60, 110, 130])
def test_a_line_cut_off_anywhere_costs_one_answer(
    left: int, address: str, tmp_path: Path
) -> None:
    model, file = Endpoint(address, "reverser"), tmp_path / "answers.jsonl"
    expected = ask(model, TASKS, file)
    *whole, last = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole) + last[:left])
    Server.requests.clear()
    assert ask(model, TASKS, file) == expected
    assert len(Server.requests) <= 1
    assert ask(model, TASKS, file) == expected
    assert len(Server.requests) <= 1


def test_another_file_in_the_place_of_answers_is_left_alone(
    address: str, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Dear diary")
    with pytest.raises(BridgeError, match=r"Line 1 of notes\.txt is not an answer"):
        ask(Endpoint(address, "reverser"), TASKS, file)
    assert file.read_text() == "Dear diary"
    with pytest.raises(BridgeError, match="no folder"):
        ask(Endpoint(address, "reverser"), TASKS, tmp_path / "no" / "answers.jsonl")
    assert Server.requests == []
