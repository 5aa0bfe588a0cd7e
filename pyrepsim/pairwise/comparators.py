"""Similarity of two RDMs in memory: every comparator by its definition, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.arrays import as_numpy
from ..core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from .distances import n_rows_of, square_matrix
from .engine import PairwiseEngine
from .ranks import rho_a, spearman, tau_a, tau_b
from .sums import cosine_from

__all__ = ["COMPARATORS", "compare_rdms"]


def compare_rdms(
    a: Any, b: Any, compare: str = "pearson", *, backend: str = "auto", n_threads: int | None = None
) -> float:
    """Compare two RDMs of the same n items.

    Parameters
    ----------
    a, b : array of shape (n, n) or (n (n - 1) / 2,)
        Square, or condensed (i < j, row by row).
    compare : str, default "pearson"
        ``"pearson"``, ``"cosine"``: correlation or cosine of the n (n - 1) / 2 entries.
        ``"spearman"``: Pearson correlation of the mid-ranks.
        ``"rho-a"``: its expectation when ties are broken at random, 12 sum r s / (P^3 - P) - 3 (P + 1) / (P - 1) with
        ranks r and s of P entries.
        ``"kendall"`` or ``"tau-b"``, ``"tau-a"``: rank correlation by concordant pairs, with and without correction for
        ties.
        ``"cosine_cov"``: cosine whitened by the covariance of the entries under independent noise, equal to the cosine
        of H D H and H E H with H = I - 11^T / n. ``"corr_cov"``: the same after subtracting the mean entry of each RDM.
        ``"euclidean"``: |a - b|, a distance.
        ``"bures"``: normalised Bures similarity |A^1/2 B^1/2|_* / sqrt(tr A tr B) of the centred Gram matrices
        A = -H D H / 2, with the entries as squared distances.
        ``"riemannian"``: affine-invariant distance sqrt(sum log^2 lambda(A^-1 B)) on the vectors that sum to 0; for
        RDMs of full rank n - 1.
    backend, n_threads
        As in `PairwiseEngine`, for ranks.

    Returns
    -------
    float
        Correlations and cosines are in [-1, 1], ``"bures"`` in [0, 1], distances in [0, inf). All are symmetric.

    Raises
    ------
    OptionError
        For an unknown comparator.
    ShapeError, DTypeError, NonFiniteError
        For arrays that are not RDMs of the same items.
    DegenerateError
        For an RDM whose entries are all equal.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; Diedrichsen et al. (2020), arXiv:2007.02789
    (whitened comparators); Schuett et al. (2023), eLife 12:e82566, equation 11 (rho-a); Harvey et al. (2023),
    arXiv:2311.11436 (Bures); Shahbazi et al. (2021), NeuroImage 239 (Riemannian).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])
    >>> round(rs.compare_rdms(a, b, "pearson"), 4), rs.compare_rdms(a, b, "spearman")
    (0.9897, 1.0)
    """
    if compare not in COMPARATORS:
        raise OptionError(f"compare must be one of {', '.join(COMPARATORS)}: got {compare!r}.")
    x, y = _vector(a, "a"), _vector(b, "b")
    if len(x) != len(y):
        raise ShapeError(f"two RDMs must have the same number of entries: got {len(x)} and {len(y)}.")
    if compare in _BY_RANK:
        engine = PairwiseEngine(backend=backend, n_threads=n_threads)
        return _BY_RANK[compare](engine.backend, x, y, engine.n_threads)
    return COMPARATORS[compare](x, y)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return cosine_from(*_products(_centred(x), _centred(y)))


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    return cosine_from(*_products(_scaled(x), _scaled(y)))


def _cosine_cov(x: np.ndarray, y: np.ndarray) -> float:
    return cosine_from(*_products(_gram(_scaled(x)), _gram(_scaled(y))))


def _corr_cov(x: np.ndarray, y: np.ndarray) -> float:
    return cosine_from(*_products(_gram(_centred(x)), _gram(_centred(y))))


def _euclidean(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(x - y))


def _bures(x: np.ndarray, y: np.ndarray) -> float:
    a, b = (_root_of(_gram(_scaled(v))) for v in (x, y))
    singular = np.linalg.svd(a.T @ b, compute_uv=False)
    return float(singular.sum()) / float(np.linalg.norm(a) * np.linalg.norm(b))


def _riemannian(x: np.ndarray, y: np.ndarray) -> float:
    n = n_rows_of(x)
    basis = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, : n - 1]]))[0][:, 1:]
    a, b = (basis.T @ _gram(v) @ basis for v in (x, y))
    values, vectors = np.linalg.eigh(a)
    least = min(values[0] / max(values[-1], 1e-300), np.linalg.eigvalsh(b)[0] / max(np.linalg.norm(b, 2), 1e-300))
    if not least > 1e-12:
        raise DegenerateError(
            "the Riemannian distance needs Gram matrices of full rank: the smallest eigenvalue is "
            f"{least:.3g} of the largest. Use fewer items than features, or compare='bures'."
        )
    whiten = vectors / np.sqrt(values)
    return float(np.sqrt(np.sum(np.log(np.linalg.eigvalsh(whiten.T @ b @ whiten)) ** 2)))


_BY_RANK: dict[str, Callable[..., float]] = {
    "spearman": spearman,
    "rho-a": rho_a,
    "kendall": tau_b,
    "tau-b": tau_b,
    "tau-a": tau_a,
}
COMPARATORS: dict[str, Callable[..., float]] = {
    "pearson": _pearson,
    "cosine": _cosine,
    **_BY_RANK,
    "cosine_cov": _cosine_cov,
    "corr_cov": _corr_cov,
    "euclidean": _euclidean,
    "bures": _bures,
    "riemannian": _riemannian,
}


def _products(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    return float(np.sum(a * b)), float(np.sum(a * a)), float(np.sum(b * b))


def _scaled(x: np.ndarray) -> np.ndarray:
    """Divided by the largest magnitude, so that squares do not over- or underflow."""
    largest = float(np.abs(x).max())
    if largest == 0:
        raise DegenerateError("an RDM must have entries other than zero: all entries of one are 0. Pass other rows.")
    return x / largest


def _centred(x: np.ndarray) -> np.ndarray:
    scaled = _scaled(x)
    centred = scaled - scaled.mean()
    # the mean of P numbers of at most 1 is known up to (log2 P + 9) U by pairwise summation, and so is each difference
    if not float(np.abs(centred).max()) > (math.log2(len(x)) + 10) * 2.0**-53:
        raise DegenerateError(
            "the entries of an RDM must differ: those of one are all equal up to rounding. Pass other rows."
        )
    return centred


def _gram(x: np.ndarray) -> np.ndarray:
    """The centred Gram matrix -H D H / 2, (n, n)."""
    matrix = square_matrix(x, np.zeros(n_rows_of(x)))
    rows = matrix.mean(axis=0)
    return (rows + rows[:, None] - matrix - matrix.mean()) / 2


def _root_of(gram: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(gram)
    if values[0] < -1e-6 * values[-1]:
        raise DegenerateError(
            "compare='bures' needs squared Euclidean distances: the Gram matrix of these entries has the eigenvalue "
            f"{values[0]:.3g}, and the largest is {values[-1]:.3g}. Use metric='sqeuclidean', or another comparator."
        )
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _vector(rdm: Any, name: str) -> np.ndarray:
    given = as_numpy(rdm, name)
    if given.dtype.kind not in "fiu" and given.dtype.name != "bfloat16":
        raise DTypeError(f"{name} must hold real numbers: got {given.dtype}.")
    if given.ndim == 2 and given.shape[0] == given.shape[1] and given.shape[0] >= 2:
        size = np.abs(given[np.isfinite(given)]).max(initial=0)
        if not np.allclose(given, given.T, rtol=1e-5, atol=1e-6 * float(size), equal_nan=True):
            raise ShapeError(f"a square RDM must be symmetric: {name} is not. Pass its condensed form, i < j.")
        given = given[np.triu_indices(len(given), 1)]
    if given.ndim != 1 or len(given) == 0 or math.comb(n_rows_of(given), 2) != len(given):
        raise ShapeError(
            f"{name} must be an RDM, square (n, n) or condensed with n (n - 1) / 2 entries: got shape {given.shape}."
        )
    vector = given.astype(np.float64)
    if not np.isfinite(vector).all():
        raise NonFiniteError(f"{name} must be finite: it holds NaN or infinity. Leave those items out of both RDMs.")
    return vector
