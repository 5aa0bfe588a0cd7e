"""Representational dissimilarity matrices: of rows or conditions, one or many at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from .distances import output, square_matrix, sweep_within
from .engine import PairwiseEngine
from .metrics import METRICS, Metric, metric_named
from .patterns import balanced_cells, crossnobis, numbered
from .sets import Sets, sets_of, whitened
from .small_sets import fill_small_sets

__all__ = ["rdm"]


def rdm(
    X: Any,
    metric: str = "cosine",
    *,
    features: Any = None,
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    square: bool | None = None,
    out: Any = None,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """The representational dissimilarity matrix (RDM) of rows, or of conditions; or many RDMs in one call.

    Parameters
    ----------
    X : array of shape (n_samples, n_features), or (n_sets, n_samples, n_features)
        With three dimensions there is an RDM of each set: subjects, time windows.
    metric : str, default "cosine"
        As in `pdist`, or ``"crossnobis"``, the cross-validated squared Mahalanobis distance: d_ab is the mean over
        ordered pairs of folds k != l of (p_a^k - p_b^k)^T N^-1 (p_a^l - p_b^l), with p_a^k the mean row of condition a
        in fold k. It is unbiased: 0 in expectation for conditions that do not differ, so values can be negative. It is
        not divided by the number of features.
    features : sequence of array-like of int, optional
        The columns of X that each set has, for an RDM of each: searchlights, regions. X has two dimensions.
    conditions : array-like of shape (n_samples,), optional
        A label for each row. The RDM is then that of the mean rows of the conditions, in sorted order of the labels.
    folds : array-like of shape (n_samples,), optional
        A label for each row, for crossnobis; every condition must occur in every fold.
    noise : ndarray of shape (n_features, n_features), optional
        Covariance of the noise, positive definite; rows are whitened by it first. By default the identity. With
        ``features`` it is the covariance of all columns of X.
    square : bool, optional
        Whether to return symmetric matrices instead of the condensed form i < j. By default one RDM is square, and
        several are condensed.
    out : array, optional
        Array to fill with the condensed form, as in `pdist`.
    backend, n_threads, precision, progress
        As in `PairwiseEngine`. Each set has the bits that it has on its own.

    Returns
    -------
    ndarray of shape (n, n), or (n (n - 1) / 2,) with ``square=False``; before it n_sets if there are several
        n is the number of rows or conditions. The diagonal is 0 (``"dot"``: the squared norms).

    Raises
    ------
    OptionError
        For an unknown metric, folds without crossnobis, or ``out`` of a square RDM.
    DegenerateError
        For fewer than two rows or conditions, or rows that the metric cannot normalise.
    ShapeError, DTypeError, NonFiniteError
        For arrays of wrong shape, type or content.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; crossnobis: Walther et al. (2016), NeuroImage
    137, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> rs.rdm(X, "euclidean", precision="fp64")
    array([[ 0.,  5., 10.],
           [ 5.,  0.,  5.],
           [10.,  5.,  0.]])
    >>> rs.rdm(X, "euclidean", features=[[0], [1], [0, 1]], precision="fp64")
    array([[ 3.,  6.,  3.],
           [ 4.,  8.,  4.],
           [ 5., 10.,  5.]])
    """
    if metric != "crossnobis" and metric not in METRICS:
        raise OptionError(f"metric must be one of {', '.join(METRICS)} or crossnobis: got {metric!r}.")
    if (metric == "crossnobis") != (folds is not None) or (metric == "crossnobis" and conditions is None):
        given = [name for name, labels in (("conditions", conditions), ("folds", folds)) if labels is not None]
        raise OptionError(
            "crossnobis needs conditions and folds, and no other metric takes folds: got "
            f"metric={metric!r} with {' and '.join(given) or 'neither'}."
        )
    if square and out is not None:
        raise OptionError("out holds condensed RDMs: got it with square=True. Leave one of them out.")
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    sets = sets_of(X, features)
    if conditions is not None or noise is not None:
        sets.check_finite(engine)
    if folds is not None:
        n_folds, place = balanced_cells(conditions, folds, sets.n_rows)
        sets = sets.means(place, "the means of folds")
    elif conditions is not None:
        n_folds, place = 1, numbered(conditions, sets.n_rows, "conditions")[1]
        sets = sets.means(place, "the conditions' means")
    else:
        n_folds = 1
    if noise is not None:
        sets = whitened(sets, noise)
    n = sets.n_rows // n_folds
    if n < 2:
        raise DegenerateError("an RDM needs at least two rows or conditions: got 1. Pass more.")
    if metric == "crossnobis":
        engine = engine.exact()
    shape = (n * (n - 1) // 2,) if sets.one else (sets.n_sets, n * (n - 1) // 2)
    filled, given = output(engine, shape, out)
    if metric == "crossnobis":
        for index in range(sets.n_sets):
            rows, label = sets.set(index)
            (filled if sets.one else filled[index])[...] = crossnobis(engine, rows.reshape(n_folds, n, -1), label)
    else:
        _fill(engine, sets, metric_named(metric), filled)
    if not (sets.one and out is None if square is None else square):
        return given
    return square_matrix(given, _diagonals(sets, metric, n))


def _fill(engine: PairwiseEngine, sets: Sets, metric: Metric, filled: Any) -> None:
    """Fill an array with the condensed distances within each set."""
    for index in fill_small_sets(engine, sets.by_features, metric, filled, sets.features):
        rows, label = sets.set(index)
        panels = engine.panels(rows, metric.name, label=label)
        sweep_within(engine, panels, metric, filled if sets.one else filled[index])


def _diagonals(sets: Sets, metric: str, n: int) -> np.ndarray:
    """Entries of equal rows: 0, or for ``"dot"`` the squared norms."""
    if metric != "dot":
        return np.zeros((n,) if sets.one else (sets.n_sets, n))
    squares = [np.sum(sets.set(index)[0].astype(np.float64) ** 2, axis=1) for index in range(sets.n_sets)]
    return squares[0] if sets.one else np.stack(squares)
