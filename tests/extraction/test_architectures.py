"""Encoders, decoders, relative positions, recurrence: every family gives the rows of each text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as hf

from pyrepsim.extraction import extract
from pyrepsim.models import load_encoder
from tests.helpers.tiny_models import save, wordpiece

from .reference import embedded, forward_alone, relative_error, tokens_alone

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BERT_LIKE = SIZES | {"max_position_embeddings": 64}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any], int | None]] = {
    "albert": (hf.AlbertConfig, hf.AlbertModel, BERT_LIKE | {"embedding_size": 8}, 64),
    "bart": (
        hf.BartConfig,
        hf.BartModel,
        {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
        | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 64},
        64,
    ),
    "deberta": (
        hf.DebertaV2Config,
        hf.DebertaV2Model,
        BERT_LIKE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        64,
    ),
    "distilbert": (
        hf.DistilBertConfig,
        hf.DistilBertModel,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
        64,
    ),
    "llama": (hf.LlamaConfig, hf.LlamaModel, BERT_LIKE | IDS | {"num_key_value_heads": 2}, 64),
    "mamba": (hf.MambaConfig, hf.MambaModel, {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}, None),
    "modernbert": (
        hf.ModernBertConfig,
        hf.ModernBertModel,
        BERT_LIKE | IDS | {"cls_token_id": 2, "sep_token_id": 3},
        64,
    ),
    "mpnet": (hf.MPNetConfig, hf.MPNetModel, BERT_LIKE, 62),
    "opt": (
        hf.OPTConfig,
        hf.OPTModel,
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32}
        | {"max_position_embeddings": 64, "word_embed_proj_dim": 16},
        64,
    ),
    "xlnet": (hf.XLNetConfig, hf.XLNetModel, {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, None),
}
TEXTS = ["the keys to the cabinet are here", "run", "the river bank flows running"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gives_the_rows_of_each_text_alone(family: str, tmp_path: Path):
    config, model, sizes, positions = FAMILIES[family]
    tokenizer = wordpiece()
    folder = save(tmp_path / "model", model(config(vocab_size=len(tokenizer), **sizes)), tokenizer)
    encoder = load_encoder(folder, device="cpu")
    assert list(encoder.layers) == ["embeddings", "layer.0", "layer.1"]
    assert encoder.position_limit == positions
    store = extract(encoder, TEXTS, tmp_path / "store", dtype="float32")
    for document, text in enumerate(TEXTS):
        states = forward_alone(encoder, tokens_alone(encoder, text))
        if family == "mamba":  # transformers returns the outputs of its blocks, the last one also before the final norm
            states = [embedded(encoder, tokens_alone(encoder, text)), states[0], states[2]]
        for layer, wanted in zip(store.layers, states, strict=True):
            found = np.asarray(store[layer])[store.columns.doc_id == document]
            assert relative_error(found, wanted) < 3e-6
