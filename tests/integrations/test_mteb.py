"""The search index of mteb: its scores, its order with ties, and mteb's results with it."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import DTypeError, NonFiniteError, OptionError, ShapeError, StateError
from pyrepsim.integrations import calls
from pyrepsim.integrations.mteb import SearchIndex

SIMILARITIES = ["cosine", "dot", "euclidean"]


def all_scores(queries: np.ndarray, documents: np.ndarray, similarity: str) -> np.ndarray:
    """The definition, in float64: a row of zeros has the cosine 0."""
    q, d = queries.astype(np.float64), documents.astype(np.float64)
    if similarity == "euclidean":
        return -np.sqrt(((q[:, None] - d[None]) ** 2).sum(axis=2))
    if similarity == "cosine":
        sizes = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(d, axis=1)[None]
        return np.divide(q @ d.T, sizes, out=np.zeros(sizes.shape), where=sizes > 0)
    return q @ d.T


def whole(rng: np.random.Generator, n: int, d: int = 16) -> np.ndarray:
    """Small whole numbers: their products are exact in float32, so that there are many exact ties."""
    return rng.integers(-2, 3, (n, d)).astype(np.float32)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("n_parts", [1, 3])
def test_scores_and_order(rng, similarity: str, dtype: str, n_parts: int):
    queries = (rng.standard_normal((30, 24)) + 0.2).astype(dtype)
    documents = (rng.standard_normal((500, 24)) + 0.2).astype(dtype)
    index = SearchIndex(similarity)
    names = [f"doc{i}" for i in range(500)]
    for rows, some in zip(np.array_split(documents, n_parts), np.array_split(names, n_parts), strict=True):
        index.add_documents(rows, some.tolist())
    assert index.idxs == names
    assert len(index) == 500
    scores, indices = index.search(queries, 7)
    due = all_scores(queries, documents, similarity)
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(scores, np.take_along_axis(due, np.array(indices), 1), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(scores, -np.sort(-due, axis=1)[:, :7], rtol=tolerance, atol=tolerance)
    assert all(isinstance(score, float) for score in scores[0])
    assert all(isinstance(position, int) for position in indices[0])


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
@pytest.mark.parametrize("top_k", [1, 5, 200, 1000])
def test_of_equal_scores_the_first_document_comes_first(rng, similarity: str, top_k: int):
    queries, documents = whole(rng, 20, 6), whole(rng, 200, 6)
    index = SearchIndex(similarity)
    index.add_documents(documents, [str(i) for i in range(200)])
    scores, indices = index.search(queries, top_k)
    due = all_scores(queries, documents, similarity)
    order = np.argsort(-due, axis=1, kind="stable")[:, :top_k]
    assert len(np.unique(due[0])) < 60  # many ties
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(scores, np.take_along_axis(due, order, 1), rtol=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("n_copies", [2, 70])
def test_repeated_documents_have_equal_scores_in_their_order(rng, similarity: str, n_copies: int):
    queries, one = (rng.standard_normal((5, 33)).astype(np.float32) for _ in range(2))
    index = SearchIndex(similarity)
    index.add_documents(np.tile(one, (n_copies, 1)), [str(i) for i in range(5 * n_copies)])
    scores, indices = index.search(queries, 5 * n_copies)
    for of_query, found in zip(scores, indices, strict=True):
        assert len(set(of_query)) == 5
        for begin in range(0, 5 * n_copies, n_copies):
            copies = found[begin : begin + n_copies]
            assert copies == list(range(copies[0], 5 * n_copies, 5))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_rows_of_zeros_have_the_cosine_0(rng, n_threads: int):
    documents = rng.standard_normal((6, 4))
    documents[2] = documents[4] = 0.0
    index = SearchIndex("cosine", n_threads=n_threads)
    index.add_documents(documents, list("abcdef"))
    scores, indices = index.search(np.stack([documents[0], np.zeros(4)]), 6)
    assert scores[0][0] == pytest.approx(1)
    assert [score for score, place in zip(scores[0], indices[0], strict=True) if place in (2, 4)] == [0, 0]
    assert (scores[1], indices[1]) == ([0.0] * 6, list(range(6)))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_candidates_are_ranked_by_their_positions(rng, similarity: str):
    queries, documents = whole(rng, 4), whole(rng, 300)
    names = [f"doc{i}" for i in range(300)]
    index = SearchIndex(similarity)
    index.add_documents(documents, names)
    listed = {"q0": names[5:290], "q1": ["doc7", "doc2", "doc7"], "q2": []}
    scores, positions = index.search(queries, 40, None, listed, {0: "q0", 1: "q1", 2: "q2", 3: "q3"})
    assert scores[2] == positions[2] == scores[3] == positions[3] == []
    for row, chosen in ((0, list(range(5, 290))), (1, [7, 2, 7])):
        due = all_scores(queries[row : row + 1], documents[chosen], similarity)[0]
        order = np.argsort(-np.round(due, 12), kind="stable")[:40]
        assert positions[row] == order.tolist()
        np.testing.assert_allclose(scores[row], due[order], rtol=1e-6, atol=1e-7)


def test_tensors_and_scores_without_gradients(rng):
    torch = pytest.importorskip("torch")
    rows = torch.from_numpy(rng.standard_normal((40, 8)).astype(np.float32)).requires_grad_()
    index = SearchIndex()
    index.add_documents(rows.to(torch.bfloat16), [str(i) for i in range(40)])
    scores, indices = index.search(rows[:3], 1)
    assert [place for (place,) in indices] == [0, 1, 2]
    np.testing.assert_allclose(scores, 1, atol=1e-4)


def test_an_index_starts_again(rng):
    index = SearchIndex("dot")
    index.add_documents(np.eye(3), list("abc"))
    index.clear()
    assert len(index) == 0
    with pytest.raises(StateError, match="add_documents"):
        index.search(np.eye(3), 1)
    index.add_documents(np.eye(2), list("de"))
    assert index.search(np.eye(2), 1)[1] == [[0], [1]]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_an_index_keeps_a_copy_of_the_rows(rng, similarity: str):
    documents = rng.standard_normal((20, 4))
    queries = documents[:3].copy()
    index = SearchIndex(similarity)
    index.add_documents(documents, [str(i) for i in range(20)])
    due = index.search(queries, 5)
    documents[:] = 7.0
    assert index.search(queries, 5) == due


def test_models_state_their_similarity():
    meta = SimpleNamespace(similarity_fn_name=SimpleNamespace(value="euclidean"))
    assert SearchIndex(SimpleNamespace(mteb_model_meta=meta)).similarity == "euclidean"
    for wrong in ("manhattan", None, SimpleNamespace(mteb_model_meta=SimpleNamespace(similarity_fn_name="MaxSim"))):
        with pytest.raises(OptionError, match="cosine, dot or euclidean"):
            SearchIndex(wrong)


def test_wrong_input(rng):
    index = SearchIndex("dot")
    index.add_documents(np.eye(3), list("abc"))
    with pytest.raises(ShapeError, match="one name each"):
        index.add_documents(np.eye(3), list("ab"))
    with pytest.raises(ShapeError, match="width"):
        index.add_documents(np.eye(4), list("defg"))
    with pytest.raises(ShapeError, match="width"):
        index.search(np.eye(4), 1)
    with pytest.raises(DTypeError):
        index.search(np.array([["a", "b", "c"]]), 1)
    with pytest.raises(NonFiniteError):
        index.search(np.full((1, 3), np.nan), 1)
    for top_k in (0, -1):
        with pytest.raises(OptionError):
            index.search(np.eye(3), top_k)
        with pytest.raises(OptionError):
            index.search(np.eye(3)[:1], top_k, top_ranked={"q": ["a"]}, query_idx_to_id={0: "q"})
    with pytest.raises(OptionError, match="query_idx_to_id"):
        index.search(np.eye(3), 1, top_ranked={"q": ["a"]})
    with pytest.raises(OptionError, match="'x'"):
        index.search(np.eye(3)[:1], 1, top_ranked={"q": ["x"]}, query_idx_to_id={0: "q"})
    for bad in (np.array([[np.nan, 0, 0]]), np.array([[np.inf, 0, 0]])):
        cosines = SearchIndex("cosine")
        cosines.add_documents(bad, ["a"])
        with pytest.raises(NonFiniteError):
            cosines.search(np.eye(3), 1)
    assert len(index) == 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")
@pytest.mark.parametrize("kind", ["MockRetrievalTask", "MockRerankingTask"])
@pytest.mark.parametrize("similarity", ["DOT_PRODUCT", "COSINE", "EUCLIDEAN"])
def test_mteb_scores_as_without_it(kind: str, similarity: str):
    import mteb
    from mteb.mocks import mock_tasks
    from mteb.models import SearchEncoderWrapper
    from mteb.models.model_meta import ScoringFunction

    task = getattr(mock_tasks, kind)()
    model: Any = mteb.get_model("mteb/baseline-random-encoder")
    chosen = {"similarity_fn_name": ScoringFunction[similarity]}
    model.mteb_model_meta = model.mteb_model_meta.model_copy(update=chosen)
    before = calls["mteb.IndexEncoderSearchProtocol.search"]
    with_index = SearchEncoderWrapper(model, index_backend=SearchIndex(model))
    found, due = (mteb.evaluate(m, task, cache=None).task_results[0].get_score() for m in (with_index, model))
    assert found == due
    assert calls["mteb.IndexEncoderSearchProtocol.search"] > before
