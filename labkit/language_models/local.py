"""A causal language model on this machine, in Hugging Face's format: θ' is its cache.

The prompt is plain text,

    Input: x_1
    Output: y_1
    …
    Input: x
    Output:

and the answer is what follows up to the end of the line; or, with `chat`, a dialogue
written out by the model's own template. The support is read once. Each query goes on
from a copy of its keys and values, and the most probable token is taken every time. A
model whose cache cannot be gone on from in this way reads the whole prompt each time.

Nothing is downloaded: the model is a folder or a file, and no code in it is run.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from labkit.device import choose
from labkit.language_models.errors import LanguageModelError
from labkit.language_models.loading import fingerprint, load, tried
from labkit.language_models.prompts import (
    Answer,
    Pair,
    dialogue,
    first_line,
    plain,
    said,
)


@dataclass(frozen=True)
class Read:
    """A support that was read: its tokens, with their keys and values in all layers.

    Attributes:
        cache: None where there is none to go on from.
    """

    support: tuple[Pair, ...]
    tokens: list[int]
    cache: Any


class LocalModel:
    """Answer queries with the causal language model in `folder`.

    Args:
        folder: in Hugging Face's format; or a GGUF file, or a folder with one.
        chat: write examples as the turns of a dialogue, for models trained on these.
        longest_answer: in tokens; an answer that is longer is cut off.

    Raises:
        LanguageModelError: no transformers, no causal language model in the folder, no
            chat template, no room for an answer; and, from the two calls, a prompt
            longer than the model reads.
    """

    free = True

    def __init__(
        self,
        folder: Path | str,
        *,
        chat: bool = False,
        longest_answer: int = 64,
        device: str = "auto",
    ) -> None:
        self.folder, self.chat = Path(folder).expanduser().resolve(), chat
        self.tokens_written = longest_answer
        if longest_answer < 1:
            raise LanguageModelError(
                f"longest_answer={longest_answer}: an answer has 1 token at least."
            )
        self.device = choose(device)
        self.tokenizer, model = load(self.folder)
        self.model = model.to(self.device)
        self.continues = tried(self.model, self.folder.name)
        if chat and self.tokenizer.chat_template is None:
            raise LanguageModelError(
                f"The model in {self.folder.name} has no chat template: it was not "
                "trained on dialogues. Leave chat=True out, or name one that was."
            )

    def __repr__(self) -> str:
        return (
            f"LocalModel({str(self.folder)!r}, chat={self.chat}, "
            f"longest_answer={self.tokens_written})"
        )

    def settings(self) -> dict[str, Any]:
        return {"folder": self.folder.name, "sha256": self._fingerprint}

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.folder)

    def adapt(self, support: Sequence[Pair]) -> Read:
        """θ': the cache of the examples."""
        tokens = self._tokens(support)
        self._require_room(tokens, len(support))
        cache = None
        if tokens and self.continues.by_several:
            with torch.no_grad():
                cache = self._forward(tokens, None).cache
        return Read(tuple(support), tokens, cache)

    def predict(self, adapted: Read, queries: Sequence[str]) -> list[Answer]:
        return [self._answer(adapted, query) for query in queries]

    def prompt(self, support: Sequence[Pair], query: str | None) -> str:
        """Examples, and the query if there is one, as the text that is read."""
        if not self.chat:
            return plain(support, query)
        if not (messages := dialogue(support, query)):
            return ""
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=query is not None
        )

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        tokens = self._tokens(support, query)
        self._require_room(tokens, len(support))
        return len(tokens)

    @torch.no_grad()
    def _answer(self, adapted: Read, query: str) -> Answer:
        tokens = self._tokens(adapted.support, query)
        self._require_room(tokens, len(adapted.support))
        known = len(adapted.tokens)
        # a tokeniser may join what ends the examples with what begins the query
        if (
            adapted.cache is not None
            and known < len(tokens)
            and tokens[:known] == adapted.tokens
        ):
            cache, new = copy.deepcopy(adapted.cache), tokens[known:]
        else:
            cache, new = None, tokens
        written: list[int] = []
        cut_off = "length"
        while len(written) < self.tokens_written:
            out = self._forward(new, cache)
            token = out.logits[0, -1].argmax().item()
            if token in self._ends():
                cut_off = ""
                break
            written.append(token)
            if not self.chat and "\n" in self._text(written).lstrip():
                break
            if self.continues.by_one:
                new, cache = [token], out.cache
            else:
                new, cache = tokens + written, None
        return (said if self.chat else first_line)(self._text(written), cut_off)

    def _forward(self, tokens: list[int], cache: Any) -> Any:
        batch = torch.tensor([tokens], device=self.device)
        known = {} if cache is None else {"cache": cache}
        return self.model(input_ids=batch, use_cache=self.continues.by_one, **known)

    def _tokens(self, support: Sequence[Pair], query: str | None = None) -> list[int]:
        text = self.prompt(support, query)
        if self.chat:  # the template has written what begins a text
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.tokenizer(text)["input_ids"]

    def _text(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)

    def _ends(self) -> set[int]:
        """The tokens that end an answer."""
        named = self.model.generation_config.eos_token_id
        several = named if isinstance(named, list) else [named]
        return {*several, self.tokenizer.eos_token_id}

    def _require_room(self, tokens: list[int], examples: int) -> None:
        config = self.model.config.get_text_config()
        room = getattr(config, "max_position_embeddings", None)
        if room is not None and len(tokens) + self.tokens_written > room:
            raise LanguageModelError(
                f"A prompt of {examples} examples has {len(tokens)} tokens, and an "
                f"answer up to {self.tokens_written}; {self.folder.name} reads "
                f"{room}. Ask with fewer examples, or for shorter answers."
            )
