"""Intervals by resampling blocks of documents, and bands over runs.

The rows of one document depend on each other; documents do not. So whole blocks of documents are left out (jackknife)
or drawn with replacement (bootstrap). The functions of this module take numbers and return numbers; they do not know
which measure the numbers came from. ``without_block`` of shape (n_blocks,) always holds the values that result when
one block is left out.

References: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapters 11 (jackknife), 13 (percentiles) and
14 (BCa); Field & Welsh (2007), JRSS B 69(3) (resampling of whole clusters).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError, ShapeError

__all__ = [
    "Bootstrap",
    "Jackknife",
    "bca_interval",
    "bootstrap_weights",
    "degrees_of_freedom",
    "interval_of",
    "jackknife_interval",
    "jackknife_standard_error",
    "jackknife_weights",
    "percentile_interval",
    "spread_interval",
    "t_quantile",
]

Interval = tuple[float, float]
_NORMAL = NormalDist()
_KINDS = ("bca", "percentile")
_MOST_BLOCKS = 4096


@dataclass(frozen=True, kw_only=True)
class Jackknife:
    """Delete-one-block jackknife: value -+ t SE.

    SE^2 = (S - 1) / S sum_s d_s^2 with d_s = t_s - mean t, where t_s is the value without block s of S. Student's t
    has 2 S / (k - 1) degrees of freedom, at most S - 1, with the kurtosis k = S sum_s d_s^4 / (sum_s d_s^2)^2: fewer if
    few blocks carry most of the variance. Of measures whose values are at most 1, such as CKA, the interval is that of
    Fisher's z = arctanh(value), mapped back; not if a value is 1 or more.

    The measure is evaluated S + 1 times. It is also right for estimators that repeated rows would bias, such as
    debiased CKA. benchmarks/error-rates.md shows how often such intervals contain the truth.

    Parameters
    ----------
    blocks : int, default 32
        S, the largest number of blocks of whole documents, from 2 to 4096; 16 to 64 are usual. With fewer documents,
        each document is a block.
    confidence : float, default 0.95
        The probability with which such intervals contain the true value, between 0 and 1.

    Raises
    ------
    OptionError
        If an option is outside its domain.

    References
    ----------
    Efron & Tibshirani (1993), equation 11.5; Satterthwaite (1946), Biometrics Bulletin 2(6) (degrees of freedom);
    Fisher (1921), Metron 1(4) (z).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 8))
    >>> Y = X + rng.standard_normal((400, 8))
    >>> score = rs.compare(X, Y, rs.LinearCKA(debiased=True), interval=rs.Jackknife(blocks=20))
    >>> round(score.value, 4), tuple(round(end, 4) for end in score.interval)
    (0.4984, (0.4696, 0.5261))
    """

    blocks: int = 32
    confidence: float = 0.95

    def __post_init__(self) -> None:
        _check_whole(self, "blocks", 2, _MOST_BLOCKS)
        _check_confidence(type(self).__name__, self.confidence)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Bootstrap of blocks of documents: blocks are drawn with replacement, and the value is computed for each draw.

    All layers and measures share the draws. The same seed gives the same interval for any number of threads and any
    chunk size.

    Where repeated rows bias an estimator, the jackknife is used instead, and ``details["interval"]["reason"]`` says
    so. This concerns debiased estimators, and with ``kind="bca"`` every estimator whose value lies outside its own
    percentile interval (CCA with few rows for each feature).

    Parameters
    ----------
    n_resamples : int, default 1000
        The number of draws, from 20 to 1,000,000.
    blocks : int, default 32
        As in `Jackknife`.
    confidence : float, default 0.95
        As in `Jackknife`.
    seed : int, default 0
        Seed of the draws.
    kind : {"bca", "percentile"}, default "bca"
        ``"bca"``: percentiles corrected for bias and skewness, accurate to second order; ``"percentile"``: plain
        quantiles.

    Raises
    ------
    OptionError
        If an option is outside its domain.

    References
    ----------
    Efron & Tibshirani (1993), chapters 13 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 8))
    >>> Y = X + rng.standard_normal((400, 8))
    >>> score = rs.compare(X, Y, rs.LinearCKA(), interval=rs.Bootstrap(n_resamples=200))
    >>> round(score.value, 4), tuple(round(end, 4) for end in score.interval)
    (0.5084, (0.4857, 0.5256))
    """

    n_resamples: int = 1000
    blocks: int = 32
    confidence: float = 0.95
    seed: int = 0
    kind: str = "bca"

    def __post_init__(self) -> None:
        _check_whole(self, "n_resamples", 20, 10**6)
        _check_whole(self, "blocks", 2, _MOST_BLOCKS)
        _check_whole(self, "seed", 0, 2**63)
        _check_confidence(type(self).__name__, self.confidence)
        if self.kind not in _KINDS:
            raise OptionError(f"Bootstrap: kind must be one of {', '.join(_KINDS)}: got {self.kind!r}.")


def bootstrap_weights(n_blocks: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each resample draws each block: (n_resamples, n_blocks), whole numbers with row sums n_blocks.

    Resample k of a seed does not depend on n_resamples.
    """
    drawn = np.random.default_rng(seed).integers(0, n_blocks, size=(n_resamples, n_blocks))
    flat = np.arange(n_resamples)[:, None] * n_blocks + drawn
    counts = np.bincount(flat.ravel(), minlength=n_resamples * n_blocks)
    return counts.reshape(n_resamples, n_blocks).astype(np.float64)


def jackknife_weights(n_blocks: int) -> np.ndarray:
    """Row s counts every block once, except block s: (n_blocks, n_blocks)."""
    return 1.0 - np.eye(n_blocks)


def t_quantile(confidence: float, dof: float) -> float:
    """The t with P(|T| < t) = confidence for Student's T with ``dof`` degrees of freedom."""
    from scipy.special import stdtrit

    return -float(stdtrit(dof, (1 - confidence) / 2))


def jackknife_standard_error(without_block: np.ndarray) -> float:
    """sqrt((S - 1) / S sum_s (t_s - mean t)^2) of the values t_s without block s."""
    values = finite_values(without_block, "the values without each block")
    return math.sqrt((len(values) - 1) / len(values) * float(np.sum(np.square(values - values.mean()))))


def degrees_of_freedom(without_block: np.ndarray) -> float:
    """Those of the squared jackknife standard error, by Satterthwaite: see `Jackknife`.

    The variance of a variance of S values with kurtosis k is (k - 1) / S times its square, that of chi^2 / f with f
    degrees of freedom 2 / f.
    """
    values = finite_values(without_block, "the values without each block")
    deviation = values - values.mean()
    largest = float(np.abs(deviation).max())
    squares = np.square(deviation / largest if largest > 0 else deviation)  # fourth powers would underflow
    n, total = len(values), float(squares.sum())
    excess = n * float(np.square(squares).sum()) - total**2  # (k - 1) times the square of total
    return n - 1.0 if excess * (n - 1) <= 2 * n * total**2 else 2 * n * total**2 / excess


def jackknife_interval(
    value: float, without_block: np.ndarray, confidence: float = 0.95, *, fisher: bool = False
) -> Interval:
    """value -+ t SE; with ``fisher`` that of arctanh(value), mapped back, if all values are between -1 and 1."""
    _check_confidence("an interval", confidence)
    if fisher and max(abs(value), float(np.abs(without_block).max())) < 1:
        low, high = jackknife_interval(math.atanh(value), np.arctanh(without_block), confidence)
        return math.tanh(low), math.tanh(high)
    half = t_quantile(confidence, degrees_of_freedom(without_block)) * jackknife_standard_error(without_block)
    return value - half, value + half


def percentile_interval(replicates: np.ndarray, confidence: float = 0.95) -> Interval:
    """The quantiles (1 - confidence) / 2 and (1 + confidence) / 2 of the bootstrap replicates."""
    _check_confidence("an interval", confidence)
    return _quantiles(finite_values(replicates, "replicates"), (1 - confidence) / 2, (1 + confidence) / 2)


def bca_interval(value: float, replicates: np.ndarray, without_block: np.ndarray, confidence: float = 0.95) -> Interval:
    """Bias-corrected and accelerated percentiles (Efron & Tibshirani 1993, equations 14.9 to 14.15).

    The bias correction is z0 = Phi^-1 of the fraction of replicates below the value (those equal to it count half). The
    acceleration is a = sum d^3 / (6 (sum d^2)^1.5) with d = mean t - t_s of the values t_s without block s.

    Raises DegenerateError if the value lies outside the percentile interval of its replicates (repeated blocks bias
    them), or if the acceleration is so large that the percentiles do not exist (one block dominates).
    """
    _check_confidence("an interval", confidence)
    values = finite_values(replicates, "replicates")
    left = finite_values(without_block, "the values without each block")
    below = (np.count_nonzero(values < value) + 0.5 * np.count_nonzero(values == value)) / len(values)
    tail = (1 - confidence) / 2
    if not tail < below < 1 - tail:
        raise DegenerateError(
            f"a BCa interval needs the value within the percentile interval of its replicates: a fraction of "
            f"{below:.3g} of them lies below it. Use the jackknife, or more rows for each feature."
        )
    deviation = left.mean() - left
    squares = float(np.sum(deviation**2))
    # scaled first: cubes of differences near 1e-110 would underflow to 0
    scaled = deviation / math.sqrt(squares) if squares > 0 else deviation
    a, z0 = float(np.sum(scaled**3)) / 6, _NORMAL.inv_cdf(below)

    def corrected(z: float) -> float:
        if not a * (z0 + z) < 1:
            raise DegenerateError(
                f"a BCa interval needs blocks of similar influence: one block dominates (acceleration {a:.3g}). "
                "Use the jackknife, or more blocks."
            )
        return _NORMAL.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))

    z = _NORMAL.inv_cdf(1 - tail)
    return _quantiles(values, corrected(-z), corrected(z))


def interval_of(
    plan: Bootstrap | Jackknife,
    value: float,
    without_block: np.ndarray,
    replicates: np.ndarray | None,
    limits: tuple[float, float] = (-math.inf, math.inf),
    *,
    fisher: bool = False,
) -> tuple[Interval, Mapping[str, Any]]:
    """The interval that ``plan`` describes, clipped to ``limits``, and its ``details["interval"]``.

    Without ``replicates`` it is a jackknife interval. Where the value itself lies outside the limits (debiased
    estimates can), the interval is clipped at the value.
    """
    details: dict[str, Any] = {"kind": "jackknife", "confidence": plan.confidence, "blocks": len(without_block)}
    if isinstance(plan, Bootstrap) and replicates is not None:
        details |= {"kind": plan.kind, "n_resamples": len(replicates), "seed": plan.seed}
        details["bias"] = float(np.mean(replicates)) - value
        details["standard_error"] = float(np.std(replicates, ddof=1))
        try:
            if plan.kind == "bca":
                interval = bca_interval(value, replicates, without_block, plan.confidence)
            else:
                interval = percentile_interval(replicates, plan.confidence)
        except DegenerateError as error:
            interval = jackknife_interval(value, without_block, plan.confidence, fisher=fisher)
            details |= {"kind": "jackknife", "reason": str(error)}
    else:
        interval = jackknife_interval(value, without_block, plan.confidence, fisher=fisher)
        if isinstance(plan, Bootstrap):
            details["reason"] = "repeated rows would bias this estimator, or its sums are not kept per block"
    if details["kind"] == "jackknife":
        details["standard_error"] = jackknife_standard_error(without_block)
    details["without_block"] = np.asarray(without_block, dtype=np.float64)
    low, high = limits
    return (max(interval[0], min(low, value)), min(interval[1], max(high, value))), details


def spread_interval(values: np.ndarray, *, band: str = "t", confidence: float = 0.95) -> Interval:
    """A band for the values of several seeds or draws.

    ``"t"``: mean -+ t s / sqrt(k), an interval for the mean of all possible seeds; ``"sd"``: mean -+ s; ``"range"``:
    the smallest and the largest value.
    """
    array = finite_values(values, "values of seeds or draws")
    if band == "range":
        return float(array.min()), float(array.max())
    if band not in ("t", "sd"):
        raise OptionError(f"band must be one of t, sd, range: got {band!r}.")
    half = float(np.std(array, ddof=1))
    if band == "t":
        _check_confidence("a band", confidence)
        half *= t_quantile(confidence, len(array) - 1) / math.sqrt(len(array))
    mean = float(np.mean(array))
    return mean - half, mean + half


def _quantiles(values: np.ndarray, low: float, high: float) -> Interval:
    ends = np.quantile(values, [low, high])
    return float(ends[0]), float(ends[1])


def finite_values(values: Any, name: str, least: int = 2) -> np.ndarray:
    """The values as a float64 array, or ShapeError unless they are at least ``least`` finite numbers."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least or not np.isfinite(array).all():
        raise ShapeError(f"{name} must be a vector of at least {least} finite numbers: got shape {array.shape}.")
    return array


def _check_whole(plan: Bootstrap | Jackknife, option: str, least: int, most: int) -> None:
    value = getattr(plan, option)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise OptionError(
            f"{type(plan).__name__}: {option} must be a whole number from {least} to {most}: got {value!r}."
        )


def _check_confidence(of: str, confidence: float) -> None:
    is_number = isinstance(confidence, int | float | np.floating) and not isinstance(confidence, bool)
    if not is_number or not 0 < confidence < 1:
        raise OptionError(f"{of}: confidence must be a fraction between 0 and 1, such as 0.95: got {confidence!r}.")
