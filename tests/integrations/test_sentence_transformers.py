"""sentence-transformers: drift of embeddings during training and in the model card; search with pyrepsim underneath."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError, ShapeError
from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import sentence_transformers as integration

pytest.importorskip("sentence_transformers")

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    util,
)
from sentence_transformers.base.evaluation import BaseEvaluator, SequentialEvaluator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers

pytestmark = pytest.mark.filterwarnings("ignore")  # of many libraries
DEBIASED = "LinearCKA(debiased=True)"
SEARCH = "sentence_transformers.util.retrieval.semantic_search"
WORDS = ["the", "river", "bank", "money", "flows", "into", "dog", "barks", "at", "cat", "sleeps", "on", "mat", "tree"]


def new_model(seed: int = 0, width: int = 8) -> SentenceTransformer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(seed)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=width)], device="cpu")


@pytest.fixture
def texts(rng: np.random.Generator) -> list[str]:
    return [" ".join(rng.choice(WORDS, 4)) for _ in range(40)]


def moved(model: SentenceTransformer) -> SentenceTransformer:
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.5 * torch.randn_like(weights)
    return model


def test_the_model_at_the_first_call_is_the_reference(texts):
    model, evaluator = new_model(), integration.DriftEvaluator(texts, [DEBIASED, "Procrustes"], name="fixed")
    assert isinstance(evaluator, BaseEvaluator)
    assert evaluator(model) == pytest.approx({f"fixed_{DEBIASED}": 1, "fixed_Procrustes": 1})
    before = model.encode(texts)
    found = evaluator(moved(model))
    due = rs.compare(before, model.encode(texts), [DEBIASED, "Procrustes"])
    assert found == {f"fixed_{score.measure}": score.value for score in due}
    assert evaluator.primary_metric == f"fixed_{DEBIASED}"
    assert found[evaluator.primary_metric] < 0.99


@pytest.mark.parametrize("kind", ["array", "tensor", "model", "the same model"])
def test_other_references(texts, kind: str):
    model, other = new_model(), new_model(seed=1, width=6)
    vectors = other.encode(texts)
    reference: dict[str, Any] = {
        "array": vectors,
        "tensor": torch.from_numpy(vectors),
        "model": other,
        "the same model": model,
    }
    if kind == "the same model":
        vectors = model.encode(texts)
    evaluator = integration.DriftEvaluator(texts, reference=reference[kind])
    moved(other), moved(model)
    assert evaluator(model) == {DEBIASED: rs.compare(vectors, model.encode(texts), DEBIASED).value}


def test_training_writes_values_to_the_log_a_file_and_the_model_card(texts, tmp_path: Path):
    model = new_model()
    evaluator = integration.DriftEvaluator(texts, [DEBIASED, "CCA"], name="fixed")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        eval_on_start=True,
        learning_rate=0.1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict({"anchor": texts, "positive": texts[1:] + texts[:1]}),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    key = f"eval_fixed_{DEBIASED}"
    logged = {entry["step"]: entry[key] for entry in trainer.state.log_history if key in entry}
    assert list(logged) == [0, 2, 4]
    assert logged[0] == pytest.approx(1)
    assert logged[4] < logged[2] < 1
    (file,) = tmp_path.rglob("drift_evaluation_fixed_results.csv")
    header, *rows = csv.reader(file.open())
    assert header == ["epoch", "steps", DEBIASED, "CCA"]
    assert [float(row[2]) for row in rows] == list(logged.values())
    model.save_pretrained(tmp_path / "final")
    card = (tmp_path / "final" / "README.md").read_text()
    assert f"| **{DEBIASED}** | **{logged[4]:.4f}**" in card
    assert '"reference": "the model at the first call"' in card
    assert "#### Drift" in card


def test_collapsed_embeddings_are_nan(texts):
    model = new_model()
    evaluator = integration.DriftEvaluator(texts, reference=model.encode(texts), write_csv=False)
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(1.0)
    assert math.isnan(evaluator(model)[DEBIASED])


def test_in_a_sequence_of_evaluators_and_without_a_file(texts, tmp_path: Path):
    parts = [integration.DriftEvaluator(texts, name=name, write_csv=name == "a") for name in ("a", "b")]
    found = SequentialEvaluator(parts)(new_model(), str(tmp_path / "new"))
    assert {f"a_{DEBIASED}", f"b_{DEBIASED}", "sequential_score"} == set(found)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["drift_evaluation_a_results.csv"]


def test_truncated_embeddings(texts):
    model = new_model()
    evaluator = integration.DriftEvaluator(texts, reference=model, truncate_dim=3)
    assert evaluator.drift.reference[""].shape == (40, 3)
    assert evaluator.get_config_dict() == {"texts": 40, "reference": "another model", "truncate_dim": 3}
    assert evaluator(model) == pytest.approx({DEBIASED: 1})


def test_the_best_model_is_that_with_the_smaller_distance(texts):
    assert integration.DriftEvaluator(texts, DEBIASED).greater_is_better
    assert not integration.DriftEvaluator(texts, ["GULP", DEBIASED]).greater_is_better


def test_errors(texts):
    with pytest.raises(ShapeError, match="one row for each of the 40 texts"):
        integration.DriftEvaluator(texts, reference=np.zeros((39, 8)))
    with pytest.raises(OptionError):
        integration.DriftEvaluator(texts, "CKA")


@pytest.mark.parametrize("score_function", [util.cos_sim, util.dot_score])
@pytest.mark.parametrize("kind", ["tensor", "array", "float64", "small corpus"])
def test_search(rng, score_function: Any, kind: str):
    queries, corpus = (rng.standard_normal((n, 16)).astype("f8" if kind == "float64" else "f4") for n in (300, 400))
    corpus = corpus[:4] if kind == "small corpus" else corpus
    if kind != "array":
        queries, corpus = torch.from_numpy(queries), torch.from_numpy(corpus)
    due = util.semantic_search(queries, corpus, top_k=7, score_function=score_function)
    with integration.patched():
        before = calls[SEARCH], fallbacks[SEARCH]
        found = util.semantic_search(queries, corpus, top_k=7, score_function=score_function)
        assert (calls[SEARCH], fallbacks[SEARCH]) == (before[0] + 1, before[1])
    assert [[hit["corpus_id"] for hit in hits] for hits in found] == [
        [hit["corpus_id"] for hit in hits] for hits in due
    ]
    scores = [[[hit["score"] for hit in hits] for hits in each] for each in (found, due)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)
    assert type(found[0][0]["score"]) is float
    assert type(found[0][0]["corpus_id"]) is int


@pytest.mark.parametrize("kind", ["euclidean", "half", "zero row", "list", "few queries", "one query"])
def test_searches_that_are_not_covered(rng, kind: str):
    queries, corpus = (torch.from_numpy(rng.standard_normal((n, 16))).float() for n in (300, 20))
    options = {"score_function": util.euclidean_sim} if kind == "euclidean" else {}
    if kind == "half":
        queries, corpus = queries.half(), corpus.half()
    if kind == "zero row":
        corpus[3] = 0
    if kind == "few queries":
        queries = queries[:299]
    if kind == "one query":
        queries = queries[0]
    if kind == "list":
        queries, corpus = list(queries), list(corpus)
    due = util.semantic_search(queries, corpus, **options)
    with integration.patched():
        before = fallbacks[SEARCH]
        assert util.semantic_search(queries, corpus, **options) == due
        assert fallbacks[SEARCH] == before + 1


def test_a_row_a_document_of_all_tokens_is_its_mean_pooling(tmp_path: Path):
    from sentence_transformers import models as modules

    from tests.helpers.tiny_models import tiny_bert

    folder = str(tiny_bert(tmp_path / "bert"))
    parts = [modules.Transformer(folder), modules.Pooling(16, pooling_mode="mean")]
    texts = ["the keys to the cabinet are here", "run", "the river bank flows"]
    wanted = SentenceTransformer(modules=parts, device="cpu").encode(texts)
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "rows": "document"}
    found = np.asarray(rs.extract(folder, texts, out=tmp_path / "all", tokens="all", **options)[-1])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    content = np.asarray(rs.extract(folder, texts, out=tmp_path / "content", **options)[-1])
    assert np.abs(content - wanted).max() > 1e-2, "without special tokens it is another mean"
