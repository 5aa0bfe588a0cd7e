"""`compare_models` gives the scores of two stores without writing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrepsim.comparison import compare
from pyrepsim.core.errors import NonFiniteError, OptionError, RowMismatchError, TextError
from pyrepsim.extraction import compare_models, extract
from pyrepsim.models import Encoder, load_encoder
from pyrepsim.results import Score

# Layer normalisation makes these states rank deficient, so measures that invert a covariance are left out.
MEASURES = ["LinearCKA(debiased=True)", "Procrustes"]


@pytest.fixture
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    words = ["the", "keys", "are", "here", "running", "river", "qz", "unable", "bank", "flows"]
    return [" ".join(rng.choice(words, size)) for size in rng.integers(1, 16, 80)]


def values(scores: Sequence[Score]) -> dict[tuple[str, str | None, str | None], float]:
    return {(score.measure, score.layer_x, score.layer_y): score.value for score in scores}


@pytest.mark.parametrize("tokens", ["content", "all"])
@pytest.mark.parametrize("layers", ["same", "all"])
def test_the_scores_equal_those_of_stores(
    encoders: dict[str, Encoder], texts: list[str], tokens: str, layers: str, tmp_path: Path
):
    pair = encoders["base"], encoders["tuned"]
    stores = [extract(encoder, texts, tmp_path / encoder.weights, dtype="float32") for encoder in pair]
    if layers == "same":
        layers = [("layer.0", "layer.0"), ("embeddings", "embeddings")]
    wanted = values(compare(*stores, MEASURES, tokens=tokens, layers=layers))
    scores = compare_models(*pair, texts, MEASURES, tokens=tokens, layers=layers)
    found = values(scores)
    assert found.keys() == wanted.keys()
    assert max(abs(found[key] - wanted[key]) for key in wanted) < 1e-9  # the order of sums differs
    assert scores[0].n_samples == int(stores[0].columns.mask(tokens).sum())
    assert scores[0].provenance["weights_x"] == pair[0].weights
    policy = stores[0].plan["policy"]
    assert scores[0].provenance["policy"] == {name: policy[name] for name in policy if name != "shard_tokens"}


@pytest.mark.parametrize("words", ["first", "mean"])
def test_models_with_different_tokenizers_are_compared_by_word(
    encoders: dict[str, Encoder], texts: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pair = encoders["base"], encoders["gpt2"]
    stores = [extract(encoder, texts, tmp_path / encoder.weights, words=words, dtype="float32") for encoder in pair]
    wanted = values(compare(*stores, MEASURES))
    monkeypatch.setattr("pyrepsim.extraction.plan.SHARD_TOKENS", 100)  # many shards, with bounds from one tokenizer
    scores = compare_models(*pair, texts, MEASURES, words=words)
    found = values(scores)
    assert max(abs(found[key] - wanted[key]) for key in wanted) < 1e-6  # other batches, other padding
    assert scores[0].n_samples == sum(len(text.split()) for text in texts)


def test_identical_models_score_one(encoders: dict[str, Encoder], texts: list[str]):
    scores = compare_models(encoders["base"], encoders["base"], texts, "LinearCKA")
    assert [score.value for score in scores] == pytest.approx([1.0] * 3, abs=1e-12)


def test_nothing_is_written(
    encoders: dict[str, Encoder], texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    compare_models(encoders["base"], encoders["tuned"], texts, "LinearCKA")
    assert list(tmp_path.iterdir()) == []


def test_different_tokenizers_need_words(encoders: dict[str, Encoder], texts: list[str]):
    with pytest.raises(OptionError, match="Compare by word: words='first' or 'mean'"):
        compare_models(encoders["base"], encoders["gpt2"], texts, "LinearCKA")


def test_a_word_without_tokens_in_one_model_is_refused(encoders: dict[str, Encoder]):
    texts = [["the", "keys"], ["the", "\u200b", "river"]]
    with pytest.raises(RowMismatchError, match=r"has none for '\\u200b' of document '1'"):
        compare_models(encoders["gpt2"], encoders["base"], texts, "LinearCKA", words="first")


@pytest.mark.parametrize("tokens", ["special", "cls"])
def test_words_and_special_tokens_exclude_each_other(encoders: dict[str, Encoder], texts: list[str], tokens: str):
    with pytest.raises(OptionError, match="hold no special tokens"):
        compare_models(encoders["base"], encoders["tuned"], texts, "LinearCKA", words="mean", tokens=tokens)


def test_a_selection_without_rows_is_refused(encoders: dict[str, Encoder], texts: list[str]):
    with pytest.raises(TextError, match="tokens='special' must select at least one row"):
        compare_models(encoders["gpt2"], encoders["gpt2"], texts, "LinearCKA", tokens="special")


def test_the_shorter_model_limits_the_length(encoders: dict[str, Encoder]):
    short = replace(encoders["tuned"], name="short", max_length=10, position_limit=10)
    with pytest.raises(TextError, match="max_length=10"):
        compare_models(encoders["base"], short, ["the keys " * 10], "LinearCKA")
    scores = compare_models(encoders["base"], short, ["the keys " * 10, "run"], "LinearCKA", long="window")
    assert scores[0].n_samples == 21


@pytest.mark.parametrize("order", [1, -1])
def test_texts_beyond_one_tokenizers_length_are_read_where_both_models_have_positions(
    encoders: dict[str, Encoder], order: int
):
    texts = ["the keys to the cabinet are here and the river bank flows", "the river", "keys here"]
    sides = [encoders["base"], encoders["tuned"]][::order]
    whole = compare_models(*sides, texts, "LinearCKA")
    short = [replace(sides[0], max_length=10), sides[1]]
    for pair in (short, short[::-1]):
        scores = compare_models(*pair, texts, "LinearCKA")
        assert scores[0].n_samples == whole[0].n_samples
        assert scores[1].value == pytest.approx(whole[1].value, abs=1e-6)
    with pytest.raises(TextError, match="max_length=10"):
        compare_models(*short, texts, "LinearCKA", max_length=10)
    with pytest.raises(TextError, match="max_length=10"):
        compare_models(replace(sides[0], max_length=10, position_limit=10), sides[1], texts, "LinearCKA")


@pytest.mark.parametrize(
    "tokens",
    ["last", "first_subword", "-2:", lambda columns: columns["position"] == 2, lambda columns: columns.position == 2],
)
def test_positions_are_those_of_stores(encoders: dict[str, Encoder], texts: list[str], tmp_path: Path, tokens: Any):
    pair = [encoders["base"], encoders["tuned"]]
    x = extract(pair[0], texts, out=tmp_path / "x", dtype="float32")
    y = extract(pair[1], texts, out=tmp_path / "y", dtype="float32", same_plan_as=x)
    stored = compare(x, y, "LinearCKA", tokens=tokens)
    streamed = compare_models(*pair, texts, "LinearCKA", tokens=tokens)
    assert [score.n_samples for score in stored] == [score.n_samples for score in streamed]
    for one, other in zip(stored, streamed, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-9)


def test_nan_is_refused(folders: dict[str, Path], encoders: dict[str, Encoder], texts: list[str]):
    broken = load_encoder(folders["tuned"], device="cpu")
    with torch.no_grad():
        broken.module.encoder.layer[1].output.dense.bias[0] = float("inf")
    with pytest.raises(NonFiniteError, match="in layer 'layer.1' for document"):
        compare_models(encoders["base"], broken, texts, "LinearCKA")


def test_an_unknown_keyword_is_named(encoders: dict[str, Encoder], texts: list[str]):
    with pytest.raises(TypeError, match=r"compare_models\(\) got an unexpected keyword argument 'interval'"):
        compare_models(encoders["base"], encoders["base"], texts, "CCA", interval="Jackknife")


def test_the_best_layer_is_that_of_stores(encoders: dict[str, Encoder], texts: list[str], tmp_path: Path):
    pair = encoders["tuned"], encoders["base"]
    stores = [extract(encoder, texts, tmp_path / encoder.weights, dtype="float32") for encoder in pair]
    stored, streamed = (
        compare(*stores, "LinearCKA", layers="best"),
        compare_models(*pair, texts, "LinearCKA", layers="best"),
    )
    assert [score.layer_x for score in streamed] == list(encoders["tuned"].layers)
    for one, other in zip(stored, streamed, strict=True):
        assert (one.layer_y, one.details["best_of"]) == (other.layer_y, other.details["best_of"])
        assert one.value == pytest.approx(other.value, rel=1e-9)
    batches = [{"input_ids": torch.arange(20).reshape(4, 5)}]
    of_items = compare_models(pair[0].module, pair[1].module, batches, "LinearCKA", layers="best")
    assert [score.details["best_of"] for score in of_items] == [3] * 4
