"""Models in memory: each kind of wrapper gives the rows of the model within it; a tokenizer is found, or asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.core.errors import ModelError, OptionError, StoreError
from tests.helpers.tiny_models import tiny_gpt2, wordpiece

TEXTS = ["the keys to the cabinet are here", "the river bank", "plays"]
TASK = "sequence(pooling='mean')"
RECIPE = rs.TrainingRecipe(epochs=2, batch_size=2, max_length=16, learning_rate=1e-2)


def bare(folder: Path) -> Any:
    return transformers.AutoModel.from_pretrained(folder)


def sentence_transformer(folder: Path) -> Any:
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.models")
    transformer = modules.Transformer(str(folder))
    return library.SentenceTransformer(modules=[transformer, modules.Pooling(16)], device="cpu")


KINDS: dict[str, Any] = {
    "AutoModel": bare,
    "with a head": transformers.BertForTokenClassification.from_pretrained,
    "DataParallel": lambda folder: torch.nn.DataParallel(transformers.BertForMaskedLM.from_pretrained(folder)),
    "compiled": lambda folder: torch.compile(bare(folder)),
    "DataParallel, compiled": lambda folder: torch.compile(torch.nn.DataParallel(bare(folder))),
    "SentenceTransformer": sentence_transformer,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_in_memory_gives_the_rows_of_its_folder(kind: str, bert: Path, tmp_path: Path):
    model = KINDS[kind](bert).train()
    stored = rs.extract(bert, TEXTS, tmp_path / "folder", device="cpu")
    found = rs.extract(model, TEXTS, tmp_path / "memory", same_plan_as=stored)
    assert stored is not None
    assert found is not None
    assert found.plan["model"]["weights"] == stored.plan["model"]["weights"]
    assert found.layers == stored.layers
    for layer in stored.layers:
        assert np.array_equal(np.asarray(found[layer]), np.asarray(stored[layer]))


def test_the_encoder_of_an_encoder_decoder_in_memory():
    config = transformers.T5Config(
        vocab_size=len(wordpiece()), d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2, decoder_start_token_id=0
    )
    model = transformers.T5ForConditionalGeneration(config)
    encoder = rs.wrap(model, wordpiece())
    assert encoder.module is model.encoder
    assert len(encoder.layers) == 4


def test_the_tokenizer_comes_from_where_the_model_was_loaded(bert: Path, tmp_path: Path):
    encoder = rs.wrap(bare(bert))
    assert encoder.name == str(bert)
    assert len(encoder.tokenizer) == len(wordpiece())
    assert rs.wrap(bare(bert), name="mine").name == "mine"
    config = transformers.AutoConfig.from_pretrained(bert)
    config.name_or_path = ""
    made = transformers.BertModel(config)
    with pytest.raises(ModelError, match=r"BertModel was not loaded from a place .* rs.wrap\(model, tokenizer\)"):
        rs.extract(made, TEXTS, tmp_path / "store")
    made.name_or_path = str(tmp_path)
    with pytest.raises(ModelError, match=r"loaded from '.*', where none is found .* rs.wrap\(model, tokenizer\)"):
        rs.wrap(made)
    assert rs.wrap(made, wordpiece()).name == str(tmp_path)


def test_a_module_of_another_library_is_refused():
    with pytest.raises(ModelError, match="by a model of transformers, such as AutoModel loads: Linear has no config"):
        rs.wrap(torch.nn.Linear(3, 3), wordpiece())


def test_a_revision_does_not_choose_a_model_in_memory(bert: Path):
    with pytest.raises(OptionError, match="BertModel is loaded already"):
        rs.load_encoder(bare(bert), revision="main")


def data(folder: Path) -> dict[str, Any]:
    path = folder / "data.tsv"
    lines = ["sentence\tlabel", "the river\tyes", "the bank\tno", "river keys\tyes", "run run\tno"]
    path.write_text("\n".join(lines) + "\n")
    return {"train": path, "dev": path, "recipe": RECIPE, "device": "cpu"}


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_copy_is_trained_to_the_weights_of_the_folder(bert: Path, tmp_path: Path):
    model = bare(bert)
    before = weights(model)
    runs = [rs.finetune(one, TASK, out=tmp_path / f"run{i}", **data(tmp_path)) for i, one in enumerate((bert, model))]
    assert equal(before, weights(model))
    assert runs[0].scores == runs[1].scores
    found = [weights(rs.load_encoder(run, device="cpu").module) for run in runs]
    assert equal(*found)
    assert not equal({k: v for k, v in before.items() if "pooler" not in k}, found[0])
    assert runs[0].record["inputs"]["model"] == runs[1].record["inputs"]["model"]


def test_inplace_trains_the_model_itself(bert: Path, tmp_path: Path):
    model = bare(bert)
    model.encoder.layer[0].eval()
    flags = [child.training for child in model.modules()]
    run = rs.finetune(model, TASK, out=tmp_path / "run", inplace=True, **data(tmp_path))
    found = weights(rs.load_encoder(run, device="cpu").module)
    assert equal(found, weights(model))
    assert [child.training for child in model.modules()] == flags
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())
    with pytest.raises(StoreError, match="weights"):
        rs.finetune(model, TASK, out=tmp_path / "run", inplace=True, **data(tmp_path))
    with pytest.raises(OptionError, match="is finished, and is only opened"):
        rs.finetune(bare(bert), TASK, out=tmp_path / "run", inplace=True, **data(tmp_path))
    assert rs.finetune(bare(bert), TASK, out=tmp_path / "run", **data(tmp_path)).scores == run.scores
    with pytest.raises(OptionError, match="trains a model in memory"):
        rs.finetune(bert, TASK, out=tmp_path / "other", inplace=True, **data(tmp_path))


def test_frozen_weights_of_a_model_in_memory_stay(bert: Path, tmp_path: Path):
    model = bare(bert)
    model.embeddings.requires_grad_(False)
    run = rs.finetune(model, TASK, out=tmp_path / "run", **data(tmp_path))
    found = rs.load_encoder(run, device="cpu").module
    assert equal(weights(model.embeddings), weights(found.embeddings))
    assert not equal(weights(model.encoder), weights(found.encoder))


def test_a_model_of_another_type_is_trained_in_float32(tmp_path: Path):
    model = bare(tiny_gpt2(tmp_path / "model")).bfloat16()
    run = rs.finetune(model, "sequence(pooling='last')", out=tmp_path / "run", **data(tmp_path))
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not rs.load_encoder(run, device="cpu").settings
    with pytest.raises(OptionError, match="float32: .* has weights of bfloat16, and inplace makes no copy"):
        rs.finetune(model, "sequence(pooling='last')", out=tmp_path / "other", inplace=True, **data(tmp_path))
