"""A causal language model on this machine, in Hugging Face's format: θ' is its cache.

The prompt is plain text,

    Input: x_1
    Output: y_1
    …
    Input: x
    Output:

and the answer is what follows up to the end of the line; or, with `chat`, a dialogue
written out by the model's own template. The support is read once. Each query goes on
from a copy of its keys and values, and the most probable token is taken every time.

Nothing is downloaded: the model is a folder, and no code that lies in it is run.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from labkit.device import choose
from labkit.language_models.exam import BridgeError, Pair, dialogue


@dataclass(frozen=True)
class Read:
    """A support that was read: its tokens, with their keys and values in all layers."""

    support: tuple[Pair, ...]
    tokens: list[int]
    cache: Any


class LocalModel:
    """Answer queries with the causal language model in `folder`.

    Args:
        chat: write examples as the turns of a dialogue, for models trained on these.
        longest_answer: in tokens; an answer that is longer is cut off.

    Raises:
        BridgeError: no transformers, no model in the folder, no chat template; and,
            from the two calls, a prompt longer than the model reads.
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
        self.device = choose(device)
        self.tokenizer, model = _load(self.folder)
        self.model = model.to(self.device).eval()
        if chat and self.tokenizer.chat_template is None:
            raise BridgeError(
                f"The model in {self.folder.name} has no chat template: it was not "
                "trained on dialogues. Leave chat=True out, or name one that was."
            )

    def __repr__(self) -> str:
        return (
            f"LocalModel({str(self.folder)!r}, chat={self.chat}, "
            f"longest_answer={self.tokens_written})"
        )

    def adapt(self, support: Sequence[Pair]) -> Read:
        """θ': the cache of the examples."""
        tokens = self._tokens(support)
        self._require_room(tokens, len(support))
        cache = None
        if tokens:
            with torch.no_grad():
                cache = self._forward(tokens, None).cache
        return Read(tuple(support), tokens, cache)

    def predict(self, adapted: Read, queries: Sequence[str]) -> list[str]:
        return [self._answer(adapted, query) for query in queries]

    def tokens_read(self, support: Sequence[Pair], query: str) -> int:
        tokens = self._tokens(support, query)
        self._require_room(tokens, len(support))
        return len(tokens)

    @torch.no_grad()
    def _answer(self, adapted: Read, query: str) -> str:
        tokens = self._tokens(adapted.support, query)
        self._require_room(tokens, len(adapted.support))
        known = len(adapted.tokens)
        # a tokeniser may join what ends the examples with what begins the query
        if 0 < known < len(tokens) and tokens[:known] == adapted.tokens:
            cache, new = copy.deepcopy(adapted.cache), tokens[known:]
        else:
            cache, new = None, tokens
        written: list[int] = []
        for _ in range(self.tokens_written):
            out = self._forward(new, cache)
            token = out.logits[0, -1].argmax().item()
            if token in self._ends():
                break
            written.append(token)
            if not self.chat and "\n" in self._text(written).lstrip():
                break
            new, cache = [token], out.cache
        answer = self._text(written).strip()
        return answer if self.chat else answer.partition("\n")[0].strip()

    def _forward(self, tokens: list[int], cache: Any) -> Any:
        batch = torch.tensor([tokens], device=self.device)
        return self.model(input_ids=batch, cache=cache, use_cache=True)

    def _tokens(self, support: Sequence[Pair], query: str | None = None) -> list[int]:
        """Of the prompt: its examples, and the query if there is one."""
        if self.chat:
            if not (messages := dialogue(support, query)):
                return []
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=query is not None
            )
            # the template has written what begins a text
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]
        text = "".join(f"Input: {x}\nOutput: {y}\n" for x, y in support)
        if query is not None:
            text += f"Input: {query}\nOutput:"
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
            raise BridgeError(
                f"A prompt of {examples} examples has {len(tokens)} tokens, and an "
                f"answer up to {self.tokens_written}; {self.folder.name} reads "
                f"{room}. Ask with fewer examples, or for shorter answers."
            )


def _load(folder: Path) -> tuple[Any, Any]:
    """The tokeniser and the network that lie in a folder, from its files alone."""
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise BridgeError(
            "Local language models need the package transformers: "
            "pip install 'labkit[lm]'"
        ) from None
    if not (folder / "config.json").is_file():
        raise BridgeError(
            f"There is no model in {folder}: no config.json. Name the folder of a "
            "model in Hugging Face's format, as its save_pretrained writes it."
        )
    only_files = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **only_files)
        model = AutoModelForCausalLM.from_pretrained(folder, **only_files)
    except Exception as error:
        raise BridgeError(f"The model in {folder} cannot be loaded: {error}") from error
    return tokenizer, model
