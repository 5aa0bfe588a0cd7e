"""Comparators of RDMs that need the Gram matrix of each: whitened cosines, Bures, Riemannian. Once an RDM."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.arrays import as_numpy
from ..core.errors import DegenerateError, DTypeError, NonFiniteError, ShapeError
from .rdm_stacks import Stack, Used, by_blocks

__all__ = ["bures", "bures_metric", "covariance_of_items", "entry_whitening", "neg_riem_dist", "riemannian"]

_EPSILON = 2.0**-53
_LEAST_RATIO = 1e-12
"""Smallest over largest eigenvalue of a matrix that is inverted."""
_SEARCH = np.linspace(-40.0, 40.0, 41)
"""Logarithms of the share of noise at which a minimum is looked for, relative to equal traces."""


def covariance_of_items(sigma_k: Any, n_items: int) -> np.ndarray | None:
    """The covariance of the items, (n, n): None, variances (n,), or a positive definite matrix, checked."""
    if sigma_k is None:
        return None
    given = as_numpy(sigma_k, "sigma_k")
    if given.dtype.kind not in "fiu":
        raise DTypeError(f"sigma_k must hold real numbers: got {given.dtype}.")
    if given.shape not in ((n_items,), (n_items, n_items)):
        raise ShapeError(
            f"sigma_k must hold the variances ({n_items},) or the covariance ({n_items}, {n_items}) of the items: got "
            f"shape {given.shape}."
        )
    sigma = given.astype(np.float64)
    sigma = np.diag(sigma) if sigma.ndim == 1 else sigma
    if not np.isfinite(sigma).all() or not np.allclose(sigma, sigma.T, rtol=1e-7, atol=0.0):
        raise NonFiniteError("sigma_k must be finite and symmetric: it is not. Pass a covariance matrix.")
    values = np.linalg.eigvalsh(sigma)
    if not values[0] > n_items * 2 * _EPSILON * values[-1]:
        raise DegenerateError(
            f"sigma_k must be positive definite: its smallest eigenvalue is {values[0]:.3g}, the largest "
            f"{values[-1]:.3g}. Shrink it, for example towards its diagonal."
        )
    return sigma


def entry_whitening(used: Used, sigma: np.ndarray | None, *, one_pair: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The map of entries (n_rdms, p) to vectors (n_rdms, q) whose products are c x^T V^-1 y, for a constant c > 0.

    V_(ij),(kl) = (S_ik - S_il - S_jk + S_jl)^2 is the covariance of the entries used, for items of covariance S.

    1. One pair, S = I, all entries: the Gram matrices, whose products are those.
    2. S diagonal: V = D + B diag(S_ii^2) B^T with D = diag(2 S_ii S_jj) and B the incidence of entries and items. By
       Woodbury's identity the vectors are the residuals of a weighted fit x_ij = t_i + t_j, and the t_i.
    3. Otherwise L^-1 G L^-T with S = L L^T and G = -P D P^T / 2, P = I - 1 w^T, w = S^-1 1 / 1^T S^-1 1. Entries that
       are missing are those that make x^T V^-1 x smallest.
    """
    n = used.n_items
    if sigma is None and used.keep is None and one_pair:
        return lambda rows: grams(rows, n).reshape(len(rows), -1)
    keep = np.ones(n * (n - 1) // 2, bool) if used.keep is None else used.keep
    if sigma is None or not np.any(sigma - np.diag(np.diag(sigma))):
        return _residuals(keep, np.ones(n) if sigma is None else np.diag(sigma))
    root = _centring(sigma)

    def of(rows: np.ndarray) -> np.ndarray:
        return (root @ _squares(rows, n) @ (root.T / -2)).reshape(len(rows), -1)

    fill = _filling(keep, root.T @ root)
    return lambda rows: by_blocks(of, fill(rows), n * n)


def grams(rows: np.ndarray, n: int) -> np.ndarray:
    """The centred Gram matrices -H D H / 2, (n_rdms, n, n)."""
    matrices = _squares(rows, n)
    means = matrices.mean(axis=1)
    centred = means[:, None, :] + means[:, :, None] - matrices
    return (centred - matrices.reshape(len(rows), -1).mean(axis=1)[:, None, None]) / 2


def _items(n: int, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two items of each entry used."""
    first, second = np.triu_indices(n, 1)
    return first[keep], second[keep]


def _squares(rows: np.ndarray, n: int, pair: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """Symmetric matrices (n_rdms, n, n) of these entries, 0 on the diagonal; `pair`: their two items, if not all."""
    matrices = np.zeros((len(rows), n, n))
    first, second = pair or np.triu_indices(n, 1)
    matrices[:, first, second] = rows
    matrices[:, second, first] = rows
    return matrices


def _centring(sigma: np.ndarray) -> np.ndarray:
    """L^-1 (I - 1 w^T)."""
    n = len(sigma)
    weights = np.linalg.solve(sigma, np.ones(n))
    return np.linalg.solve(np.linalg.cholesky(sigma), np.eye(n) - weights / weights.sum())


def _residuals(keep: np.ndarray, variances: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    n = len(variances)
    first, second = pair = _items(n, keep)
    weights = 1 / (2 * variances[first] * variances[second])
    square = _squares(weights[None], n, pair)[0]
    system = square + np.diag(square.sum(axis=1) + variances**-2)
    roots = np.sqrt(weights)

    def of(rows: np.ndarray) -> np.ndarray:
        items = np.linalg.solve(system, _squares(rows * weights, n, pair).sum(axis=2).T).T
        out = np.empty((len(rows), len(first) + n))
        residuals = out[:, :-n]
        np.subtract(rows, items.take(first, axis=1), out=residuals)
        residuals -= items.take(second, axis=1)
        residuals *= roots
        np.divide(items, variances, out=out[:, -n:])
        return out

    return lambda rows: by_blocks(of, rows, n * n)


def _filling(keep: np.ndarray, precision: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The map of entries used to all entries: the others make tr (W D W D), W the precision, smallest."""
    if keep.all():
        return lambda rows: rows
    n = len(precision)
    i, j = _items(n, ~keep)
    system = precision[np.ix_(i, i)] * precision[np.ix_(j, j)] + precision[np.ix_(i, j)] * precision[np.ix_(j, i)]

    def filled(rows: np.ndarray) -> np.ndarray:
        out = np.zeros((len(rows), len(keep)))
        out[:, keep] = rows
        gradient = by_blocks(lambda block: (precision @ _squares(block, n) @ precision)[:, i, j], out, n * n)
        out[:, ~keep] = -np.linalg.solve(system, gradient.T).T
        return out

    return filled


def bures(x: Stack, y: Stack, used: Used, *, clip_negative: bool) -> np.ndarray:
    """Normalised Bures similarity |A^1/2 B^1/2|_* / sqrt(tr A tr B)."""
    for stack in (x, y):
        _refuse_no_size(stack)
    of_x, of_y = (
        _Roots(stack, grams(stack.rows / _largest(stack.rows)[:, None], used.n_items), clip_negative)
        for stack in (x, y)
    )
    return _fidelities(of_x, of_y) / (of_x.sizes()[:, None] * of_y.sizes())


def bures_metric(x: Stack, y: Stack, used: Used, *, clip_negative: bool) -> np.ndarray:
    """tr A + tr B - 2 |A^1/2 B^1/2|_*, the squared Bures distance."""
    of_x, of_y = (_Roots(stack, grams(stack.rows, used.n_items), clip_negative) for stack in (x, y))
    values = of_x.traces[:, None] + of_y.traces - 2 * _fidelities(of_x, of_y)
    clipped = of_x.negative[:, None] | of_y.negative
    return np.where(clipped, values, np.maximum(values, 0.0))


class _Roots:
    """Roots R of the Gram matrices A = R R^T of a stack, negative eigenvalues counted as 0."""

    def __init__(self, stack: Stack, matrices: np.ndarray, clip_negative: bool) -> None:
        values, vectors = np.linalg.eigh(matrices)
        self.matrices = matrices
        self.traces = np.trace(matrices, axis1=1, axis2=2)
        self.negative = values[:, 0] < -1e-6 * values[:, -1]
        if not clip_negative:
            stack.refuse(
                self.negative,
                lambda who, row: (
                    f"compare='bures' needs squared Euclidean distances: the Gram matrix of {who} has the eigenvalue "
                    f"{values[row, 0]:.3g}, and the largest is {values[row, -1]:.3g}. Use metric='sqeuclidean', "
                    "another comparator, or clip_negative=True."
                ),
            )
        self.roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        self._stack = stack

    def sizes(self) -> np.ndarray:
        """Roots of the traces; 1 for RDMs without a value."""
        norms = np.array([np.linalg.norm(root) for root in self.roots])
        sizes = np.where(self.negative, np.sqrt(np.maximum(self.traces, 0.0)), norms)
        return self._stack.or_one(sizes)


def _fidelities(x: _Roots, y: _Roots) -> np.ndarray:
    """|A^1/2 B^1/2|_* = tr sqrt(A^1/2 B A^1/2), (a, b)."""
    out = np.empty((len(x.roots), len(y.roots)))
    for row, root in enumerate(x.roots):
        out[row] = np.linalg.svd(root.T @ y.roots, compute_uv=False).sum(axis=1)
        if y.negative.any():  # A^1/2 B A^1/2 is no product of a matrix with its transpose
            values = np.linalg.eigvalsh(root.T @ y.matrices[y.negative] @ root)
            out[row, y.negative] = np.sqrt(np.maximum(values, 0.0)).sum(axis=1)
    return out


def _refuse_no_size(stack: Stack) -> None:
    """The trace of the Gram matrix is the sum of the entries over n; it must be positive beyond its rounding error."""
    stack.refuse(
        ~stack.rows.any(axis=1),
        lambda who, _: f"an RDM must have entries other than zero: all entries of {who} are 0. Pass other rows.",
    )
    rows = stack.rows / _largest(stack.rows)[:, None]
    bound = rows.shape[1] * _EPSILON * np.abs(rows).sum(axis=1)
    stack.refuse(
        ~(rows.sum(axis=1) > bound),
        lambda who, _: (
            f"compare='bures' needs distances with a positive sum: that of {who} is not (crossnobis estimates may be "
            "negative). Use another comparator."
        ),
    )


def _largest(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1)
    return np.where(largest == 0, 1.0, largest)


def riemannian(x: Stack, y: Stack, used: Used) -> np.ndarray:
    """Affine-invariant distance sqrt(sum log^2 lambda(A^-1 B)) on the vectors that sum to 0."""
    basis = _contrasts(used.n_items)
    of_x, of_y = (basis.T @ grams(stack.rows, used.n_items) @ basis for stack in (x, y))
    values, vectors = _definite(x, of_x)
    _definite(y, of_y)
    whiten = vectors / np.sqrt(values)[:, None, :]
    out = np.full((len(of_x), len(of_y)), np.nan)
    good = y.good
    for row in x.good:
        products = whiten[row].T @ of_y[good] @ whiten[row]
        out[row, good] = np.sqrt(np.sum(np.log(np.linalg.eigvalsh(products)) ** 2, axis=1))
    return out


def neg_riem_dist(x: Stack, y: Stack, used: Used, sigma: np.ndarray | None) -> np.ndarray:
    """- min over s, t of the Riemannian distance of exp(s) A + exp(t) S and B.

    The best factor of a sum A + exp(u) S is that which makes the logarithms of the eigenvalues sum to 0, so the search
    is over u alone: on a grid, then around its best point.
    """
    basis = _contrasts(used.n_items)
    of_x, of_y = (basis.T @ grams(stack.rows, used.n_items) @ basis for stack in (x, y))
    noise = basis.T @ (np.eye(used.n_items) if sigma is None else sigma) @ basis
    x.refuse(
        ~(np.trace(of_x, axis1=1, axis2=2) > 0),
        lambda who, _: (
            f"compare='neg_riem_dist' needs distances with a positive sum: that of {who} is not. Use another one."
        ),
    )
    values, vectors = _definite(y, of_y)
    whiten = vectors / np.sqrt(values)[:, None, :]
    out = np.full((len(of_x), len(of_y)), np.nan)
    for column in y.good:
        own_noise = whiten[column].T @ noise @ whiten[column]
        for row in x.good:
            out[row, column] = -_least_distance(whiten[column].T @ of_x[row] @ whiten[column], own_noise)
    return out


def _least_distance(a: np.ndarray, noise: np.ndarray) -> float:
    """min over s, t of the Riemannian distance of exp(s) a + exp(t) noise and I, to about 1e-8."""
    from scipy.optimize import minimize_scalar

    def squared(u: np.ndarray) -> np.ndarray:
        values = np.linalg.eigvalsh(a + np.exp(u)[..., None, None] * noise)
        definite = values[..., 0] > _LEAST_RATIO * values[..., -1]
        logs = np.log(np.where(definite[..., None], values, 1.0))
        return np.where(definite, np.sum((logs - logs.mean(axis=-1, keepdims=True)) ** 2, axis=-1), np.inf)

    at = np.log(np.trace(a) / np.trace(noise)) + _SEARCH
    found = squared(at)
    best = int(np.argmin(found))
    bracket = at[max(best - 1, 0)], at[min(best + 1, len(at) - 1)]
    refined: Any = minimize_scalar(
        lambda u: float(squared(np.float64(u))), bounds=bracket, method="bounded", options={"xatol": 1e-9}
    )
    return math.sqrt(min(float(found[best]), float(refined.fun)))


def _contrasts(n: int) -> np.ndarray:
    """(n, n - 1): an orthonormal basis of the vectors that sum to 0."""
    return np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, : n - 1]]))[0][:, 1:]


def _definite(stack: Stack, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of matrices of full rank; those of others are refused, and their eigenvalues set to 1."""
    values, vectors = np.linalg.eigh(matrices)
    least = values[:, 0] / np.maximum(values[:, -1], 1e-300)
    stack.refuse(
        ~(least > _LEAST_RATIO),
        lambda who, row: (
            f"the Riemannian distance needs Gram matrices of full rank: the smallest eigenvalue of that of {who} is "
            f"{least[row]:.3g} of the largest. Use fewer items than features, or compare='bures'."
        ),
    )
    if stack.bad is not None:
        values[stack.bad] = 1.0
    return values, vectors
