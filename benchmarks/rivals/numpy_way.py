"""The same quantities in plain NumPy, run in a separate process.

The process is separate because OpenBLAS reads OPENBLAS_CORETYPE only when it is loaded. The OpenBLAS of NumPy's wheels
uses kernels of older processors on some AMD processors; with OPENBLAS_CORETYPE=SkylakeX it uses its AVX-512 kernels.
Both are measured.
"""

from __future__ import annotations

import numpy as np

from benchmarks.rivals.one import main


def linear_cka(X: np.ndarray, Y: np.ndarray) -> float:
    """Feature-space form: centred data, then Frobenius norms of d x d products."""
    X = X - X.mean(axis=0)
    Y = Y - Y.mean(axis=0)
    cross = np.linalg.norm(Y.T @ X) ** 2
    return float(cross / (np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y)))


def svcca(X: np.ndarray, Y: np.ndarray, variance: float = 0.99) -> float:
    """SVCCA like google/svcca: SVD of the data of each side, then CCA from the joint covariance of the components."""
    kept = []
    for A in (X, Y):
        U, s, _ = np.linalg.svd((A - A.mean(axis=0)).T, full_matrices=False)
        k = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), variance)) + 1
        kept.append(s[:k, None] * (U[:, :k].T @ (A - A.mean(axis=0)).T) / s[:k, None])
    kx = len(kept[0])
    covariance = np.cov(kept[0], kept[1])
    xx, yy, xy = covariance[:kx, :kx], covariance[kx:, kx:], covariance[:kx, kx:]

    def inverse_root(S: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(S)
        return (vectors / np.sqrt(values)) @ vectors.T

    return float(np.mean(np.linalg.svd(inverse_root(xx) @ xy @ inverse_root(yy), compute_uv=False)))


def rsa_cosine(X: np.ndarray, Y: np.ndarray) -> float:
    """Correlation of the upper triangles of both n x n cosine matrices."""
    rows = []
    for A in (X, Y):
        unit = A / np.linalg.norm(A, axis=1, keepdims=True)
        rows.append((1.0 - unit @ unit.T)[np.triu_indices(len(A), 1)])
    return float(np.corrcoef(rows[0], rows[1])[0, 1])


def rsa_cosine_blocks(X: np.ndarray, Y: np.ndarray) -> float:
    """The same value from blocks of rows, for any number of rows: the reference for errors."""
    units = [A / np.linalg.norm(A, axis=1, keepdims=True) for A in (X, Y)]
    n, block = len(X), 512
    means = [1.0 - (float(np.sum(U.sum(axis=0) ** 2)) - n) / (n * (n - 1)) for U in units]
    sums = np.zeros((2, 2))
    for start in range(0, n, block):
        columns = np.arange(n)[None, :] > np.arange(start, min(start + block, n))[:, None]
        a, b = ((1.0 - U[start : start + block] @ U.T)[columns] - m for U, m in zip(units, means, strict=True))
        sums += [[a @ a, a @ b], [a @ b, b @ b]]
    return float(sums[0, 1] / np.sqrt(sums[0, 0] * sums[1, 1]))


WAYS = {
    "linear_cka_numpy": linear_cka,
    "svcca_numpy": svcca,
    "rsa_cosine_numpy": rsa_cosine,
    "rsa_cosine_blocks": rsa_cosine_blocks,
}

if __name__ == "__main__":
    main(WAYS, {"blocks": "numpy"})
