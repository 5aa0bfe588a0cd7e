"""Intervals from blocks of documents: bootstrap, jackknife, permutation p-values, spread over runs.

Rows of one document are not independent; documents are. All functions here take numbers and give numbers: what the
numbers are statistics of is not their business. ``without`` (S,) always holds the values without each of S blocks.

References: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapters 11 (jackknife), 13 (percentile) and 14
(BCa); Field & Welsh (2007), JRSS B 69(3) (whole clusters are drawn); Phipson & Smyth (2010), SAGMB 9(1):39 (p-values
are never 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError, ShapeError
from .student import t_quantile

__all__ = [
    "Bootstrap",
    "Jackknife",
    "bca_interval",
    "bootstrap_weights",
    "interval_of",
    "jackknife_interval",
    "jackknife_standard_error",
    "jackknife_weights",
    "max_statistic_p",
    "percentile_interval",
    "permutation_p",
    "spread_interval",
]

Interval = tuple[float, float]
_NORMAL = NormalDist()
_KINDS = ("bca", "percentile")
_MOST_BLOCKS = 4096


@dataclass(frozen=True, kw_only=True)
class Jackknife:
    """Delete-one-block jackknife: value -+ t SE, t of Student's distribution with S - 1 degrees of freedom.

    SE^2 = (S - 1) / S sum_s (value without block s - their mean)^2. S + 1 evaluations, and right for estimators that
    repeated rows would bias (debiased CKA).

    blocks : S, the most blocks of whole documents to cut the rows into; 16 to 64 do. With fewer documents each is one.
    level : the probability with which such intervals hold the truth.

    Reference: Efron & Tibshirani (1993), equation 11.5.
    """

    blocks: int = 32
    level: float = 0.95

    def __post_init__(self) -> None:
        _check_whole(self, "blocks", 2, _MOST_BLOCKS)
        _check_level(type(self).__name__, self.level)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Bootstrap of blocks of documents: S blocks drawn with replacement, the value of the rows drawn, many times.

    replicates : how many times. blocks, level : see `Jackknife`. seed : of the draws; one seed gives one interval,
        whatever the threads or chunks, and all layers and measures share the draws.
    kind : ``"bca"``: percentiles corrected for bias and skewness, accurate to second order; ``"percentile"``: plain
        quantiles of the replicates.

    Where repeated rows bias an estimator the jackknife is used instead, and ``details`` says so: debiased estimators
    by their kind, and under ``"bca"`` any whose value lies outside its own percentile interval (CCA of few rows).
    """

    replicates: int = 1000
    blocks: int = 32
    level: float = 0.95
    seed: int = 0
    kind: str = "bca"

    def __post_init__(self) -> None:
        _check_whole(self, "replicates", 20, 10**6)
        _check_whole(self, "blocks", 2, _MOST_BLOCKS)
        _check_whole(self, "seed", 0, 2**63)
        _check_level(type(self).__name__, self.level)
        if self.kind not in _KINDS:
            raise OptionError(f"Bootstrap: kind must be one of {', '.join(_KINDS)}: got {self.kind!r}.")


def bootstrap_weights(n_blocks: int, replicates: int, seed: int) -> np.ndarray:
    """How often each replicate draws each block: (replicates, n_blocks), whole numbers, rows of sum n_blocks.

    Replicate k of a seed is the same whatever the number of replicates.
    """
    drawn = np.random.default_rng(seed).integers(0, n_blocks, size=(replicates, n_blocks))
    flat = np.arange(replicates)[:, None] * n_blocks + drawn
    counts = np.bincount(flat.ravel(), minlength=replicates * n_blocks)
    return counts.reshape(replicates, n_blocks).astype(np.float64)


def jackknife_weights(n_blocks: int) -> np.ndarray:
    """Every block once but the s-th, for each s: (n_blocks, n_blocks)."""
    return 1.0 - np.eye(n_blocks)


def jackknife_standard_error(without: np.ndarray) -> float:
    """sqrt((S - 1) / S sum_s (t_s - mean t)^2) of the values t_s without block s."""
    values = _values(without, "the values without each block")
    return math.sqrt((len(values) - 1) / len(values) * float(np.sum(np.square(values - values.mean()))))


def jackknife_interval(value: float, without: np.ndarray, level: float = 0.95) -> Interval:
    """value -+ t SE: see `Jackknife`."""
    _check_level("an interval", level)
    half = t_quantile(level, len(without) - 1) * jackknife_standard_error(without)
    return value - half, value + half


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> Interval:
    """The quantiles (1 - level) / 2 and (1 + level) / 2 of the replicates."""
    _check_level("an interval", level)
    return _quantiles(_values(replicates, "replicates"), (1 - level) / 2, (1 + level) / 2)


def bca_interval(value: float, replicates: np.ndarray, without: np.ndarray, level: float = 0.95) -> Interval:
    """Bias-corrected and accelerated percentiles (Efron & Tibshirani 1993, equations 14.9 to 14.15).

    The bias correction is z0 = Phi^-1 of the fraction of replicates below the value (those equal to it count half), the
    acceleration a = sum d^3 / (6 (sum d^2)^1.5) with d = mean t - t_s of the values t_s without block s.

    Raises DegenerateError where the value lies outside the percentile interval of its replicates, or the acceleration
    is too great for percentiles to exist: then copies of blocks have biased the replicates, or one block rules.
    """
    _check_level("an interval", level)
    values, left = _values(replicates, "replicates"), _values(without, "the values without each block")
    below = (np.count_nonzero(values < value) + 0.5 * np.count_nonzero(values == value)) / len(values)
    tail = (1 - level) / 2
    if not tail < below < 1 - tail:
        raise DegenerateError(
            f"a BCa interval needs the value within the percentile interval of its replicates: {below:.3g} of them lie "
            "below it. Use the jackknife, or more rows for each feature."
        )
    apart = left.mean() - left
    squares = float(np.sum(apart**2))
    # scaled first: cubes of differences near 1e-110 are 0
    scaled = apart / math.sqrt(squares) if squares > 0 else apart
    a, z0 = float(np.sum(scaled**3)) / 6, _NORMAL.inv_cdf(below)

    def corrected(z: float) -> float:
        if not a * (z0 + z) < 1:
            raise DegenerateError(
                f"a BCa interval needs blocks of which none rules the value: the acceleration is {a:.3g}. "
                "Use the jackknife, or more blocks."
            )
        return _NORMAL.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))

    z = _NORMAL.inv_cdf(1 - tail)
    return _quantiles(values, corrected(-z), corrected(z))


def interval_of(
    plan: Bootstrap | Jackknife,
    value: float,
    without: np.ndarray,
    replicates: np.ndarray | None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[Interval, Mapping[str, Any]]:
    """The interval that ``plan`` asks for, cut to the measure's range, and what to record of it.

    Without ``replicates`` the jackknife gives it.
    """
    about: dict[str, Any] = {"kind": "jackknife", "level": plan.level, "blocks": len(without)}
    if isinstance(plan, Bootstrap) and replicates is not None:
        about |= {"kind": plan.kind, "replicates": len(replicates), "seed": plan.seed}
        about["bias"] = float(np.mean(replicates)) - value
        about["standard_error"] = float(np.std(replicates, ddof=1))
        try:
            if plan.kind == "bca":
                found = bca_interval(value, replicates, without, plan.level)
            else:
                found = percentile_interval(replicates, plan.level)
        except DegenerateError as error:
            found = jackknife_interval(value, without, plan.level)
            about |= {"kind": "jackknife", "why": str(error)}
    else:
        found = jackknife_interval(value, without, plan.level)
        if isinstance(plan, Bootstrap):
            about["why"] = "repeated rows would bias this estimator, or its sums are not kept per block"
    if about["kind"] == "jackknife":
        about["standard_error"] = jackknife_standard_error(without)
    about["without_block"] = np.asarray(without, dtype=np.float64)
    low, high = limits  # a debiased estimate may pass the end of its range
    return (max(found[0], min(low, value)), min(found[1], max(high, value))), about


def permutation_p(observed: float, null: np.ndarray) -> float:
    """(1 + how many of the P null values are at least as large) / (P + 1), one-sided."""
    values = _values(null, "null values", 1)
    return (1 + int(np.count_nonzero(values >= observed))) / (len(values) + 1)


def max_statistic_p(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """p-values (L,) of L statistics against the largest of each permutation's L values, ``null`` (P, L).

    They hold for the best of the L picked after looking, and jointly for all (Westfall & Young 1993, single-step maxT),
    provided that the permutations are shared.
    """
    values = np.asarray(null, dtype=np.float64)
    if values.ndim != 2 or values.shape[1:] != np.shape(observed):
        raise ShapeError(
            f"null must have shape (permutations, {len(observed)}), a column for each statistic: got {values.shape}."
        )
    largest = values.max(axis=1)
    return np.array([permutation_p(float(one), largest) for one in observed])


def spread_interval(values: np.ndarray, *, band: str = "t", level: float = 0.95) -> Interval:
    """A band for values of several seeds or draws.

    ``"t"``: mean -+ t s / sqrt(k), for the mean over all seeds there could be; ``"sd"``: mean -+ s; ``"range"``: the
    lowest and the highest.
    """
    found = _values(values, "values of seeds or draws")
    if band == "range":
        return float(found.min()), float(found.max())
    if band not in ("t", "sd"):
        raise OptionError(f"band must be one of t, sd, range: got {band!r}.")
    half = float(np.std(found, ddof=1))
    if band == "t":
        _check_level("a band", level)
        half *= t_quantile(level, len(found) - 1) / math.sqrt(len(found))
    mean = float(np.mean(found))
    return mean - half, mean + half


def _quantiles(values: np.ndarray, low: float, high: float) -> Interval:
    found = np.quantile(values, [low, high])
    return float(found[0]), float(found[1])


def _values(values: Any, what: str, least: int = 2) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least or not np.isfinite(array).all():
        raise ShapeError(f"{what} must be at least {least} finite numbers in a row: got shape {array.shape}.")
    return array


def _check_whole(plan: Bootstrap | Jackknife, option: str, least: int, most: int) -> None:
    value = getattr(plan, option)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise OptionError(
            f"{type(plan).__name__}: {option} must be a whole number from {least} to {most}: got {value!r}."
        )


def _check_level(of: str, level: float) -> None:
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise OptionError(f"{of}: level must be a fraction between 0 and 1, such as 0.95: got {level!r}.")
