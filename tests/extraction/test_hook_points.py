"""Hook points in stores and in comparisons: as hidden states are, with their names and widths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pyrepsim.comparison import compare
from pyrepsim.core.errors import LayerError, OptionError
from pyrepsim.extraction import compare_models, extract, plan_extraction
from pyrepsim.models import Encoder
from tests.helpers.architectures import encoder_of

from .reference import relative_error, tokens_alone

TEXTS = ["the keys to the cabinet are here", "run", "the river bank flows running", "keys are here", "the bank"]
LAYERS = ["layer.*.heads.*", "layer.0.neurons", "encoder.layer.1.attention.self", "layer.1"]


@pytest.fixture
def longer() -> list[str]:
    rng = np.random.default_rng(0)
    words = ["the", "keys", "are", "here", "running", "river", "bank", "flows"]
    return [" ".join(rng.choice(words, size)) for size in rng.integers(2, 12, 60)]


def alone(encoder: Encoder, text: str, path: str) -> np.ndarray:
    """What a module gives for one text, by a hook of PyTorch."""
    found: list[torch.Tensor] = []

    def after(_: object, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    handle = encoder.module.get_submodule(path).register_forward_hook(after)
    ids = torch.tensor([tokens_alone(encoder, text)])
    with torch.inference_mode():
        encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids))
    handle.remove()
    return found[0][0].numpy()


def test_a_store_holds_the_points_that_were_asked_for_and_no_others(tmp_path: Path):
    encoder = encoder_of("bert")
    store = extract(encoder, TEXTS, tmp_path / "store", layers=LAYERS, dtype="float32")
    assert store is not None
    heads = [f"layer.{layer}.heads.{head}" for layer in (0, 1) for head in range(4)]
    assert set(store.layers) == {*heads, "layer.0.neurons", "encoder.layer.1.attention.self", "layer.1"}
    assert store.widths == dict.fromkeys(heads, 4) | {
        "layer.0.neurons": 24, "encoder.layer.1.attention.self": 16, "layer.1": 16,
    }  # fmt: skip
    for document, text in enumerate(TEXTS):
        own = store.columns.doc_id == document
        wanted = alone(encoder, text, "encoder.layer.1.attention.self")
        assert relative_error(np.asarray(store["encoder.layer.1.attention.self"])[own], wanted) < 3e-6
        joined = np.concatenate([np.asarray(store[f"layer.1.heads.{head}"])[own] for head in range(4)], axis=1)
        assert np.array_equal(joined, np.asarray(store["encoder.layer.1.attention.self"])[own])
        neurons = alone(encoder, text, "encoder.layer.0.intermediate")
        assert relative_error(np.asarray(store["layer.0.neurons"])[own], neurons) < 3e-6


def test_the_hidden_states_are_the_same_bytes_with_and_without_points_beside_them(tmp_path: Path):
    encoder = encoder_of("gpt2")
    states = extract(encoder, TEXTS, tmp_path / "states")
    both = extract(encoder, TEXTS, tmp_path / "both", layers=["embeddings", "layer.*", "layer.*.**"])
    assert states is not None
    assert both is not None
    assert all(np.array_equal(np.asarray(states[layer]), np.asarray(both[layer])) for layer in states.layers)
    assert list(both.layers) == list(encoder.widths(["embeddings", "layer.*.**"]))


def test_rows_a_word_are_means_of_points_too(tmp_path: Path):
    encoder = encoder_of("bert")
    name = "layer.0.neurons"
    tokens = extract(encoder, TEXTS, tmp_path / "tokens", layers=[name], dtype="float32")
    words = extract(encoder, TEXTS, tmp_path / "words", layers=[name], dtype="float32", words="mean")
    assert tokens is not None
    assert words is not None
    own = (tokens.columns.doc_id == 2) & (tokens.columns.word_id == 4)  # running: run ##ning
    mean = np.asarray(tokens[name])[own].astype(np.float64).mean(axis=0)
    row = (words.columns.doc_id == 2) & (words.columns.position == 4)
    assert own.sum() == 2
    assert relative_error(np.asarray(words[name])[row], mean[None]) < 1e-6


def test_a_store_of_points_is_resumed_by_the_same_request_alone(tmp_path: Path):
    encoder = encoder_of("bert")
    store = extract(encoder, TEXTS, tmp_path / "store", layers=["layer.*.mlp"])
    assert store is not None
    again = extract(encoder, TEXTS, tmp_path / "store", layers=["layer.0.mlp", "layer.1.mlp"])
    assert again is not None
    assert again.digest == store.digest
    planned = plan_extraction(encoder, TEXTS, layers=["layer.*.mlp"], out=tmp_path / "store")
    assert (planned.n_bytes_left, planned.n_bytes > 0) == (0, True)
    with pytest.raises(OSError, match="layer.0.mlp"):
        extract(encoder, TEXTS, tmp_path / "store", layers=["layer.*.neurons"])


def test_compare_models_gives_the_scores_of_stores(longer: list[str], tmp_path: Path):
    pair = encoder_of("bert"), encoder_of("bert", seed=1)
    layers = ["layer.*.mlp", ("layer.0.heads.1", "layer.1.heads.*"), "layer.1", -1, ("layer.0", "layer.1.neurons")]
    stores = [
        extract(encoder, longer, tmp_path / str(side), layers=["layer.*", "layer.*.**"], dtype="float32")
        for side, encoder in enumerate(pair)
    ]
    wanted = {(s.layer_x, s.layer_y): s.value for s in compare(*stores, "LinearCKA", layers=layers)}
    found = {(s.layer_x, s.layer_y): s.value for s in compare_models(*pair, longer, "LinearCKA", layers=layers)}
    assert set(found) == {
        ("layer.0.mlp", "layer.0.mlp"),
        ("layer.1.mlp", "layer.1.mlp"),
        *(("layer.0.heads.1", f"layer.1.heads.{head}") for head in range(4)),
        ("layer.1", "layer.1"),
        ("layer.0", "layer.1.neurons"),
    }
    assert found.keys() == wanted.keys()
    assert max(abs(found[key] - wanted[key]) for key in wanted) < 1e-9


def test_models_of_two_tokenizers_are_compared_at_points_by_word(longer: list[str], folders: dict[str, Path]):
    scores = compare_models(
        folders["base"], folders["gpt2"], longer, "LinearCKA", layers=["layer.*.neurons"], words="mean", device="cpu"
    )
    assert [(s.layer_x, s.layer_y) for s in scores] == [(f"layer.{i}.neurons",) * 2 for i in (0, 1)]
    assert all(0 < s.value < 1 for s in scores)


def test_same_pairs_equal_names_and_a_pattern_says_what_it_leaves_out(
    longer: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    stores = [
        extract(encoder_of(family), longer, tmp_path / family, layers=["layer.*.mlp", "layer.*.keys.*"], words="first")
        for family in ("bert", "llama")
    ]
    scores = compare(*stores, "LinearCKA", layers=["layer.1.keys.*"])
    assert [s.layer_x for s in scores] == ["layer.1.keys.0", "layer.1.keys.1"]
    assert "layers of one side only are left out: layer.1.keys.2, layer.1.keys.3" in caplog.text
    with pytest.raises(LayerError, match="'layer.7.[*]' matches none"):
        compare(*stores, "LinearCKA", layers=["layer.7.*"])
    with pytest.raises(LayerError, match="'layer.7.[*]' matches none"):
        compare(*stores, "LinearCKA", layers=[("layer.1.mlp", "layer.7.*")])


def test_points_of_one_model_only_are_named_with_the_reason(longer: list[str]):
    pair = encoder_of("bert"), encoder_of("mixtral")
    with pytest.raises(LayerError, match="no hook point 'layer.0.neurons' in 'mixtral': each expert has its own"):
        compare_models(*pair, longer, "LinearCKA", layers=["layer.0.neurons"], words="first")
    with pytest.raises(LayerError, match="'layer.0.router'"):
        compare_models(*pair, longer, "LinearCKA", layers=[("layer.0.router", "layer.0.router")], words="first")
    with pytest.raises(OptionError, match="a list of"):
        compare_models(*pair, longer, "LinearCKA", layers=[("layer.0.mlp", "a", "b")], words="first")
