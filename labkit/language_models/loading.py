"""A causal language model from its files, and what it can do, found out by trying."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit.language_models.errors import LanguageModelError
from labkit.randomness import seeded

PROBE = 16
"""Tokens that a model is tried on."""


@dataclass(frozen=True)
class Continues:
    """Whether a cache, gone on from, gives what a pass over all tokens gives.

    State-space models (Mamba, Jamba) go on by one token only; of several, given at
    once after a cache, they read each as if little had come before.
    """

    by_one: bool
    by_several: bool


def load(place: Path) -> tuple[Any, Any]:
    """The tokeniser and the network in a folder, or in one GGUF file, and nowhere else.

    Raises:
        LanguageModelError: no transformers, no model, one of another kind, or one
            whose files hold only a part of its weights.
    """
    try:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise LanguageModelError(
            "Local language models need the package transformers: "
            "pip install 'labkit[lm]'"
        ) from None
    folder, gguf = _found(place)
    files = {"local_files_only": True, "trust_remote_code": False, **gguf}
    try:
        config = AutoConfig.from_pretrained(folder, **files)
        if getattr(config, "is_encoder_decoder", False):
            raise LanguageModelError(_of_another_kind(place, config.model_type))
        tokenizer = AutoTokenizer.from_pretrained(folder, **files)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, **files
        )
    except LanguageModelError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:500]
        raise LanguageModelError(
            f"The model in {place} cannot be loaded: {why}"
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise LanguageModelError(
            f"The files in {place} lack {len(missing)} tensors of "
            f"{type(model).__name__}, such as {missing[0]}; at random, these would "
            "answer nonsense. Name a folder with all weights of a language model."
        )
    return tokenizer, model.eval()


def fingerprint(place: Path) -> str:
    """sha256 over the names and contents of all files in a folder, or of the one."""
    total = hashlib.sha256()
    files = [place] if place.is_file() else sorted(place.iterdir())
    for path in filter(Path.is_file, files):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name} {content}\n".encode())
    return total.hexdigest()


def _found(place: Path) -> tuple[Path, dict[str, str]]:
    """The folder of a model and, if it is one GGUF file in there, which."""
    if (place / "config.json").is_file():
        return place, {}
    several = [place] if place.suffix == ".gguf" else sorted(place.glob("*.gguf"))
    if len(several) > 1:
        names = ", ".join(path.name for path in several)
        raise LanguageModelError(f"{place} holds several models: {names}. Name one.")
    if not several or not several[0].is_file():
        raise LanguageModelError(
            f"There is no model in {place}: no config.json and no GGUF file. Name the "
            "folder of a model in Hugging Face's format, as its save_pretrained "
            "writes it, or a GGUF file."
        )
    if lacking := [name for name in ("gguf", "accelerate") if find_spec(name) is None]:
        raise LanguageModelError(
            f"To read {several[0].name} needs more than transformers: "
            f"pip install {' '.join(lacking)}"
        )
    return several[0].parent, {"gguf_file": several[0].name}


@torch.no_grad()
def tried(model: Any, name: str) -> Continues:
    """How the cache of a model can be used, from passes over some tokens.

    Raises:
        LanguageModelError: its outputs are no numbers, or depend on later tokens: an
            encoder, such as BERT.
    """
    n_tokens = model.get_input_embeddings().weight.shape[0]
    shape = (2, PROBE // 2)
    start, end = torch.randint(n_tokens, shape, generator=seeded(0)).to(model.device)
    whole = model(input_ids=torch.cat([start, end])[None]).logits[0]
    if not whole.isfinite().all():
        raise LanguageModelError(
            f"{name} answers with numbers that are not finite. Its weights are "
            "damaged, or too large for their precision."
        )
    # by rounding, more in half precision; where it is wrong, by as much as they vary
    tolerance = float(whole.float().std()) * torch.finfo(whole.dtype).eps ** 0.5

    def same(a: Tensor, b: Tensor) -> bool:
        return bool((a.float() - b.float()).abs().max() <= tolerance)

    other = model(input_ids=torch.cat([start, start.flip(0)])[None]).logits[0]
    if not same(whole[: len(start)], other[: len(start)]):
        raise LanguageModelError(_of_another_kind(name, type(model).__name__))

    def continues(known: int) -> bool:
        tokens = torch.cat([start, end])[None]
        cache = model(input_ids=tokens[:, :known], use_cache=True).get("cache")
        if cache is None:
            return False
        rest = model(
            input_ids=tokens[:, known:], cache=copy.deepcopy(cache), use_cache=True
        )
        return same(whole[known:], rest.logits[0])

    return Continues(by_one=continues(PROBE - 1), by_several=continues(PROBE // 2))


def _of_another_kind(name: Path | str, kind: str) -> str:
    return (
        f"{name} is no causal language model: {kind} reads a text in both directions, "
        "so it cannot go on from a prompt. Name a model that writes, such as a Llama, "
        "a GPT or a Mamba."
    )
