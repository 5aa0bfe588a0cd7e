"""Accuracy, Matthews correlation and F1 of labels, Pearson and Spearman correlation of grades: the scores of GLUE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["classification_scores", "regression_scores"]


def classification_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy, Matthews correlation and F1 from the (L, L) table of counts of gold x predicted labels.

    ``accuracy``
        Fraction of equal labels, in [0, 1].
    ``mcc``
        Correlation of the two labellings, in [-1, 1] (Gorodkin, 2004, eq. 8: for two labels it is Matthews'
        coefficient). 0 where either of them is constant.
    ``f1`` or ``macro_f1``
        2 TP / (2 TP + FP + FN), in [0, 1]: of the second of two labels; of more labels, the mean over those that
        occur in either labelling.
    """
    index = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, ([index[label] for label in gold], [index[label] for label in predicted]), 1.0)
    n, hits = table.sum(), table.diagonal()
    true_n, predicted_n = table.sum(axis=1), table.sum(axis=0)
    spread = np.sqrt(n**2 - true_n @ true_n) * np.sqrt(n**2 - predicted_n @ predicted_n)
    mcc = (hits.sum() * n - true_n @ predicted_n) / spread if spread > 0 else 0.0
    occurs = true_n + predicted_n > 0
    f1 = np.where(occurs, 2 * hits / np.where(occurs, true_n + predicted_n, 1.0), 0.0)
    scores = {"accuracy": hits.sum() / n, "mcc": mcc}
    if len(labels) == 2:
        scores["f1"] = f1[1]
    else:
        scores["macro_f1"] = f1[occurs].mean()
    return {name: float(score) for name, score in scores.items()}


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """Pearson's r and Spearman's rho (r of ranks, ties sharing their mean), in [-1, 1].

    0 where either side is constant: nothing varies together.
    """
    x, y = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    return {"pearson": _correlation(x, y), "spearman": _correlation(_ranks(x), _ranks(y))}


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def _ranks(x: np.ndarray) -> np.ndarray:
    _, position, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[position]
