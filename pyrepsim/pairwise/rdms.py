"""Representational dissimilarity matrices: of rows or conditions, one or many at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError, check_choice
from ..core.memory import keep_freed_memory
from .crossvalidated import (
    crossnobis,
    crossnobis_of_noises,
    poisson,
    poisson_of_rows,
    poisson_over_folds,
    rates,
    weighted_by_rows,
)
from .distances import output, square_matrix, sweep_within
from .engine import PairwiseEngine
from .metrics import METRICS, Metric, metric_named
from .noise import checked_noise
from .patterns import Cells, cells_of
from .sets import Sets, sets_of, whitened
from .small_sets import fill_small_sets

__all__ = ["rdm"]

_OVER_FOLDS = ("crossnobis", "poisson_cv")
_BETWEEN_CONDITIONS = ("crossnobis", "poisson", "poisson_cv")
_SUMS_OVER_FEATURES = ("sqeuclidean", "sqmahalanobis", "manhattan", "dot", *_BETWEEN_CONDITIONS)


def rdm(
    X: Any,
    metric: str = "cosine",
    *,
    features: Any = None,
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    noise_is: str = "covariance",
    weighting: str = "folds",
    prior: tuple[float, float] = (1.0, 0.1),
    per_feature: bool = False,
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
        As in `pdist`, or a distance between conditions:

        ``"crossnobis"``, the cross-validated squared Mahalanobis distance: d_ab is the mean over ordered pairs of folds
        k != l of (p_a^k - p_b^k)^T N^-1 (p_a^l - p_b^l), with p_a^k the mean row of condition a in fold k. It is
        unbiased: 0 in expectation for conditions that do not differ, so values can be negative.
        ``"poisson"``, the symmetric Kullback-Leibler divergence of Poisson rates r = (p + lambda w) / (1 + w), with
        ``prior`` (lambda, w): d_ab = sum_k (r_ak - r_bk) (log r_ak - log r_bk).
        ``"poisson_cv"``: the mean over k != l of (r_a^k - r_b^k).(log r_a^l - log r_b^l).
    features : sequence of array-like of int, optional
        The columns of X that each set has, for an RDM of each: searchlights, regions. X has two dimensions.
    conditions : array-like of shape (n_samples,), optional
        A label for each row. The RDM is then that of the mean rows of the conditions, in sorted order of the labels.
    folds : array-like of shape (n_samples,), optional
        A label for each row, for crossnobis and poisson_cv.
    noise : ndarray of shape (n_features, n_features), optional
        Covariance of the noise (see `noise_covariance`), positive definite; rows are whitened by it first. By default
        the identity. With ``features`` it is that of all columns of X. For crossnobis also (n_folds, n_features,
        n_features), one of the patterns of each fold, in sorted order: N is then (N_k + N_l) / 2.
    noise_is : {"covariance", "precision"}
        Whether ``noise`` is N or N^-1.
    weighting : {"folds", "rows"}
        For crossnobis, poisson and poisson_cv. ``"folds"``: as above; every condition must occur in every fold.
        ``"rows"``, for unbalanced designs: d_ab = s_aa + s_bb - 2 s_ab, with s_ab the mean over all rows x of a and y
        of b, for crossnobis and poisson_cv in different folds, of x^T N^-1 y, or of
        -(r_x - r_y).(log r_x - log r_y) / 2.
    prior : (float, float), default (1.0, 0.1)
        lambda and w of Poisson rates.
    per_feature : bool, default False
        Whether to divide distances by the number of features, as rsatoolbox does; for metrics that are sums over
        features: sqeuclidean, sqmahalanobis, manhattan, dot, crossnobis, poisson and poisson_cv.
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
        For an unknown option, options that do not go together, or ``out`` of a square RDM.
    DegenerateError
        For fewer than two rows or conditions, rows that the metric cannot normalise, noise that is not positive
        definite, Poisson rates that are not above 0, or conditions without rows in different folds.
    ShapeError, DTypeError, NonFiniteError
        For arrays of wrong shape, type or content.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; crossnobis: Walther et al. (2016), NeuroImage
    137, equation 6; Poisson: Schuett et al. (2023), eLife 12:e82566.

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
    keep_freed_memory()
    over_folds = metric in _OVER_FOLDS
    if metric not in (*METRICS, *_BETWEEN_CONDITIONS):
        raise OptionError(f"metric must be one of {', '.join((*METRICS, *_BETWEEN_CONDITIONS))}: got {metric!r}.")
    if over_folds != (folds is not None) or (over_folds and conditions is None):
        given = [name for name, labels in (("conditions", conditions), ("folds", folds)) if labels is not None]
        raise OptionError(
            "crossnobis needs conditions and folds, as poisson_cv does, and no other metric takes folds: got "
            f"metric={metric!r} with {' and '.join(given) or 'neither'}."
        )
    check_choice("noise_is", noise_is, ("covariance", "precision"))
    check_choice("weighting", weighting, ("folds", "rows"))
    if square and out is not None:
        raise OptionError("out holds condensed RDMs: got it with square=True. Leave one of them out.")
    if noise is not None and metric in ("poisson", "poisson_cv"):
        raise OptionError(f"noise is for distances of whitened rows: got it with metric={metric!r}. Leave it out.")
    if per_feature and metric not in _SUMS_OVER_FEATURES:
        raise OptionError(
            f"per_feature is for metrics that are sums over features, {', '.join(_SUMS_OVER_FEATURES)}: got {metric!r}."
        )
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    sets = sets_of(X, features)
    if conditions is not None or noise is not None or metric == "poisson":
        sets.check_finite(engine)
    cells = None if conditions is None else cells_of(conditions, folds, sets.n_rows, metric)
    if cells is not None and not (metric in _BETWEEN_CONDITIONS and weighting == "rows"):
        cells.check_complete(metric)
        sets = sets.means(cells.cell, "the means of folds" if over_folds else "the conditions' means")
    n = sets.n_rows if cells is None else len(cells.conditions)
    if n < 2:
        raise DegenerateError("an RDM needs at least two rows or conditions: got 1. Pass more.")
    of_folds = None
    if noise is not None:
        matrix = checked_noise(noise, sets.rows.shape[-1], len(cells.folds) if over_folds and cells else 1)
        if matrix.ndim == 2:
            sets = whitened(sets, matrix, inverted=noise_is == "precision")
        elif weighting == "rows":
            raise OptionError("a noise of each fold is for weighting='folds': got weighting='rows'. Pass one matrix.")
        else:
            of_folds = np.linalg.inv(matrix) if noise_is == "precision" else matrix
    n_entries = n * (n - 1) // 2
    engine = engine if metric in METRICS else engine.exact()
    filled, given = output(engine, (n_entries,) if sets.one else (sets.n_sets, n_entries), out)
    if metric in METRICS:
        _fill(engine, sets, metric_named(metric), filled)
    else:
        for index in range(sets.n_sets):
            vector = _between_conditions(engine, sets, index, metric, cells, weighting, prior, of_folds)
            (filled if sets.one else filled[index])[...] = vector
    if per_feature:
        filled /= sets.widths if sets.one else sets.widths[:, None]
    if not (sets.one and out is None if square is None else square):
        return given
    diagonals = _diagonals(sets, metric, n)
    if per_feature:
        diagonals /= sets.widths if sets.one else sets.widths[:, None]
    return square_matrix(given, diagonals)


def _fill(engine: PairwiseEngine, sets: Sets, metric: Metric, filled: Any) -> None:
    """Fill an array with the condensed distances within each set."""
    for index in fill_small_sets(engine, sets.by_features, metric, filled, sets.features):
        rows, label = sets.set(index)
        panels = engine.panels(rows, metric.name, label=label)
        sweep_within(engine, panels, metric, filled if sets.one else filled[index])


def _between_conditions(
    engine: PairwiseEngine,
    sets: Sets,
    index: int,
    metric: str,
    cells: Cells | None,
    weighting: str,
    prior: tuple[float, float],
    noises: np.ndarray | None,
) -> np.ndarray:
    """Condensed distances between the conditions of one set."""
    rows, label = sets.set(index)
    if metric != "crossnobis":
        rows = rates(rows, prior, label)
    if cells is None or (metric == "poisson" and weighting == "folds"):
        return poisson(engine, rows, label)
    if metric == "poisson":
        return poisson_of_rows(engine, rows, cells, label)
    if weighting == "rows":
        return weighted_by_rows(rows, cells, logarithms=metric == "poisson_cv")
    patterns = rows.reshape(len(cells.conditions), len(cells.folds), -1)
    if metric == "poisson_cv":
        return poisson_over_folds(engine, patterns, label)
    if noises is None:
        return crossnobis(engine, patterns, label)
    own = noises if sets.features is None else noises[:, sets.features[index]][:, :, sets.features[index]]
    return crossnobis_of_noises(engine, patterns, own, label)


def _diagonals(sets: Sets, metric: str, n: int) -> np.ndarray:
    """Entries of equal rows: 0, or for ``"dot"`` the squared norms."""
    if metric != "dot":
        return np.zeros((n,) if sets.one else (sets.n_sets, n))
    squares = [np.sum(sets.set(index)[0].astype(np.float64) ** 2, axis=1) for index in range(sets.n_sets)]
    return squares[0] if sets.one else np.stack(squares)
