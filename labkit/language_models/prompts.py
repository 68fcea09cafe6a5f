"""From pairs of strings to a prompt, and from what a model writes to its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

Pair = tuple[str, str]
"""An input and its output."""

INSTRUCTION = (
    "All my messages follow one rule. Answer each as those before it are answered, "
    "with the output alone."
)
"""What a model that was trained on dialogues is told, above the first message."""

_THOUGHT = r"think|thinking|thought|reasoning"
_OPENS = re.compile(rf"\s*<({_THOUGHT})>")
_CLOSES = re.compile(rf"</(?:{_THOUGHT})>")


class Answer(str):
    """What a model answered: a string that knows whether the model came to its end.

    Attributes:
        cut_off: empty for a whole answer, or why there is no more of it: "length", or
            another reason as the server gave it.
    """

    cut_off: str

    def __new__(cls, text: str, cut_off: str = "") -> Answer:
        answer = super().__new__(cls, text)
        answer.cut_off = cut_off
        return answer


def plain(support: Sequence[Pair], query: str | None) -> str:
    """A prompt as a text that a model goes on with, up to the end of the line."""
    text = "".join(f"Input: {x}\nOutput: {y}\n" for x, y in support)
    return text if query is None else f"{text}Input: {query}\nOutput:"


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


def first_line(text: str, cut_off: str) -> Answer:
    """The answer in what a model wrote after a plain prompt."""
    line, ended, _ = text.lstrip().partition("\n")
    return Answer(line.strip(), "" if ended else cut_off)


def said(text: str, cut_off: str) -> Answer:
    """The answer in a turn of a dialogue: what follows the model's thoughts.

    Thoughts stand between <think> and </think>; a template may have written the first
    of these into the prompt. Where they do not end, there is no answer yet.
    """
    *thoughts, last = _CLOSES.split(text)
    if not thoughts and _OPENS.match(text):
        return Answer("", cut_off or "its thoughts do not end")
    return Answer(last.strip(), cut_off)
