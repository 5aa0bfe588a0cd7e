"""P-values of permutation tests, and their adjustment for several tests at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..core.errors import ShapeError
from .resampling import finite_values

__all__ = [
    "calibrated_value",
    "critical_value",
    "holm",
    "max_statistic_p",
    "permutation_p",
    "two_sided_p",
    "value_rounding",
]


def value_rounding(precision: str | None, *values: float) -> float:
    """Differences of values up to this may be rounding: 1e-10 of the largest, or 1e-6 if they are not of float64 sums.

    Examples
    --------
    >>> from pyrepsim.inference.p_values import value_rounding
    >>> value_rounding("fp64", 0.25, -0.5)
    5e-11
    """
    return (1e-10 if precision == "fp64" else 1e-6) * max(map(abs, values))


def two_sided_p(value: float, standard_error: float, dof: float, rounding: float = 0.0) -> float:
    """P-value of the value 0 by Student's t with `dof` degrees of freedom; 1 for a value of at most `rounding`.

    Examples
    --------
    >>> from pyrepsim.inference.p_values import two_sided_p
    >>> round(two_sided_p(2.0, 1.0, 10), 4), two_sided_p(1e-17, 0.0, 10, rounding=1e-15)
    (0.0734, 1.0)
    """
    from scipy.special import stdtr

    if abs(value) <= rounding:
        return 1.0
    return 2 * float(stdtr(dof, -abs(value) / standard_error)) if standard_error > 0 else 0.0


def permutation_p(observed: float, null: np.ndarray, rounding: float = 0.0) -> float:
    """One-sided p-value of a permutation test, (1 + #{null >= observed - rounding}) / (P + 1).

    The observed statistic counts as one of the permutations, so the p-value is never 0.

    Parameters
    ----------
    observed : float
        The statistic of the data. Larger values speak against the null hypothesis.
    null : ndarray of shape (n_resamples,)
        The statistic of each permutation.
    rounding : float, default 0.0
        Statistics that differ by at most this are equal: a permutation that changes nothing may round differently.

    Returns
    -------
    float in (0, 1].

    Raises
    ------
    ShapeError
        If ``null`` is empty or holds a number that is not finite.

    References
    ----------
    Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9(1):39.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.inference import permutation_p
    >>> permutation_p(5.0, np.zeros(99))
    0.01
    """
    values = finite_values(null, "null values", 1)
    return (1 + int(np.count_nonzero(values >= observed - rounding))) / (len(values) + 1)


def max_statistic_p(observed: np.ndarray, null: np.ndarray, rounding: float = 0.0) -> np.ndarray:
    """P-values of several statistics against the largest one of each permutation.

    They hold for all statistics together, and so for the best one, chosen after looking. All statistics must have been
    computed with the same permutations.

    Parameters
    ----------
    observed : ndarray of shape (n_statistics,)
        The statistics of the data.
    null : ndarray of shape (n_resamples, n_statistics)
        The statistics of each permutation.
    rounding : float, default 0.0
        As in `permutation_p`.

    Returns
    -------
    ndarray of shape (n_statistics,), each in (0, 1].

    Raises
    ------
    ShapeError
        If ``null`` does not have one column for each statistic.

    References
    ----------
    Westfall & Young (1993), Resampling-Based Multiple Testing (the single-step maxT procedure).

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.inference import max_statistic_p
    >>> max_statistic_p(np.array([2.0, 0.0]), np.array([[1.0, 0.0], [0.0, 3.0]])).round(4)
    array([0.6667, 1.    ])
    """
    values = np.asarray(null, dtype=np.float64)
    if values.ndim != 2 or values.shape[1:] != np.shape(observed):
        raise ShapeError(
            f"null must have shape (n_resamples, {len(observed)}), a column for each statistic: got {values.shape}."
        )
    largest = values.max(axis=1)
    return np.array([permutation_p(float(one), largest, rounding) for one in observed])


def critical_value(observed: float, null: np.ndarray, alpha: float) -> float:
    """What a statistic exceeds by chance with a probability of at most alpha.

    Of the observed statistic and those of P permutations in ascending order, number ceil((1 - alpha) (P + 1)).

    References
    ----------
    Groeger et al. (2026), arXiv:2602.14486, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.inference.p_values import critical_value
    >>> critical_value(5.0, np.arange(19.0), 0.05)
    17.0
    """
    ordered = np.sort(np.append(finite_values(null, "null values", 1), observed))
    place = math.ceil((1 - alpha) * len(ordered))
    return float(ordered[min(max(place, 1), len(ordered)) - 1])


def calibrated_value(value: float, threshold: float, largest: float) -> float:
    """max(0, value - threshold) / (largest - threshold), at most 1; 0 if no value is above the threshold."""
    if not threshold < largest:
        return 0.0
    return min(max((value - threshold) / (largest - threshold), 0.0), 1.0)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values of several tests, adjusted by Holm's step-down method.

    The i-th smallest of m p-values is multiplied by m - i + 1, then made monotone and at most 1. Rejecting where the
    adjusted value is below alpha keeps the family-wise error rate below alpha, for any dependence between the tests.

    Parameters
    ----------
    p : array-like of shape (n_tests,)
        The p-values of the single tests.

    Returns
    -------
    ndarray of shape (n_tests,), in the order of ``p``.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> from pyrepsim.inference import holm
    >>> holm([0.01, 0.04, 0.03]).round(4)
    array([0.03, 0.06, 0.06])
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return adjusted
