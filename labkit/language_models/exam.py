"""Few-shot tasks for a language model: what they will cost, its answers, its score.

A language model is a learner on strings, with the same two calls. Adapt reads pairs of
an input and its output; what it leaves, θ', is the prompt. There is no task axis: a
prompt holds one task, and a query is one prompt more.

Nothing that was paid for is lost. Each answer goes to a file of JSON lines as soon as
it is there, and is not asked for again; there is no score before all have come, each of
them whole.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from labkit.evaluation import Evaluation
from labkit.language_models.answers import Answers, Line, identity
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.prompts import Answer, Pair
from labkit.progress import Progress


@dataclass(frozen=True)
class TextTask:
    """One task in strings: pairs to learn from, and pairs to be asked for.

    Raises:
        ValueError: nothing is asked.
    """

    support: tuple[Pair, ...]
    query: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.query:
            raise ValueError("A task without a query asks nothing and has no score.")


@runtime_checkable
class LanguageModel(Protocol):
    """What `LocalModel` and `Endpoint` are."""

    @property
    def tokens_written(self) -> int:
        """The most that one answer can have."""

    @property
    def free(self) -> bool:
        """Whether a trial costs nothing but time."""

    def settings(self) -> dict[str, Any]:
        """All that decides an answer, beside the prompt and `tokens_written`."""

    def adapt(self, support: Sequence[Pair]) -> Any:
        """Read the examples: θ'."""

    def predict(self, adapted: Any, queries: Sequence[str]) -> list[Answer]:
        """The answer to each query, as if there were no other."""

    def prompt(self, support: Sequence[Pair], query: str) -> str | list[dict[str, str]]:
        """What the model is given to read: a text, or the messages of a dialogue."""

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        """How long that prompt is, or at most is where the vocabulary is not known.

        Raises:
            LanguageModelError: longer than the model reads.
        """


@dataclass(frozen=True)
class Cost:
    """What asking will take. Tokens are the most there can be, since a model may read
    a support once for several queries, and answers may be short. A request that is
    made again, after a server that was busy or lost the first, is not counted.

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
    answers: Path | str | None = None,
    *,
    price: tuple[float, float] | None = None,
    seconds_per_prompt: float | None = None,
) -> Cost:
    """What `ask` will take for these tasks. Asks nothing; a model that is free answers
    one query, to be timed.

    Args:
        answers: the file of `ask`; what it holds costs nothing more.
        price: of a million tokens read, and of a million written, in any currency.

    Raises:
        LanguageModelError: a prompt is longer than the model reads, or the file is not
            one of answers.
    """
    settings, limit = model.settings(), model.tokens_written
    kept = None if answers is None else Answers(answers)
    missing = [
        (task, x)
        for task in tasks
        for x, _ in task.query
        if kept is None
        or kept.find(
            identity(settings, model.prompt(task.support, x)),
            limit,
            count_cut_off=False,
        )
        is None
    ]
    if seconds_per_prompt is None and model.free and missing:
        task, x = missing[0]
        start = time.perf_counter()
        model.predict(model.adapt(task.support), [x])
        seconds_per_prompt = time.perf_counter() - start
    n, written = len(missing), len(missing) * limit
    read = sum(model.tokens_read(task.support, x) for task, x in missing)
    return Cost(
        prompts=n,
        tokens_read=read,
        tokens_written=written,
        seconds=None if seconds_per_prompt is None else seconds_per_prompt * n,
        money=None if price is None else (read * price[0] + written * price[1]) / 1e6,
    )


def ask(
    model: LanguageModel,
    tasks: Sequence[TextTask],
    answers: Path | str,
    *,
    count_cut_off: bool = False,
) -> list[list[str]]:
    """The model's answers to all queries of all tasks.

    Args:
        answers: the file that keeps them. An interrupted or failed call, made again,
            asks only for what is missing there.
        count_cut_off: take an answer that is not whole as it is. Otherwise it stops the
            call: it is kept, marked, and asked for again when more tokens are allowed.

    Raises:
        LanguageModelError: the model cannot answer, an answer was cut off, or the file
            is not one of answers.
    """
    kept = Answers(answers)
    settings, limit = model.settings(), model.tokens_written
    progress = Progress("asking", sum(len(task.query) for task in tasks))
    found: list[list[str]] = []
    done = 0
    with kept.writing() as add:
        for task in tasks:
            adapted = None
            found.append([])
            for x, y in task.query:
                prompt = model.prompt(task.support, x)
                id = identity(settings, prompt)
                answer = kept.find(id, limit, count_cut_off=count_cut_off)
                try:
                    if answer is None:
                        if adapted is None:
                            adapted = model.adapt(task.support)
                        (answer,) = model.predict(adapted, [x])
                        why = answer.cut_off
                        add(Line(id, settings, prompt, x, y, answer, why, limit))
                    if answer.cut_off and not count_cut_off:
                        raise LanguageModelError(_cut_off(answer, x, limit))
                except LanguageModelError as error:
                    if not len(kept):
                        raise
                    raise LanguageModelError(
                        f"{error} {len(kept)} answers are kept in {kept.path.name}; "
                        "the same call goes on from there."
                    ) from None
                found[-1].append(str(answer))
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
        ValueError: fewer than two tasks, of which no interval can be computed; or
            answers to other tasks than these.
    """
    if len(tasks) < 2:
        raise ValueError(f"{len(tasks)} task: an interval needs at least 2.")
    asked, given = [len(t.query) for t in tasks], [len(some) for some in answers]
    if asked != given:
        raise ValueError(
            f"{sum(asked)} queries of {len(asked)} tasks have {sum(given)} answers in "
            f"{len(given)} lists. Mark the answers that `ask` gave for these tasks."
        )
    scores = [
        sum(y.strip() == a.strip() for (_, y), a in zip(task.query, some, strict=True))
        / len(task.query)
        for task, some in zip(tasks, answers, strict=True)
    ]
    return Evaluation.of(torch.tensor(scores, dtype=torch.float64), seed, "inductive")


def _cut_off(answer: Answer, query: str, limit: int) -> str:
    """Why an answer that is not whole does not count, and what to do."""
    counted = "`ask(…, count_cut_off=True)` counts it as it is."
    if answer.cut_off == "length":
        return (
            f"The answer to {query!r} was cut off after {limit} tokens: "
            f"{answer[:80]!r}. Allow more; what was cut off is asked for again then, "
            f"and nothing else. Or {counted}"
        )
    return (
        f"The answer to {query!r} is not whole ({answer.cut_off}): {answer[:80]!r}. "
        f"Ask again, or change what stops it. Or {counted}"
    )
