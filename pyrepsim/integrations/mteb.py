"""mteb: an exact search index for `SearchEncoderWrapper`, and for any embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import OptionError, ShapeError, StateError
from ..measures.rows import chunks, float64_rows, unit_rows
from ..pairwise import knn
from .patching import Host, calls, count
from .patching import patched as _patched

__all__ = ["SearchIndex", "patched"]

log = logging.getLogger("pyrepsim.integrations")


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Put `SearchIndex` in the place of mteb's `FaissSearchIndex`.

    Parameters
    ----------
    any_version
        Patch a version of mteb that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


class SearchIndex:
    """An exact index of document embeddings, with mteb's `IndexEncoderSearchProtocol`.

    ``SearchEncoderWrapper(model, index_backend=SearchIndex(model))`` searches with it. Every query is compared with
    every document; no matrix of all scores is stored.

    Parameters
    ----------
    similarity : {"cosine", "dot", "euclidean"} or model of mteb, default "cosine"
        The score: the cosine, where a row of zeros has the cosine 0 with all rows; the dot product; or minus the
        Euclidean distance. A model of mteb states its own.
    precision : {"auto", "fp32", "fp64"}, default "auto"
        Of the products. "auto" is fp64 if there are embeddings of float64. Candidates are always reranked in fp64.
    n_threads : int, optional
        By default one thread for each core.

    Raises
    ------
    OptionError
        For another similarity.

    Notes
    -----
    Documents come in the order of descending scores; of equal scores, the document that was added first comes first.
    Equal embeddings have equal scores, so that repeated documents keep their order.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations.mteb import SearchIndex
    >>> index = SearchIndex("dot")
    >>> index.add_documents(np.eye(3), ["a", "b", "c"])
    >>> index.add_documents(np.array([[0.0, 2.0, 0.0]]), ["d"])
    >>> index.search(np.array([[0.0, 1.0, 0.0]]), top_k=3)
    ([[2.0, 1.0, 0.0]], [[3, 1, 0]])
    """

    def __init__(self, similarity: Any = "cosine", *, precision: str = "auto", n_threads: int | None = None) -> None:
        stated = getattr(getattr(similarity, "mteb_model_meta", None), "similarity_fn_name", similarity)
        self.similarity = str(getattr(stated, "value", stated))
        if self.similarity not in ("cosine", "dot", "euclidean"):
            raise OptionError(
                f"similarity must be cosine, dot or euclidean: got {self.similarity!r}. Search without it."
            )
        self.precision, self.n_threads = precision, n_threads
        self.clear()

    def __len__(self) -> int:
        return len(self.idxs)

    def add_documents(self, embeddings: Any, idxs: Sequence[str]) -> None:
        """Add documents after those that the index has.

        Parameters
        ----------
        embeddings : array-like of shape (n_documents, d)
        idxs : sequence of str
            A name for each document.

        Raises
        ------
        ShapeError
            If there is not one name for each row, or the rows have another width than those before.
        """
        rows, names = self._rows(embeddings, "embeddings"), list(idxs)
        if len(rows) != len(names):
            raise ShapeError(f"documents must have one name each: got {len(rows)} rows and {len(names)} names.")
        if self._parts and rows.shape[1] != self._parts[0].shape[1]:
            raise ShapeError(
                f"embeddings must have the width of those before, {self._parts[0].shape[1]}: got {rows.shape}. "
                "Call clear() before another model."
            )
        self._parts.append(rows)
        self.idxs += names

    def search(
        self,
        embeddings: Any,
        top_k: int,
        similarity_fn: Any = None,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        query_idx_to_id: Mapping[int, str] | None = None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        """Return the scores and the indices of the best documents of each query, best first.

        Parameters
        ----------
        embeddings : array-like of shape (n_queries, d)
        top_k : int
            Number of documents, at least 1; more than there are returns all of them.
        similarity_fn
            Not used.
        top_ranked : mapping of str to sequence of str, optional
            Names of documents for each query, to search among these only. Indices are then positions in this list, as
            mteb expects. A query without documents has no results.
        query_idx_to_id : mapping of int to str, optional
            The name of each query, for `top_ranked`.

        Raises
        ------
        StateError
            If there are no documents.
        OptionError
            For a wrong `top_k`, names that the index does not have, and queries without a name.
        ShapeError, DTypeError, NonFiniteError
            For queries of another width, type or content.
        """
        del similarity_fn
        count(calls, "mteb.IndexEncoderSearchProtocol.search")
        if not self._parts:
            raise StateError("the index must have documents before a search: it has none. Call add_documents first.")
        queries, corpus = self._rows(embeddings, "embeddings"), self._corpus()
        if queries.shape[1] != corpus.shape[1]:
            raise ShapeError(f"queries must have the width of the documents, {corpus.shape[1]}: got {queries.shape}.")
        if top_ranked is not None:
            return self._reranked(queries, corpus, top_k, top_ranked, query_idx_to_id)
        double = queries.dtype == np.float64 or corpus.dtype == np.float64
        scores, indices = knn(
            queries,
            min(top_k, len(corpus)),
            "euclidean" if self.similarity == "euclidean" else "dot",
            Y=corpus,
            n_threads=self.n_threads,
            precision="fp64" if double and self.precision == "auto" else self.precision,
            progress=False,
        )
        return (-scores if self.similarity == "euclidean" else scores).tolist(), indices.tolist()

    def clear(self) -> None:
        """Remove all documents."""
        self.idxs: list[str] = []
        self._parts: list[np.ndarray] = []

    def _corpus(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def _rows(self, embeddings: Any, name: str) -> np.ndarray:
        """Return a copy of the rows in float32 or float64, at length 1 for cosines."""
        rows = rows_view(embeddings, name)
        copied = np.empty(rows.shape, np.float64 if rows.dtype == np.float64 else np.float32)
        with np.errstate(invalid="ignore"):  # refused by the search
            for part in chunks(*rows.shape):
                copied[part] = unit_rows(rows[part]) if self.similarity == "cosine" else rows[part]
        return copied

    def _reranked(
        self,
        queries: np.ndarray,
        corpus: np.ndarray,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]],
        query_idx_to_id: Mapping[int, str] | None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        if query_idx_to_id is None or len(query_idx_to_id) < len(queries):
            raise OptionError("top_ranked needs query_idx_to_id, with the name of each query. Pass it.")
        if top_k < 1:
            raise OptionError(f"top_k must be a whole number >= 1: got {top_k!r}.")
        place = {name: index for index, name in enumerate(self.idxs)}
        scores: list[list[float]] = []
        positions: list[list[int]] = []
        for index, query in enumerate(float64_rows(queries)):
            names = top_ranked.get(query_idx_to_id[index]) or []
            if unknown := [name for name in names if name not in place]:
                raise OptionError(f"top_ranked must name documents of the index: it does not have {unknown[0]!r}.")
            if not names:
                log.warning("query %s has no documents to rank", query_idx_to_id[index])
            candidates = float64_rows(corpus[[place[name] for name in names]])
            if self.similarity == "euclidean":
                found = -np.sqrt(np.einsum("nd,nd->n", candidates - query, candidates - query))
            else:
                found = np.einsum("nd,d->n", candidates, query)
            best = np.argsort(-found, kind="stable")[:top_k]
            scores.append(found[best].tolist())
            positions.append(best.tolist())
        return scores, positions


_HOST = Host(
    "mteb",
    ">=2.26,<3",
    {"mteb.models.search_encoder_index.search_indexes.faiss_search_index.FaissSearchIndex": SearchIndex},
)
