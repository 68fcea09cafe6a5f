"""Language models of a few thousand weights, at random, saved as others save theirs."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "initializer_range": 0.5}
"""Weights so large that answers differ."""

HEADS = {**SIZE, "intermediate_size": 32, "num_attention_heads": 2}


def save_tokenizer(folder: Path, template: str | None = None) -> int:
    """A byte-level vocabulary; returns its size."""
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
    return len(fast)


def save(
    folder: Path, kind: type[PreTrainedModel], config: PretrainedConfig
) -> PreTrainedModel:
    """A model of that kind at random, with its tokeniser, in the folder."""
    config.vocab_size = save_tokenizer(folder)
    config.eos_token_id = 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config)
    model.save_pretrained(folder)
    return model


def save_llama(folder: Path, template: str | None = None, context: int = 256) -> Path:
    save(
        folder, LlamaForCausalLM, LlamaConfig(**HEADS, max_position_embeddings=context)
    )
    save_tokenizer(folder, template)
    return folder
