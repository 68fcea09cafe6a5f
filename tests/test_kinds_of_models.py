"""Models of other kinds than the Llama: found out at load, right or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    JambaConfig,
    JambaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

from labkit.language_models.errors import LanguageModelError
from labkit.language_models.exam import TextTask, ask
from labkit.language_models.loading import Continues, tried
from labkit.language_models.local import LocalModel
from tests.tiny_models import HEADS, SIZE, save

SUPPORT = (("ka lo", "LO KA"), ("mi", "MI"), ("to ka mi", "MI KA TO"))
QUERIES = ("lo mi", "ka", "to")
STORIES = Path(__file__).parents[2] / "shared" / "lm" / "stories260K"

WRITERS: dict[str, tuple[Any, Any, Continues]] = {
    "Llama": (LlamaForCausalLM, LlamaConfig(**HEADS), Continues(True, True)),
    "GPT-2": (
        GPT2LMHeadModel,
        GPT2Config(n_embd=16, n_layer=2, n_head=2, initializer_range=0.5),
        Continues(True, True),
    ),
    "Mistral with a short window": (
        MistralForCausalLM,
        MistralConfig(**HEADS, num_key_value_heads=2, sliding_window=4),
        Continues(True, True),
    ),
    "BERT as a decoder": (
        BertLMHeadModel,
        BertConfig(**HEADS, is_decoder=True),
        Continues(True, True),
    ),
    "Mamba": (
        MambaForCausalLM,
        MambaConfig(**SIZE, state_size=4),
        Continues(True, False),
    ),
    "Mamba 2": (
        Mamba2ForCausalLM,
        Mamba2Config(**SIZE, state_size=4, num_heads=4, head_dim=8, n_groups=1),
        Continues(True, True),
    ),
    "Jamba": (
        JambaForCausalLM,
        JambaConfig(
            **HEADS,
            num_key_value_heads=2,
            attn_layer_period=2,
            attn_layer_offset=1,
            use_mamba_kernels=False,
            num_experts=2,
        ),
        Continues(True, False),
    ),
    "RWKV, whose cache has another name": (
        RwkvForCausalLM,
        RwkvConfig(hidden_size=16, attention_hidden_size=16, num_hidden_layers=2),
        Continues(False, False),
    ),
}


@pytest.mark.parametrize(
    ("kind", "config", "continues"), WRITERS.values(), ids=WRITERS.keys()
)
def test_every_kind_answers_as_by_whole_passes(
    kind: Any, config: Any, continues: Continues, tmp_path: Path
) -> None:
    save(tmp_path, kind, config)
    model = LocalModel(tmp_path, longest_answer=6)
    assert model.continues == continues
    adapted = model.adapt(SUPPORT)
    assert (adapted.cache is not None) == continues.by_several
    answers = model.predict(adapted, QUERIES)
    for query, answer in zip(QUERIES, answers, strict=True):
        tokens = model._tokens(SUPPORT, query)
        start = len(tokens)
        for _ in range(model.tokens_written):
            with torch.no_grad():
                logits = model.model(torch.tensor([tokens]), use_cache=False).logits
            tokens.append(int(logits[0, -1].argmax()))
            if tokens[-1] == 0:
                break
        whole = model.tokenizer.decode(tokens[start:], skip_special_tokens=True)
        assert answer == whole.lstrip().partition("\n")[0].strip()
    assert model.predict(adapted, QUERIES[::-1]) == answers[::-1]


def test_in_half_precision_rounding_is_told_from_a_wrong_cache(tmp_path: Path) -> None:
    for name, by_several in (("Llama", True), ("Jamba", False), ("Mamba", False)):
        kind, config, _ = WRITERS[name]
        model = save(tmp_path / name, kind, config).eval().to(torch.bfloat16)
        assert tried(model, name).by_several == by_several


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BertForMaskedLM, BertConfig(**HEADS)),
        (
            BartForConditionalGeneration,
            BartConfig(
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=16,
                decoder_ffn_dim=16,
            ),
        ),
        (
            T5ForConditionalGeneration,
            T5Config(d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8),
        ),
    ],
)
def test_an_encoder_is_refused(kind: Any, config: Any, tmp_path: Path) -> None:
    save(tmp_path, kind, config)
    with pytest.raises(LanguageModelError, match="no causal language model") as raised:
        LocalModel(tmp_path)
    assert tmp_path.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_of_pictures_is_refused_in_one_paragraph(tmp_path: Path) -> None:
    config = ViTConfig(**HEADS, image_size=8, patch_size=4)
    save(tmp_path, ViTForImageClassification, config)
    with pytest.raises(LanguageModelError, match="cannot be loaded") as raised:
        LocalModel(tmp_path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 700


def test_weights_that_are_not_all_there_are_not_made_up(tmp_path: Path) -> None:
    """A Llama saved without its head would answer by one that is drawn at random."""
    save(tmp_path, LlamaModel, LlamaConfig(**HEADS))
    with pytest.raises(LanguageModelError, match=r"lack 1 tensors.*lm_head\.weight"):
        LocalModel(tmp_path)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    model = save(tmp_path, LlamaForCausalLM, LlamaConfig(**HEADS))
    with torch.no_grad():
        next(model.parameters())[:] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(LanguageModelError, match="not finite"):
        LocalModel(tmp_path)


@pytest.mark.skipif(
    not STORIES.is_dir(), reason="stories260K is not in ../shared/lm beside the project"
)
def test_a_model_that_was_trained_sits_the_exam(tmp_path: Path) -> None:
    model = LocalModel(STORIES, longest_answer=16)
    assert model.continues == Continues(True, True)
    task = TextTask(SUPPORT, (("lo mi", "MI LO"), ("ka", "KA")))
    (answers,) = ask(model, [task], tmp_path / "answers.jsonl", count_cut_off=True)
    tokens = torch.tensor([model._tokens(SUPPORT, "lo mi")])
    written = model.model.generate(tokens, max_new_tokens=16, do_sample=False)
    text = model.tokenizer.decode(written[0, tokens.shape[1] :])
    assert answers[0] == text.lstrip().partition("\n")[0].strip()
