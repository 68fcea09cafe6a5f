"""Language models that lie in a folder, asked as learners."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit.language_models import loading
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import LanguageModel, TextTask, cost
from labkit.language_models.local import LocalModel
from tests.tiny_models import save_llama

SUPPORT = (("ka lo", "LO KA"), ("mi", "MI"), ("to ka mi", "MI KA TO"))
QUERIES = ("lo mi", "ka", "to")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "chatty"
    return save_llama(folder, TEMPLATE, context=1024)


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
    with pytest.raises(
        LanguageModelError, match=r"tiny has no chat template.*chat=True"
    ):
        LocalModel(folder, chat=True)


def test_a_prompt_that_does_not_fit_says_what_would(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=200)
    many = SUPPORT * 9
    words = r"27 examples has \d+ tokens, and an answer up to 200; tiny reads 256"
    with pytest.raises(LanguageModelError, match=words):
        model.adapt(many)
    task = TextTask(many, ((QUERIES[0], "MI LO"),))
    with pytest.raises(LanguageModelError, match="fewer examples"):
        cost(model, [task])


def test_no_model_and_a_broken_model_say_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        LanguageModelError, match=r"no model in .*nothing: no config\.json"
    ):
        LocalModel(tmp_path / "nothing")
    for file in folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(LanguageModelError, match="cannot be loaded"):
        LocalModel(tmp_path)


def test_gguf_files_are_told_apart_and_need_more_than_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.gguf"
    with pytest.raises(LanguageModelError, match=r"no config\.json and no GGUF file"):
        LocalModel(file)
    file.write_bytes(b"GGUF")
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    for place in (file, tmp_path):
        with pytest.raises(LanguageModelError, match="pip install gguf accelerate"):
            LocalModel(place)
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    with pytest.raises(LanguageModelError, match=r"several models: a\.gguf, b\.gguf"):
        LocalModel(tmp_path)


def test_a_damaged_gguf_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="no package that reads GGUF files")
    file = tmp_path / "a.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(LanguageModelError, match=r"a\.gguf cannot be loaded"):
        LocalModel(file)


def test_without_transformers_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LanguageModelError, match=r"pip install 'labkit\[lm\]'"):
        LocalModel(folder)


def test_loading_asks_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **keywords: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    LocalModel(folder)


def test_no_room_for_an_answer_is_refused(folder: Path) -> None:
    with pytest.raises(LanguageModelError, match="longest_answer=0"):
        LocalModel(folder, longest_answer=0)


def test_an_answer_knows_whether_the_model_ended_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LocalModel(folder, longest_answer=3)
    (cut,) = model.predict(model.adapt(SUPPORT), QUERIES[:1])
    assert cut.cut_off == "length"
    monkeypatch.setattr(model, "_ends", lambda: set(range(300)))
    (ended,) = model.predict(model.adapt(SUPPORT), QUERIES[:1])
    assert (ended, ended.cut_off) == ("", "")


def test_settings_are_those_that_decide_an_answer(folder: Path, tmp_path: Path) -> None:
    model = LocalModel(folder, longest_answer=4)
    assert isinstance(model, LanguageModel)
    assert model.settings() == LocalModel(folder, longest_answer=9).settings()
    elsewhere = tmp_path / "a" / folder.name
    shutil.copytree(folder, elsewhere)
    assert model.settings() == LocalModel(elsewhere).settings()
    other = save_llama(tmp_path / "b" / folder.name, context=128)
    assert model.settings() != LocalModel(other).settings()


def test_what_is_free_is_timed_and_counted_in_its_own_tokens(folder: Path) -> None:
    model = LocalModel(folder, longest_answer=4)
    tasks = [TextTask(SUPPORT[:n], (("lo mi", "MI LO"), ("to", "TO"))) for n in (0, 2)]
    told = cost(model, tasks)
    prompts = [
        "".join(f"Input: {a}\nOutput: {b}\n" for a, b in task.support)
        + f"Input: {x}\nOutput:"
        for task in tasks
        for x, _ in task.query
    ]
    assert told.tokens_read == sum(
        len(model.tokenizer(p)["input_ids"]) for p in prompts
    )
    assert told.seconds is not None
    assert told.seconds > 0
    assert told.money is None
