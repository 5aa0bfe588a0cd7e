"""Types, quantised weights, attention and devices: what they change, and that stores and scores record them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.cli.main import main
from pyrepsim.core.errors import MissingExtraError, ModelError, OptionError
from pyrepsim.models.digests import weights_digest
from tests.helpers.tiny_models import save, tiny_bert, wordpiece

TEXTS = ["the keys to the cabinet are here", "the river bank", "plays"]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in bfloat16."""
    folder = tmp_path_factory.mktemp("narrow")
    model = transformers.AutoModel.from_pretrained(tiny_bert(folder / "wide")).bfloat16()
    return save(folder / "bf16", model, wordpiece())


@pytest.mark.parametrize(("asked", "dtype"), [("bfloat16", "bfloat16"), ("float16", "float16"), ("auto", "bfloat16")])
def test_a_type_of_the_model_is_used_and_recorded(asked: str, dtype: str, narrow: Path, tmp_path: Path):
    encoder = rs.load_encoder(narrow, device="cpu", model_dtype=asked)
    assert {str(weight.dtype) for weight in encoder.module.parameters()} == {f"torch.{dtype}"}
    assert encoder.settings == {"model_dtype": dtype}
    store = rs.extract(narrow, TEXTS, tmp_path / "store", device="cpu", model_dtype=asked, dtype="float32")
    assert store is not None
    assert store.plan["model"]["model_dtype"] == dtype
    ids = encoder.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    wanted = encoder.hidden_states(ids, torch.ones_like(ids))[-1][0].float().numpy()
    assert np.array_equal(np.asarray(store["layer.1"])[: len(wanted)], wanted)


def test_the_default_is_float32_and_its_record_is_as_before(narrow: Path, tmp_path: Path):
    store = rs.extract(narrow, TEXTS, tmp_path / "store", device="cpu")
    assert store is not None
    assert set(store.plan["model"]) == {"id", "revision", "weights"}


def test_widening_is_said_once(narrow: Path, bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = save(tmp_path / "model", transformers.AutoModel.from_pretrained(narrow), wordpiece())
    with caplog.at_level(logging.WARNING, "pyrepsim.models"):
        rs.load_encoder(folder, device="cpu", model_dtype="auto")
        rs.load_encoder(bert, device="cpu")
        assert not caplog.records
        rs.load_encoder(folder, device="cpu")
        rs.load_encoder(folder, device="cpu")
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} is stored in bfloat16 and is read in float32, which takes twice the memory; model_dtype='auto' "
        "keeps bfloat16"
    ]


def test_two_types_of_one_model_are_compared(narrow: Path, tmp_path: Path):
    options: dict[str, Any] = {"device": "cpu", "model_dtype": ("float32", "bfloat16")}
    score = rs.compare_models(narrow, narrow, TEXTS, "LinearCKA", **options)[-1]
    assert 0.99 < score.value < 1
    assert score.provenance["model_dtype_y"] == "bfloat16"
    assert "model_dtype_x" not in score.provenance
    stores = [
        rs.extract(narrow, TEXTS, tmp_path / dtype, device="cpu", model_dtype=dtype, dtype="float32")
        for dtype in ("float32", "bfloat16")
    ]
    stored = rs.compare(*stores, "LinearCKA")[-1]
    assert stored.provenance["model_dtype_y"] == "bfloat16"
    assert stored.value == pytest.approx(score.value, abs=1e-12)
    with pytest.raises(OptionError, match="model_dtype is one value, or one for each of 2 models: got 3"):
        rs.compare_models(narrow, narrow, TEXTS, "LinearCKA", model_dtype=("auto", "auto", "auto"))


def test_the_command_line_has_the_same_words(narrow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    words = [str(narrow), str(narrow), "--texts", str(tmp_path / "texts.txt"), "--measures", "LinearCKA"]
    words += ["--model-dtype", "float32,bfloat16", "--device", "cpu", "--out", str(tmp_path / "scores.jsonl")]
    assert main(["compare", *words]) == 0
    assert "model_dtype=('float32', 'bfloat16')" in capsys.readouterr().err
    provenance = json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[0])["provenance"]
    assert provenance["model_dtype_y"] == "bfloat16"
    out = tmp_path / "store"
    words = [str(narrow), str(tmp_path / "texts.txt"), "--out", str(out), "--model-dtype", "auto", "--device", "cpu"]
    assert main(["extract", *words]) == 0
    assert rs.open_store(out).plan["model"]["model_dtype"] == "bfloat16"


def test_attention_is_used_and_recorded(bert: Path):
    encoder = rs.load_encoder(bert, device="cpu", attention="eager")
    assert encoder.module.config._attn_implementation == "eager"
    assert encoder.settings == {"attention": "eager"}
    model = transformers.AutoModel.from_pretrained(bert, attn_implementation="eager")
    assert rs.wrap(model).settings == {"attention": "eager"}
    assert not rs.wrap(transformers.AutoModel.from_pretrained(bert)).settings
    with pytest.raises(OptionError, match="attention must be one of"):
        rs.load_encoder(bert, attention="someone/kernel")
    with pytest.raises(ModelError, match="or leave out attention"):
        rs.load_encoder(bert, device="cpu", attention="flash_attention_2")


def test_a_device_map_replaces_the_device(bert: Path):
    plain = rs.load_encoder(bert, device="cpu")
    mapped = rs.load_encoder(bert, device_map={"": "cpu"})
    assert (mapped.weights, mapped.settings) == (plain.weights, {})
    with pytest.raises(OptionError, match="device_map says where a model is: got device='cpu'"):
        rs.load_encoder(bert, device="cpu", device_map="auto")


def test_options_of_loading_are_refused_for_a_model_in_memory(bert: Path):
    model = transformers.AutoModel.from_pretrained(bert)
    for options in ({"model_dtype": "auto"}, {"attention": "eager"}, {"quantization": "torchao-int8"}):
        with pytest.raises(OptionError, match=f"{next(iter(options))} selects what is loaded: BertModel is loaded"):
            rs.load_encoder(model, **options)


def test_a_weight_that_is_not_in_memory_is_named(bert: Path, tmp_path: Path):
    with torch.device("meta"):
        model = transformers.BertModel(transformers.AutoConfig.from_pretrained(bert))
    with pytest.raises(ModelError, match=r"'embeddings.LayerNorm.bias' of BertModel is on the meta device"):
        rs.wrap(model, wordpiece())


def test_tied_weights_have_a_digest(tmp_path: Path):
    config = transformers.AlbertConfig(
        vocab_size=len(wordpiece()), hidden_size=16, embedding_size=16, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.AlbertForMaskedLM(config)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert weights_digest(model) != weights_digest(transformers.AlbertForMaskedLM(config))


def dynamic(folder: Path, dtype: torch.dtype = torch.qint8) -> torch.nn.Module:
    model = transformers.AutoModel.from_pretrained(folder)
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=dtype)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_int8_of_torch(bert: Path, tmp_path: Path):
    model = dynamic(bert)
    encoder = rs.wrap(model)
    assert encoder.settings == {"quantization": "torch.ao qint8"}
    assert encoder.weights == rs.wrap(dynamic(bert)).weights
    assert encoder.weights != rs.wrap(dynamic(bert, torch.float16)).weights
    store = rs.extract(model, TEXTS, tmp_path / "store", dtype="float32")
    assert store is not None
    assert store.plan["model"]["quantization"] == "torch.ao qint8"
    for text in range(len(TEXTS)):  # activations are quantised by the largest of a call: each text is a call of its own
        ids = encoder.tokenizer(TEXTS[text], return_tensors="pt")["input_ids"]
        wanted = encoder.module(ids).last_hidden_state[0].detach().numpy()
        assert np.array_equal(np.asarray(store["layer.1"])[store.columns.doc_id == text], wanted)
    score = rs.compare_models(bert, model, TEXTS, "LinearCKA", device=("cpu", "auto"))[-1]
    assert 0.8 < score.value < 1
    assert score.provenance["quantization_y"] == "torch.ao qint8"
    with pytest.raises(ModelError, match=r"those of .* are quantised \(torch.ao qint8\)"):
        rs.finetune(model, "sst2", out=tmp_path / "run", train="a", dev="a")


@pytest.mark.parametrize(
    ("library", "name", "kind"),
    [("torchao", "torchao-int8", "torchao Int8Tensor"), ("bitsandbytes", "bitsandbytes-8bit", "bitsandbytes-8bit")],
)
@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_quantised_at_loading(library: str, name: str, kind: str, tmp_path: Path):
    pytest.importorskip(library)
    folder = tiny_bert(tmp_path / "model", width=32)
    options: dict[str, Any] = {"device": "cpu", "quantization": (None, name)}
    score = rs.compare_models(folder, folder, TEXTS, "LinearCKA", **options)[-1]
    assert score.provenance["quantization_y"] == kind
    assert score.provenance["weights_x"] != score.provenance["weights_y"]
    assert 0.9 < score.value < 1


def test_a_quantisation_that_is_not_there(bert: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match="needs bitsandbytes, .* `pip install bitsandbytes`"):
        rs.load_encoder(bert, quantization="bitsandbytes-8bit")
    with pytest.raises(OptionError, match="quantization must be one of bitsandbytes-8bit"):
        rs.load_encoder(bert, quantization="int3")


def test_a_configuration_of_transformers_is_passed_on(bert: Path):
    pytest.importorskip("torchao")
    from torchao.quantization import Int8WeightOnlyConfig

    config = transformers.TorchAoConfig(Int8WeightOnlyConfig())
    named, given = (rs.load_encoder(bert, device="cpu", quantization=one) for one in ("torchao-int8", config))
    assert named.weights == given.weights
