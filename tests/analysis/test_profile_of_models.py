"""`profile` of a model over texts: as of a float32 store of the same texts, from any kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import LayerError, ModelError, OptionError

pytest.importorskip("transformers")

from tests.helpers.tiny_models import tiny_bert

TEXTS = ["the keys to the cabinet are here", "the river bank flows", "plays unplayable games", "don't run"]
OPTIONS: dict[str, Any] = {"n_threads": 1, "progress": False}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def test_a_folder_a_module_and_an_encoder_give_the_profile_of_a_store(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from transformers import AutoModel

    store = rs.extract(bert, TEXTS, tmp_path / "store", dtype="float32", device="cpu")
    assert store is not None
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    wanted = rs.profile(store, **OPTIONS).to_records()
    for model in (bert, str(bert), AutoModel.from_pretrained(bert), rs.load_encoder(bert, device="cpu")):
        assert rs.profile(model, texts=TEXTS, **OPTIONS).to_records() == wanted
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("tokens", ["all", "last", "0:2", lambda columns: columns["position"] % 2 == 0])
def test_tokens_choose_as_in_a_store(tokens: Any, bert: Path, tmp_path: Path):
    store = rs.extract(bert, TEXTS, tmp_path / "store", dtype="float32", device="cpu")
    found = rs.profile(bert, texts=TEXTS, tokens=tokens, device="cpu", **OPTIONS)
    assert found.to_records() == rs.profile(store, tokens=tokens, **OPTIONS).to_records()


def test_layers_hook_points_and_options_are_those_of_extract(bert: Path, tmp_path: Path):
    found = rs.profile(bert, texts=TEXTS, layers=["layer.*.mlp", "layer.1"], device="cpu", **OPTIONS)
    assert [layer.layer for layer in found] == ["layer.0.mlp", "layer.1.mlp", "layer.1"]
    assert [layer.layer for layer in rs.profile(bert, texts=TEXTS, layers="layer.0", device="cpu", **OPTIONS)] == [
        "layer.0"
    ]
    store = rs.extract(bert, TEXTS, tmp_path / "s", dtype="float32", words="mean", model_dtype="bfloat16", device="cpu")
    found = rs.profile(bert, texts=TEXTS, words="mean", model_dtype="bfloat16", device="cpu", **OPTIONS)
    assert found.to_records() == rs.profile(store, **OPTIONS).to_records()
    assert rs.profile(bert, texts=TEXTS, rows="document", device="cpu", **OPTIONS)[0].n_samples == len(TEXTS)
    with pytest.raises(LayerError):
        rs.profile(bert, texts=TEXTS, layers=["layer.9"], device="cpu", **OPTIONS)


def test_texts_belong_to_models_and_other_options_too(bert: Path, tmp_path: Path):
    store = rs.extract(bert, TEXTS, tmp_path / "store", device="cpu")
    rows = np.random.default_rng(0).standard_normal((9, 3))
    assert store is not None
    for source in (store, store["layer.0"]):
        with pytest.raises(OptionError, match="texts are for a model"):
            rs.profile(source, texts=TEXTS)
    for source in (bert, str(bert), rs.load_encoder(bert, device="cpu")):
        with pytest.raises(OptionError, match=r"profiled on texts, and a store is opened first: got \w+ alone"):
            rs.profile(source)
    for source in (store, rows):
        with pytest.raises(OptionError, match="words, device is for a model: got a"):
            rs.profile(source, words="mean", device="cpu")
    with pytest.raises(TypeError, match="unexpected keyword argument 'dtype'"):
        rs.profile(bert, texts=TEXTS, dtype="float16")
    with pytest.raises(ModelError, match="must be an existing folder"):
        rs.profile("./nowhere", texts=TEXTS)
    with pytest.raises(OptionError, match="boolean array"):
        rs.profile(bert, texts=TEXTS, tokens=np.ones(3, bool))
