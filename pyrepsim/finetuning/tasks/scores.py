"""Scores of predicted labels, grades and entities: accuracy, F1, Matthews, Pearson and Spearman correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.entity_tags import entities

__all__ = ["classification_scores", "entity_scores", "regression_scores"]

_LEAST_RANGE = 2.0**-20


def classification_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Return accuracy, Matthews correlation and F1.

    ``accuracy``
        Fraction of equal labels, in [0, 1].
    ``mcc``
        Correlation of the two labellings, in [-1, 1] (Gorodkin, 2004, equation 8; with two labels it is Matthews'
        coefficient). 0 if either labelling is constant.
    ``f1`` or ``macro_f1``
        2 TP / (2 TP + FP + FN), in [0, 1]: with two labels, that of the second one; with more, the mean over the labels
        that occur in either labelling.

    Examples
    --------
    >>> scores = classification_scores(["a", "b", "b", "b"], ["a", "b", "b", "a"], ["a", "b"])
    >>> {name: round(value, 4) for name, value in scores.items()}
    {'accuracy': 0.75, 'mcc': 0.5774, 'f1': 0.8}
    """
    index = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))  # gold x predicted
    np.add.at(table, ([index[label] for label in gold], [index[label] for label in predicted]), 1.0)
    n, n_correct = table.sum(), table.diagonal()
    gold_n, predicted_n = table.sum(axis=1), table.sum(axis=0)
    spread = np.sqrt(n**2 - gold_n @ gold_n) * np.sqrt(n**2 - predicted_n @ predicted_n)
    mcc = (n_correct.sum() * n - gold_n @ predicted_n) / spread if spread > 0 else 0.0
    occurs = gold_n + predicted_n > 0
    f1 = np.where(occurs, 2 * n_correct / np.where(occurs, gold_n + predicted_n, 1.0), 0.0)
    scores = {"accuracy": n_correct.sum() / n, "mcc": mcc}
    if len(labels) == 2:
        scores["f1"] = f1[1]
    else:
        scores["macro_f1"] = f1[occurs].mean()
    return {name: float(score) for name, score in scores.items()}


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """Return Pearson's r and Spearman's rho (tied values share their mean rank), in [-1, 1].

    Both are 0 if either side is constant up to rounding: if its range is at most 2^-20 of its largest magnitude, 16
    round-offs of the float32 numbers that models predict.

    Examples
    --------
    >>> scores = regression_scores([1, 2, 3], [1, 4, 9])
    >>> {name: round(value, 4) for name, value in scores.items()}
    {'pearson': 0.9897, 'spearman': 1.0}
    """
    from scipy.stats import rankdata

    x, y = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if any(np.ptp(side) <= _LEAST_RANGE * np.abs(side).max() for side in (x, y)):
        return {"pearson": 0.0, "spearman": 0.0}
    return {"pearson": _correlation(x, y), "spearman": _correlation(rankdata(x), rankdata(y))}


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def entity_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return precision, recall and F1 over the entities of all sentences, in [0, 1].

    An entity is correct if its span and type are. With c correct, p predicted and g gold entities, ``precision`` =
    c / p, ``recall`` = c / g and ``f1`` = 2 c / (p + g), each 0 if the denominator is 0 (Tjong Kim Sang and De Meulder,
    2003).

    Examples
    --------
    >>> scores = entity_scores([["B-x", "O", "B-y"]], [["B-x", "O", "O"]])
    >>> {name: round(value, 4) for name, value in scores.items()}
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6667}
    """
    correct_n = predicted_n = gold_n = 0
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        gold_entities, predicted_entities = set(entities(gold_tags)), set(entities(predicted_tags))
        correct_n += len(gold_entities & predicted_entities)
        predicted_n += len(predicted_entities)
        gold_n += len(gold_entities)
    return {
        "precision": correct_n / max(predicted_n, 1),
        "recall": correct_n / max(gold_n, 1),
        "f1": 2 * correct_n / max(predicted_n + gold_n, 1),
    }
