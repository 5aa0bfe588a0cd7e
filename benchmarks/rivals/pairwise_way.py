"""Comparisons of all pairs of rows in other libraries, each run in a separate process.

Each returns the values from which its error is computed: a correlation, distances among the first rows, or neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.rivals.one import main

FEW, K = 200, 10
"""Number of rows whose distances are kept to compute the error, and number of neighbours."""


def _pearson(a: Any, b: Any) -> np.ndarray:
    return np.asarray(np.corrcoef(a, b)[0, 1])


def _upper(square: np.ndarray) -> np.ndarray:
    return square[np.triu_indices(len(square), 1)]


def euclidean_pearson_scipy(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist

    return _pearson(pdist(X, "euclidean"), pdist(Y, "euclidean"))


def euclidean_pearson_torch(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    import torch

    upper = [torch.nn.functional.pdist(torch.from_numpy(A)) for A in (X, Y)]
    return np.asarray(torch.corrcoef(torch.stack(upper))[0, 1])


def euclidean_pearson_cdist(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """torch.cdist, which computes the n x n matrix by a matrix product."""
    import torch

    squares = [torch.cdist(torch.from_numpy(A), torch.from_numpy(A)) for A in (X, Y)]
    above = torch.triu_indices(len(X), len(X), 1)
    return np.asarray(torch.corrcoef(torch.stack([square[above[0], above[1]] for square in squares]))[0, 1])


def euclidean_pearson_keops(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Row sums of D, D^2 and D E with lazy tensors, without an n x n matrix."""
    from pykeops.numpy import LazyTensor

    def lazy(A: np.ndarray) -> Any:
        return ((LazyTensor(A[:, None, :]) - LazyTensor(A[None, :, :])) ** 2).sum(-1).sqrt()

    D, E = lazy(X), lazy(Y)
    s1, s2, s11, s22, s12 = (float(v.sum(1).sum(dtype=np.float64)) for v in (D, E, D * D, E * E, D * E))
    pairs = len(X) * (len(X) - 1)
    return np.asarray((pairs * s12 - s1 * s2) / np.sqrt((pairs * s11 - s1**2) * (pairs * s22 - s2**2)))


def cosine_spearman_numpy(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = []
    for A in (X, Y):
        unit = A / np.linalg.norm(A, axis=1, keepdims=True)
        ranks.append(rankdata(_upper(1.0 - unit @ unit.T)))
    return _pearson(*ranks)


def correlation_pearson_numpy(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return _pearson(_upper(1.0 - np.corrcoef(X)), _upper(1.0 - np.corrcoef(Y)))


def correlation_pearson_rsatoolbox(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    return np.asarray(compare(*(calc_rdm(Dataset(A), method="correlation") for A in (X, Y)), method="corr")[0, 0])


def manhattan_scipy(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(X, "cityblock"))[:FEW, :FEW]


def manhattan_sklearn(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    from sklearn.metrics.pairwise import manhattan_distances

    return manhattan_distances(X)[:FEW, :FEW]


def manhattan_torch(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    import torch

    A = torch.from_numpy(X)
    return torch.cdist(A, A, p=1.0)[:FEW, :FEW].numpy()


def knn_sklearn(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(X).kneighbors(return_distance=False)


def knn_faiss(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    import faiss

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    return _without_self(index.search(X, K + 1)[1])


def knn_torch(X: np.ndarray, _: np.ndarray) -> np.ndarray:
    import torch

    A = torch.from_numpy(X)
    blocks = [torch.cdist(rows, A).topk(K + 1, largest=False).indices for rows in A.split(2048)]
    return _without_self(torch.cat(blocks).numpy())


def _without_self(neighbours: np.ndarray) -> np.ndarray:
    """Drop the row itself from its K + 1 nearest, or the last where a duplicate displaced it."""
    own = neighbours == np.arange(len(neighbours))[:, None]
    own[~own.any(axis=1), -1] = True
    return neighbours[~own].reshape(len(neighbours), -1)


WAYS = {
    name: way
    for name, way in list(globals().items())
    if name.startswith(("euclidean_", "cosine_", "correlation_", "manhattan_", "knn_"))
}
PACKAGES = {"sklearn": "scikit-learn", "keops": "pykeops", "faiss": "faiss-cpu", "cdist": "torch"}

if __name__ == "__main__":
    main(WAYS, PACKAGES)
