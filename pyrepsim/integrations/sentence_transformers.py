"""sentence-transformers: an evaluator of drift for training and model cards, and `util.semantic_search`."""

from __future__ import annotations

import csv
import importlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison import Drift
from ..core.arrays import rows_view
from ..core.errors import ShapeError
from ..measures import Measure
from ..pairwise import knn
from .patching import Host, NotCovered, base_class
from .patching import patched as _patched

__all__ = ["DriftEvaluator", "patched"]

_VERSIONS = ">=6.2,<7"
_FEWEST_QUERIES = 300
"""Packing the corpus takes more than the library needs, which the products with this many queries make up for."""
_BASE = "sentence_transformers.base.evaluation.BaseEvaluator"
BaseEvaluator: Any = base_class(_BASE, f"sentence-transformers{_VERSIONS}")


class DriftEvaluator(BaseEvaluator):
    """Compares a model's embeddings of fixed texts with those of a reference, during training and in the model card.

    Parameters
    ----------
    texts : sequence of str
        With fewer texts than features, use debiased CKA: CCA and biased CKA are inflated then.
    measures : Measure, str, or a sequence of these, default "LinearCKA(debiased=True)"
    reference : array-like of shape (n_texts, n_features), or model, optional
        Stored embeddings of the texts, or a model, which embeds them now. By default the model at the first call: call
        the evaluator once before training, or train with ``eval_on_start=True``.
    name : str, optional
        Before the names of the values, and in the name of the CSV file.
    batch_size, show_progress_bar, write_csv, truncate_dim
        As in the evaluators of sentence-transformers.

    Raises
    ------
    MissingExtraError
        If sentence-transformers is not installed.
    ShapeError
        If there is not one stored embedding for each text.

    Notes
    -----
    A call returns a dictionary of values, whose keys are the texts of the measures with ``name`` and "_" before them;
    ``primary_metric`` is the first. It adds a row to ``drift_evaluation_NAME_results.csv`` in `output_path`, and hands
    the values to the model card. A measure that is not defined, such as for equal embeddings, is NaN; the reason is
    logged. A larger value counts as better (``greater_is_better``), unless the first measure is a distance.
    """

    def __init__(
        self,
        texts: Sequence[str],
        measures: Measure | str | Sequence[Measure | str] = "LinearCKA(debiased=True)",
        *,
        reference: Any = None,
        name: str = "",
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ):
        super().__init__()
        self.texts, self.name, self.write_csv = list(texts), name, write_csv
        self.batch_size, self.show_progress_bar, self.truncate_dim = batch_size, show_progress_bar, truncate_dim
        self._reference = "the model at the first call" if reference is None else "stored embeddings"
        if hasattr(reference, "encode"):
            self._reference = "another model"
            reference = self._embedded(reference)
        if reference is not None and len(rows := rows_view(reference, "reference")) != len(self.texts):
            raise ShapeError(f"reference must have one row for each of the {len(self.texts)} texts: got {rows.shape}.")
        self.drift = Drift(measures, reference)
        self.primary_metric = str(self.drift.measures[0])
        self.greater_is_better = not self.drift.measures[0].is_distance
        self.csv_file = f"drift_evaluation_{name}_results.csv"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the values of the model as it is; see the class."""
        values = self.drift.measure(self._embedded(model))
        if output_path is not None and self.write_csv:
            path = Path(output_path) / self.csv_file
            os.makedirs(output_path, exist_ok=True)
            header = [] if path.exists() else [["epoch", "steps", *values]]
            with open(path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([*header, [epoch, steps, *values.values()]])
        metrics = self.prefix_name_to_metrics(values, self.name)
        self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics

    def get_config_dict(self) -> dict[str, Any]:
        """Return what the model card says of the evaluator."""
        described = {"texts": len(self.texts), "reference": self._reference}
        return described | ({"truncate_dim": self.truncate_dim} if self.truncate_dim is not None else {})

    def _embedded(self, model: Any) -> np.ndarray:
        return model.encode(
            self.texts,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
            convert_to_numpy=True,
            truncate_dim=self.truncate_dim,
        )


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Search with pyrepsim where `sentence_transformers.util.semantic_search` is called.

    Parameters
    ----------
    any_version
        Patch a version of sentence-transformers that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: Any = None,
) -> list[list[dict[str, int | float]]]:
    """`util.semantic_search` by pyrepsim: the embeddings with the largest cosines or dot products."""
    del query_chunk_size, corpus_chunk_size
    util = importlib.import_module("sentence_transformers.util")
    metric = {None: "cosine", util.cos_sim: "cosine", util.dot_score: "dot"}.get(score_function)
    if metric is None:
        raise NotCovered("this score_function")
    queries, corpus = _rows(query_embeddings), _rows(corpus_embeddings)
    if len(queries) < _FEWEST_QUERIES:
        raise NotCovered(f"fewer than {_FEWEST_QUERIES} queries")
    found, indices = knn(
        queries,
        min(top_k, len(corpus)),
        metric,
        Y=corpus,
        precision="fp32" if queries.dtype == np.float32 else "fp64",
        n_threads=importlib.import_module("torch").get_num_threads(),
        progress=False,
    )
    scores = 1 - found if metric == "cosine" else found
    return [
        [{"corpus_id": index, "score": score} for index, score in zip(*of_query, strict=True)]
        for of_query in zip(indices.tolist(), scores.tolist(), strict=True)
    ]


def _rows(embeddings: Any) -> np.ndarray:
    """Return dense embeddings in host memory, (n, d)."""
    on_cpu = getattr(getattr(embeddings, "device", "cpu"), "type", "cpu") == "cpu"
    if not on_cpu or getattr(embeddings, "is_sparse", False) or not hasattr(embeddings, "dtype"):
        raise NotCovered("this input")
    rows = rows_view(embeddings, "embeddings")
    if rows.dtype not in (np.float32, np.float64):
        raise NotCovered("half precision")
    return rows


_HOST = Host(
    "sentence-transformers", _VERSIONS, {"sentence_transformers.util.retrieval.semantic_search": semantic_search}
)
