"""The plan: equal for models with one tokenizer, refused for others, within its budgets."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from pyrepsim.core.errors import LayerError, ModelError, OptionError, TextError
from pyrepsim.core.memory import format_bytes
from pyrepsim.data import read_texts
from pyrepsim.extraction import ExtractionPlan, ReadingPolicy, plan_extraction
from pyrepsim.extraction.plan import freeze_plan
from pyrepsim.models import Encoder
from pyrepsim.store import TokenFlag


def random_texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    words = ["the", "keys", "are", "here", "running", "river", "qz"]
    return [" ".join(rng.choice(words, size)) for size in np.minimum(rng.lognormal(1.6, 0.8, n).astype(int), 20)]


def frozen(encoder: Encoder, texts: list[str], **policy: object) -> ExtractionPlan:
    return freeze_plan(encoder, read_texts(texts), ReadingPolicy(**{"max_length": 64, **policy}))  # type: ignore[arg-type]


def test_models_of_one_tokenizer_have_one_plan(encoders: dict[str, Encoder], sentences: list[str]):
    plans = [plan_extraction(encoders[name], sentences) for name in ("base", "tuned")]
    assert plans[0].record() == plans[1].record()
    assert plan_extraction(encoders["gpt2"], sentences).record()["rows"] != plans[0].record()["rows"]


def test_rows_by_word_do_not_depend_on_the_tokenizer(encoders: dict[str, Encoder], sentences: list[str]):
    plans = [plan_extraction(encoders[name], sentences, words="first") for name in ("base", "gpt2")]
    assert plans[0].record()["rows"] == plans[1].record()["rows"]
    columns = [np.concatenate([s.columns["token_id"] for s in plan.shards()]) for plan in plans]
    assert np.array_equal(*columns)
    pooled = plan_extraction(encoders["base"], sentences, words="mean").record()["rows"]
    assert pooled != plans[0].record()["rows"]


@pytest.mark.parametrize("change", [{"batch_tokens": 100}, {"shard_tokens": 50}, {"words": "first"}])
def test_options_that_change_activations_change_the_recorded_rows(base: Encoder, change: dict[str, object]):
    texts = random_texts(60)
    assert frozen(base, texts, **change).record()["rows"] != frozen(base, texts).record()["rows"]


@pytest.mark.parametrize("same", [{"max_length": 63}, {"long": "window"}, {"long": "truncate"}])
def test_options_without_effect_do_not_change_the_recorded_rows(base: Encoder, same: dict[str, object]):
    texts = random_texts(60)
    assert frozen(base, texts, **same).record()["rows"] == frozen(base, texts).record()["rows"]


def test_a_plan_is_small_json(base: Encoder):
    record = frozen(base, random_texts(300), shard_tokens=100).record()
    assert json.loads(json.dumps(record)) == record
    assert len(json.dumps(record)) < 4096


@pytest.mark.parametrize("shard_tokens", [1, 37, 500, 10**6])
@pytest.mark.parametrize("batch_tokens", [1, 64, 300])
def test_shards_hold_whole_documents_and_batches_stay_within_budget(
    base: Encoder, shard_tokens: int, batch_tokens: int
):
    texts = [*random_texts(50), ""]
    plan = frozen(base, texts, shard_tokens=shard_tokens, batch_tokens=batch_tokens)
    seen, tokens = [], 0
    for shard in range(plan.n_shards):
        layout = plan.shard(shard)
        documents = np.arange(plan.bounds[shard], plan.bounds[shard + 1])
        assert layout.n_rows <= shard_tokens or len(documents) == 1
        assert np.unique(layout.columns["doc_id"]).tolist() == documents.tolist()
        rows = []
        for batch in layout.batches():
            assert batch.ids.size <= batch_tokens or len(batch.ids) == 1
            assert (batch.ids[:, -1] >= 0).any(), "no column with only padding"
            assert (batch.ids.reshape(-1)[batch.picks] == layout.columns["token_id"][batch.rows]).all()
            rows.append(batch.rows)
            tokens += batch.n_tokens
        assert sorted(np.concatenate(rows)) == list(range(layout.n_rows)), "each row once"
        seen.append(layout.columns)
    order = np.concatenate([columns["doc_id"] for columns in seen])
    assert (np.diff(order) >= 0).all(), "rows are in document order"
    assert order.max() == len(texts) - 1
    assert (plan.n_tokens, plan.n_rows) == (tokens, tokens)


def test_sorting_by_length_reduces_padding(base: Encoder):
    texts = random_texts(2000)
    plan = frozen(base, texts)
    lengths = plan.table.lengths
    naive = sum(lengths[i : i + 32].max() * len(lengths[i : i + 32]) for i in range(0, len(lengths), 32))
    assert plan.useful_frac > 0.85
    assert plan.n_padded < 0.6 * naive


def test_flags_and_positions(base: Encoder):
    (layout,) = frozen(base, ["the running qé", ""]).shards()
    pieces = base.tokenizer.convert_ids_to_tokens(layout.columns["token_id"].tolist())
    assert pieces == ["[CLS]", "the", "run", "##ning", "q", "##e", "[SEP]", "[CLS]", "[SEP]"]
    assert layout.columns["position"].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert layout.columns["word_id"].tolist() == [-1, 0, 1, 1, 2, 2, -1, -1, -1]
    special, first, last = TokenFlag.SPECIAL, TokenFlag.FIRST_SUBWORD, TokenFlag.LAST_SUBWORD
    expected = [special, first | last, first, last, first, last, special, special, special]
    assert layout.columns["flags"].tolist() == [int(flag) for flag in expected]
    (layout,) = frozen(base, ["the 🙂"]).shards()
    assert layout.columns["flags"][2] == first | last | TokenFlag.UNKNOWN


def test_a_long_document_is_refused_with_a_remedy(base: Encoder):
    texts = ["short", "the keys " * 40, "the " * 100]
    with pytest.raises(TextError, match=r"max_length=64 tokens: 2 of 3 do not, the longest is '2' with 102"):
        plan_extraction(base, texts)
    with pytest.raises(TextError, match=r"max_length=10 .* The model itself takes 64 tokens: pass max_length"):
        plan_extraction(base, ["the " * 20], max_length=10)


def test_a_plan_is_shared_only_for_the_same_tokens_texts_and_options(
    encoders: dict[str, Encoder], sentences: list[str]
):
    plan = plan_extraction(encoders["base"], sentences, batch_tokens=50, long="window", max_length=12)
    shared = plan_extraction(encoders["tuned"], sentences, same_plan_as=plan)
    assert shared.record() == plan.record()
    with pytest.raises(OptionError, match=r"'gpt2.* does not, by the plan of the plan.*words='first'"):
        plan_extraction(replace(encoders["gpt2"], name="gpt2"), sentences, same_plan_as=plan)
    with pytest.raises(TextError, match="made from other texts: 9 documents"):
        plan_extraction(encoders["tuned"], sentences[:-1], same_plan_as=plan)
    with pytest.raises(OptionError, match="has batch_tokens=50: got batch_tokens=60 beside it"):
        plan_extraction(encoders["tuned"], sentences, same_plan_as=plan, batch_tokens=60)


def test_a_shared_plan_longer_than_the_model_is_refused(base: Encoder):
    small = replace(base, name="small", position_limit=20)
    plan = plan_extraction(base, ["the " * 30])
    with pytest.raises(OptionError, match=r"32 tokens: 'small' has 20. Make the plan with max_length=20"):
        plan_extraction(small, ["the " * 30], same_plan_as=plan)
    fits = plan_extraction(base, ["the " * 10])
    assert plan_extraction(small, ["the " * 10], same_plan_as=fits).record() == fits.record()


def test_the_estimate_has_bytes_and_seconds(base: Encoder, sentences: list[str]):
    plan = plan_extraction(base, sentences, layers=["embeddings", -1], dtype="float32")
    assert plan.n_bytes > plan.n_rows * 2 * 16 * 4
    assert plan.estimated_seconds is not None
    assert 0 < plan.estimated_seconds < 60
    assert f"{plan.n_tokens} tokens" in repr(plan)
    assert f"{format_bytes(plan.n_bytes)}, about" in repr(plan)
    assert plan.n_bytes_left == plan.n_bytes


def test_the_estimate_counts_calls_without_warm_up(base: Encoder, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def hidden_states(self: Encoder, ids: torch.Tensor, *_: object) -> tuple[torch.Tensor, ...]:
        calls.append(1)
        time.sleep(0.5 if len(calls) == 1 else 0.02)  # a tiny model: a call takes the same time for any batch
        return tuple(torch.zeros(*ids.shape, width) for width in self.layers.values())

    monkeypatch.setattr(Encoder, "hidden_states", hidden_states)
    plan = plan_extraction(base, ["the keys are here and the river flows " * 2] * 2000)
    n_batches = sum(len(list(layout.batches())) for layout in plan.shards())
    assert n_batches >= 8
    assert plan.estimated_seconds is not None
    assert 0.015 * n_batches < plan.estimated_seconds < 0.05 * n_batches
    assert len(calls) == 5


def test_texts_are_checked_before_they_are_tokenised(base: Encoder):
    with pytest.raises(TextError, match="document '1' has a lone surrogate at character 4"):
        plan_extraction(base, ["fine", "the \ud800"])
    plan = plan_extraction(base, ["short"])
    with pytest.raises(TextError, match="made from other texts"):
        plan_extraction(base, ["the keys " * 100], same_plan_as=plan)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"words": "last"}, OptionError, "words must be one of None, 'first', 'mean': got 'last'"),
        ({"long": "ignore"}, OptionError, "long must be one of"),
        ({"batch_tokens": 0}, OptionError, "batch_tokens must be a whole number of tokens"),
        ({"batch_tokens": 1.5}, OptionError, "batch_tokens must be a whole number of tokens"),
        ({"max_length": 65}, OptionError, "at most the model's 64 positions: got 65"),
        ({"max_length": 2}, OptionError, "got 2, of which 2 are special tokens"),
        ({"dtype": "int8"}, OptionError, "dtype must be one of 'float16', 'bfloat16', 'float32'"),
        ({"layers": "layer.7"}, LayerError, "got 'layer.7'. Did you mean 'layer.1'?"),
        ({"layers": [3]}, LayerError, "got 3"),
        ({"layers": []}, OptionError, "at least one layer"),
        ({"revision": "main"}, OptionError, "loaded already. Leave it out"),
        ({"same_plan_as": "no/such/store"}, OSError, "no/such/store"),
    ],
)
def test_options_outside_their_domain(base: Encoder, options: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        plan_extraction(base, ["the keys"], **options)


def test_texts_without_rows_are_refused(encoders: dict[str, Encoder]):
    with pytest.raises(TextError, match="have no words"):
        plan_extraction(encoders["base"], ["", "  "], words="first")
    with pytest.raises(TextError, match="have no tokens"):
        plan_extraction(encoders["gpt2"], ["", ""])


def test_a_model_with_fewer_embeddings_than_the_tokenizer_has_ids(encoders: dict[str, Encoder]):
    wrong = replace(encoders["base"], tokenizer=encoders["gpt2"].tokenizer)
    with pytest.raises(ModelError, match="the tokenizer gives id"):
        plan_extraction(wrong, ["the keys are here 🙂"])
