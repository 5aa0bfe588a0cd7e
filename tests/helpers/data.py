"""Seeded pairs of representations, well posed and ill posed. CASES: one of each kind, read-only float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Case(NamedTuple):
    """A pair of representations and its known properties.

    well_posed: every closed-form measure is defined and well conditioned, so the tolerance is 1e-10; otherwise 1e-7, or
    a measure may raise an error. rank_x, rank_y: of the centred data. distinct_rho: canonical correlations are all
    equal or all different, so PWCCA is defined; if False, two correct programs may give different values.
    """

    X: np.ndarray
    Y: np.ndarray
    well_posed: bool
    rank_x: int
    rank_y: int
    distinct_rho: bool = True


def _mixing(rng: np.random.Generator, d: int, condition: float) -> np.ndarray:
    """Random (d, d) matrix with singular values from 1 down to 1 / condition."""
    left, _ = np.linalg.qr(rng.standard_normal((d, d)))
    right, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return (left * np.geomspace(1.0, 1.0 / condition, d)) @ right


def centred_frame(n: int, k: int, seed: int) -> np.ndarray:
    """k orthonormal columns that are orthogonal to the constant vector."""
    noise = np.random.default_rng(seed).standard_normal((n, k))
    return np.linalg.qr(np.hstack([np.ones((n, 1)), noise]))[0][:, 1:]


def known_correlations(
    n: int, d_x: int, d_y: int, rho: Sequence[float], *, condition: float = 3.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pair whose *sample* canonical correlations are rho (then zeros), to rounding times condition.

    Built from n-vectors that are orthonormal and orthogonal to the constant vector, mixed by invertible maps
    and shifted. Needs n > d_x + d_y and len(rho) <= min(d_x, d_y).
    """
    rng = np.random.default_rng(seed)
    rho = np.asarray(rho, dtype=np.float64)
    frame = centred_frame(n, d_x + d_y, seed)
    U, V = frame[:, :d_x], frame[:, d_x:].copy()
    k = len(rho)
    V[:, :k] = U[:, :k] * rho + V[:, :k] * np.sqrt(1 - rho**2)
    X = np.sqrt(n) * U @ _mixing(rng, d_x, condition) + rng.standard_normal(d_x)
    Y = np.sqrt(n) * V @ _mixing(rng, d_y, condition) + rng.standard_normal(d_y)
    return X, Y


def correlated_pair(
    n: int, d_x: int, d_y: int, *, shared: int = 6, noise: float = 0.7, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy views of `shared` latent variables, with feature means of about one standard deviation."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, shared))
    sides = []
    for d in (d_x, d_y):
        signal = latent @ rng.standard_normal((shared, d)) / np.sqrt(shared)
        sides.append(signal + noise * rng.standard_normal((n, d)) + rng.standard_normal(d))
    return sides[0], sides[1]


def rotation(d: int, seed: int = 0) -> np.ndarray:
    """Random orthogonal (d, d) matrix."""
    Q, R = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    return Q * np.sign(np.diag(R))


def invertible(d: int, condition: float = 10.0, seed: int = 0) -> np.ndarray:
    """Random invertible (d, d) matrix, neither orthogonal nor a multiple of it."""
    return _mixing(np.random.default_rng(seed), d, condition)


def duplicated_columns(X: np.ndarray, count: int) -> np.ndarray:
    """X with its first `count` columns repeated at the end, bit for bit."""
    return np.hstack([X, X[:, :count]])


def with_column(X: np.ndarray, index: int, value: float) -> np.ndarray:
    """X with an extra column of one value: 0, or a constant that binary floats cannot represent."""
    return np.insert(X, index, value, axis=1)


def rogue(X: np.ndarray, features: Sequence[int] = (1, 5, 9), ratio: float = 50.0) -> np.ndarray:
    """X with |mean| = ratio * sd in some features, as transformer layers have them."""
    X = X.copy()
    for sign, feature in zip(np.resize([1.0, -1.0], len(features)), features, strict=True):
        column = X[:, feature]
        X[:, feature] = column - column.mean() + sign * ratio * column.std(ddof=1)
    return X


def scaled_columns(X: np.ndarray, decades: float = 6.0, seed: int = 0) -> np.ndarray:
    """X with its columns in units from 10^(-decades/2) to 10^(decades/2), in random order."""
    scales = np.logspace(-decades / 2, decades / 2, X.shape[1])
    return X * np.random.default_rng(seed).permutation(scales)


def cast(X: np.ndarray, dtype: str) -> np.ndarray:
    """X in float64, float32, float16 or bfloat16 (of ml_dtypes). Give references the cast array, not X."""
    if dtype == "bfloat16":
        import ml_dtypes

        return X.astype(ml_dtypes.bfloat16)
    return X.astype(dtype)


def _build_cases() -> dict[str, Case]:
    cases: dict[str, Case] = {}

    def add(name, X, Y, *, well_posed, rank_x=None, rank_y=None, distinct_rho=True):
        for side in (X, Y):
            side.flags.writeable = False
        ranks = [given if given is not None else side.shape[1] for given, side in ((rank_x, X), (rank_y, Y))]
        cases[name] = Case(X, Y, well_posed, ranks[0], ranks[1], distinct_rho)

    X, Y = known_correlations(150, 7, 5, [0.95, 0.7, 0.4, 0.2, 0.05], seed=1)
    add("known", X, Y, well_posed=True)
    X, Y = correlated_pair(200, 12, 12, seed=2)
    add("equal_widths", X, Y, well_posed=True)
    X, Y = correlated_pair(203, 19, 11, seed=3)
    add("different_widths", X, Y, well_posed=True)
    X, Y = correlated_pair(120, 1, 9, seed=4)
    add("one_feature", X, Y, well_posed=False, rank_x=1)
    X, Y = correlated_pair(300, 16, 14, shared=3, noise=3.0, seed=5)
    add("nearly_independent", X, Y, well_posed=True)

    X, Y = correlated_pair(24, 40, 33, seed=6)
    add("fewer_rows_than_features", X, Y, well_posed=False, rank_x=23, rank_y=23)
    X, Y = correlated_pair(30, 20, 18, seed=7)
    add("ranks_overlap", X, Y, well_posed=False, distinct_rho=False)

    X, Y = correlated_pair(150, 10, 8, seed=8)
    add(
        "duplicated_columns",
        duplicated_columns(X, 4),
        duplicated_columns(Y, 2),
        well_posed=False,
        rank_x=10,
        rank_y=8,
    )
    add(
        "zero_columns",
        with_column(X, 3, 0.0),
        with_column(with_column(Y, 0, 0.0), 5, 0.0),
        well_posed=False,
        rank_x=10,
        rank_y=8,
    )
    add(
        "constant_columns",
        with_column(X, 2, 0.1),
        with_column(Y, 4, -1234.567),
        well_posed=False,
        rank_x=10,
        rank_y=8,
    )
    rng = np.random.default_rng(9)
    add("low_rank", X[:, :6] @ rng.standard_normal((6, 15)), Y, well_posed=False, rank_x=6)

    X, Y = correlated_pair(180, 12, 9, seed=10)
    add("offset_1e4", X + 1e4, Y - 1e4, well_posed=False)
    add("rogue", rogue(X), rogue(Y, features=(0, 4, 8)), well_posed=False)
    add("six_decades", scaled_columns(X, seed=11), scaled_columns(Y, seed=12), well_posed=False)
    add("tiny", X * 1e-30, Y * 1e-30, well_posed=False)
    add("huge", X * 1e30, Y * 1e30, well_posed=False)

    rng = np.random.default_rng(13)
    latent = rng.integers(0, 3, (140, 8))
    X = latent + rng.integers(0, 2, (140, 8)) + 1
    Y = latent[:, :6] + rng.integers(0, 2, (140, 6)) + 1
    X[:, 0], Y[:, 0] = X[:, 0] + 5, Y[:, 0] + 5  # no row is constant: metric="correlation" is defined
    add("integers_with_ties", X.astype(np.float64), Y.astype(np.float64), well_posed=True)
    add(
        "repeated_rows",
        np.repeat(X[:70], 2, axis=0).astype(np.float64),
        np.repeat(Y[:70], 2, axis=0) * 1.0,
        well_posed=True,
    )
    return cases


CASES = _build_cases()
WELL_POSED = {name: case for name, case in CASES.items() if case.well_posed}
