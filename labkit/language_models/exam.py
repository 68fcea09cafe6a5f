"""Few-shot tasks for a language model: what they will cost, its answers, its score.

A language model is a learner on strings, with the same two calls. Adapt reads pairs of
an input and its output; what it leaves, θ', is the prompt. There is no task axis: a
prompt holds one task, and a query is one prompt more.

Nothing that was paid for is lost. Each answer goes to a file of JSON lines as soon as
it is there, and is not asked for again; there is no score before all have come.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from labkit.evaluation import Evaluation
from labkit.progress import Progress

Pair = tuple[str, str]
"""An input and its output."""

INSTRUCTION = (
    "All my messages follow one rule. Answer each as those before it are answered, "
    "with the output alone."
)
"""What a model that was trained on dialogues is told, above the first message."""


class BridgeError(Exception):
    """A language model cannot be reached or used. The message says what to do."""


@dataclass(frozen=True)
class TextTask:
    """One task in strings: pairs to learn from, and pairs to be asked for."""

    support: tuple[Pair, ...]
    query: tuple[Pair, ...]


@runtime_checkable
class LanguageModel(Protocol):
    """What `LocalModel` and `Endpoint` are. Its repr tells it from all others."""

    @property
    def tokens_written(self) -> int:
        """The most that one answer can have."""

    @property
    def free(self) -> bool:
        """Whether a trial costs nothing but time."""

    def adapt(self, support: Sequence[Pair]) -> Any:
        """Read the examples: θ'."""

    def predict(self, adapted: Any, queries: Sequence[str]) -> list[str]:
        """The answer to each query, as if there were no other."""

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        """How long that prompt is, or at most is where the vocabulary is not known.

        Raises:
            BridgeError: longer than the model reads.
        """


def dialogue(support: Sequence[Pair], query: str | None) -> list[dict[str, str]]:
    """A prompt as messages: inputs from the user, outputs from the model, in turn."""
    messages = []
    for x, y in support:
        messages.append({"role": "user", "content": x})
        messages.append({"role": "assistant", "content": y})
    if query is not None:
        messages.append({"role": "user", "content": query})
    if messages:  # not as a system message: some models have no place for one
        messages[0]["content"] = f"{INSTRUCTION}\n\n{messages[0]['content']}"
    return messages


@dataclass(frozen=True)
class Cost:
    """What asking will take. Tokens are the most there can be, since a model may read
    a support once for several queries, and answers may be short.

    Attributes:
        seconds: extrapolated from one prompt; None where none was tried.
        money: in the currency of the price; None without a price.
    """

    prompts: int
    tokens_read: int
    tokens_written: int
    seconds: float | None
    money: float | None

    def __str__(self) -> str:
        clock = "" if self.seconds is None else f", about {self.seconds:.0f} s"
        bill = "" if self.money is None else f", at a price of at most {self.money:.2f}"
        return (
            f"{self.prompts:,} prompts: at most {self.tokens_read:,} tokens to read "
            f"and {self.tokens_written:,} to write{clock}{bill}"
        )


def cost(
    model: LanguageModel,
    tasks: Sequence[TextTask],
    *,
    price: tuple[float, float] | None = None,
    seconds_per_prompt: float | None = None,
) -> Cost:
    """What `ask` will take for these tasks if no answer is kept yet. Asks nothing; a
    model that is free answers one query, to be timed.

    Args:
        price: of a million tokens read, and of a million written, in any currency.

    Raises:
        BridgeError: a prompt is longer than the model reads.
    """
    sizes = [
        model.tokens_read(task.support, x) for task in tasks for x, _ in task.query
    ]
    if seconds_per_prompt is None and model.free:
        start, first = time.perf_counter(), tasks[0]
        model.predict(model.adapt(first.support), [first.query[0][0]])
        seconds_per_prompt = time.perf_counter() - start
    read, written = sum(sizes), len(sizes) * model.tokens_written
    return Cost(
        prompts=len(sizes),
        tokens_read=read,
        tokens_written=written,
        seconds=None if seconds_per_prompt is None else seconds_per_prompt * len(sizes),
        money=None if price is None else (read * price[0] + written * price[1]) / 1e6,
    )


def ask(
    model: LanguageModel, tasks: Sequence[TextTask], answers: Path | str
) -> list[list[str]]:
    """The model's answers to all queries of all tasks.

    Args:
        answers: the file that keeps them. An interrupted or failed call, made again,
            asks only for what is missing there. A model whose weights have changed
            needs another file.

    Raises:
        BridgeError: the model cannot answer, or the file is not one of answers.
    """
    kept = _Kept(Path(answers))
    total = sum(len(task.query) for task in tasks)
    progress = Progress("asking", total)
    found: list[list[str]] = []
    done = 0
    for task in tasks:
        adapted = None
        found.append([])
        for x, _ in task.query:
            key = _key(model, task.support, x)
            if key not in kept.answers:
                try:
                    if adapted is None:
                        adapted = model.adapt(task.support)
                    (answer,) = model.predict(adapted, [x])
                except BridgeError as error:
                    if not kept.answers:
                        raise
                    raise BridgeError(
                        f"{error}\n{len(kept.answers)} answers are kept in "
                        f"{kept.path.name}; the same call goes on from there."
                    ) from None
                kept.add(key, x, answer)
            found[-1].append(kept.answers[key])
            done += 1
            progress(done)
    return found


def mark(
    tasks: Sequence[TextTask], answers: Sequence[Sequence[str]], *, seed: int
) -> Evaluation:
    """The fraction of queries answered to the letter, spaces at the ends aside: the
    mean over tasks, with its 95% interval.

    Args:
        seed: that the tasks were drawn with, to be told with the figure.

    Raises:
        ValueError: fewer than two tasks, of which no interval can be computed.
    """
    if len(tasks) < 2:
        raise ValueError(f"{len(tasks)} task: an interval needs at least 2.")
    scores = [
        sum(y.strip() == a.strip() for (_, y), a in zip(task.query, given, strict=True))
        / len(task.query)
        for task, given in zip(tasks, answers, strict=True)
    ]
    return Evaluation.of(torch.tensor(scores, dtype=torch.float64), seed, "inductive")


def _key(model: LanguageModel, support: Sequence[Pair], query: str) -> str:
    """The same for the same prompt to the same model with the same settings."""
    text = json.dumps([repr(model), list(support), query])
    return hashlib.sha256(text.encode()).hexdigest()


START = '{"prompt": '
"""How a line of answers begins."""


class _Kept:
    """Answers on disk, a JSON line each. A line that a crash cut off is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, str] = {}
        if not path.parent.is_dir():
            raise BridgeError(f"There is no folder {path.parent} to keep answers in.")
        text = path.read_text("utf-8", "replace") if path.exists() else ""
        self._cut_off = not text.endswith("\n") and text != ""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                kept = json.loads(line)
                self.answers[kept["prompt"]] = kept["answer"]
            except (ValueError, KeyError, TypeError):
                if line[: len(START)] != START[: len(line)]:
                    raise BridgeError(
                        f"Line {number} of {path.name} is not an answer that `ask` "
                        "wrote. Name another file; this one was left as it is."
                    ) from None

    def add(self, prompt: str, query: str, answer: str) -> None:
        line = json.dumps({"prompt": prompt, "query": query, "answer": answer})
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._cut_off + line + "\n")
        self._cut_off = False
        self.answers[prompt] = answer
