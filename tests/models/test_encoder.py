"""The attributes of an encoder, and its hidden states, which equal those of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from pyrepsim.core.errors import ModelError
from pyrepsim.models import load_encoder, wrap
from tests.helpers.architectures import encoder_of
from tests.helpers.tiny_models import save, tiny_bert, wordpiece


def forward(model: torch.nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_layers_are_named_from_the_embeddings_up(kind: str, request: pytest.FixtureRequest):
    encoder = load_encoder(request.getfixturevalue(kind), device="cpu")
    assert dict(encoder.layers) == {"embeddings": 16, "layer.0": 16, "layer.1": 16}
    assert (encoder.max_length, encoder.position_limit) == (64, 64)
    assert encoder.revision is None
    assert not encoder.module.training


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_hidden_states_equal_those_of_the_model(kind: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(kind)
    ids = torch.tensor([[5, 9, 17, 30], [7, 40, 41, 6]])
    expected = forward(transformers.AutoModel.from_pretrained(folder).eval(), ids)
    states = load_encoder(folder, device="cpu").hidden_states(ids, torch.ones_like(ids))
    assert len(states) == 3
    for found, wanted in zip(states, expected, strict=True):
        assert torch.equal(found, wanted)
        assert not found.requires_grad


def test_task_head_and_pooler_are_not_loaded(bert: Path, tmp_path: Path):
    base = transformers.BertModel.from_pretrained(bert, add_pooling_layer=False)
    tuned = transformers.BertForSequenceClassification(base.config)
    tuned.bert.load_state_dict(base.state_dict(), strict=False)
    folder = save(tmp_path, tuned, wordpiece())
    encoder = load_encoder(folder, device="cpu")
    assert encoder.module.pooler is None
    assert encoder.weights == load_encoder(bert, device="cpu").weights


def test_the_weights_digest_changes_with_one_bit(bert: Path):
    encoder = load_encoder(bert, device="cpu")
    module = encoder.module
    with torch.no_grad():
        bias = module.encoder.layer[1].output.dense.bias
        bias.view(torch.int32)[3] ^= 1
    assert wrap(module, encoder.tokenizer, name="bent").weights != encoder.weights


def test_half_precision_checkpoints_run_in_float32(bert: Path, tmp_path: Path):
    model = transformers.AutoModel.from_pretrained(bert)
    folder = save(tmp_path, model.half(), wordpiece())
    encoder = load_encoder(folder, device="cpu")
    assert {weight.dtype for weight in encoder.module.parameters()} == {torch.float32}


def test_a_model_in_memory_is_wrapped_without_its_head(bert: Path):
    model = transformers.BertForTokenClassification.from_pretrained(bert).train()
    encoder = wrap(model, wordpiece(), name="mine")
    assert encoder.module is model.bert
    assert model.bert.training
    assert encoder.record()["id"] == "mine"


def test_of_an_encoder_decoder_the_encoder_is_used(tmp_path: Path):
    config = transformers.T5Config(
        vocab_size=120, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2, decoder_start_token_id=0
    )
    folder = save(tmp_path, transformers.T5Model(config), wordpiece())
    encoder = load_encoder(folder, device="cpu")
    assert list(encoder.layers) == ["embeddings", "layer.0", "layer.1", "layer.2"]
    assert encoder.position_limit is None  # relative positions
    assert encoder.max_length == 64  # the tokenizer's


LIMITS = {
    "bart": 64,
    "distilbert": 512,
    "llama": 64,
    "mamba": None,
    "modernbert": 64,
    "mpnet": 62,
    "opt": 64,
    "xlnet": None,
}


@pytest.mark.parametrize("family", LIMITS)
def test_the_limit_of_positions_is_that_of_the_tables(family: str):
    assert encoder_of(family).position_limit == LIMITS[family]


def test_positions_of_roberta_start_after_the_padding_id(tmp_path: Path):
    tokenizer = wordpiece(positions=10**30)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    encoder = load_encoder(save(tmp_path, transformers.RobertaModel(config), tokenizer), device="cpu")
    assert encoder.max_length == encoder.position_limit == 32
    ids = torch.full((1, 32), 7)
    assert encoder.hidden_states(ids, torch.ones_like(ids))[0].shape == (1, 32, 16)
    with pytest.raises((IndexError, RuntimeError)):  # the limit is not too small
        encoder.hidden_states(torch.full((1, 33), 7), torch.ones((1, 33), dtype=torch.long))


def test_without_a_tokenizer_limit_the_model_limits_the_length(tmp_path: Path):
    folder = tiny_bert(tmp_path)
    encoder = wrap(transformers.AutoModel.from_pretrained(folder), wordpiece(positions=10**30), name="x")
    assert encoder.max_length == 64


def test_saved_truncation_and_padding_do_not_change_the_tokenizer_digest(bert: Path):
    encoder = load_encoder(bert, device="cpu")
    encoder.tokenizer.backend_tokenizer.enable_truncation(8)
    encoder.tokenizer.backend_tokenizer.enable_padding(length=8)
    again = wrap(encoder.module, encoder.tokenizer, name="again")
    assert again.tokenizer_digest == encoder.tokenizer_digest
    encoder.tokenizer.add_tokens(["cabinets"])
    changed = wrap(encoder.module, encoder.tokenizer, name="changed")
    assert changed.tokenizer_digest != encoder.tokenizer_digest


def test_a_checkpoint_without_tokenizer_gets_that_of_the_folder_above(bert: Path, tmp_path: Path):
    model = transformers.AutoModel.from_pretrained(bert)
    checkpoint = save(tmp_path / "run" / "checkpoint-5", model)
    with pytest.raises(ModelError, match=r"tokenizer.save_pretrained\(folder\)"):
        load_encoder(checkpoint, device="cpu")
    wordpiece(positions=48).save_pretrained(tmp_path / "run")
    assert load_encoder(checkpoint, device="cpu").max_length == 48
    wordpiece(positions=32).save_pretrained(checkpoint)
    assert load_encoder(checkpoint, device="cpu").max_length == 32


def test_a_model_without_text_input_is_refused():
    config = transformers.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    with pytest.raises(ModelError, match="gives hidden states for token ids: 'vit'"):
        wrap(transformers.ViTModel(config), wordpiece(), name="vit")
