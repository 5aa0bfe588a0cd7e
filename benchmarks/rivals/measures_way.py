"""Measures of two representations in other libraries, each run in a separate process.

Libraries that compare models batch by batch get models whose only layer returns the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.rivals.one import main

BATCH = 256
N_DRAWS = 8
"""Number of estimates of the same value, from which the error of one estimate is computed."""


def cca_cca_zoo(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from cca_zoo.linear import CCA

    fitted = CCA(n_components=min(X.shape[1], Y.shape[1])).fit([X, Y])
    return np.asarray(np.mean(fitted.score([X, Y])))


def cka_repsim(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    import repsim

    return np.asarray(repsim.cka([X, Y], kernel_type="linear", estimator="gretton")[0, 1])


def debiased_pytorch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.asarray(_pytorch_cka(*_models(X, Y)))


def draws_pytorch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.asarray([_pytorch_cka(*_models(X, Y, order)) for order in _orders(len(X))])


def _pytorch_cka(models: list[Any], loader: Any) -> float:
    from cka import compute_cka

    return float(compute_cka(*models, loader, layers=["layer"], device="cpu", progress=False)[0][0, 0])


def debiased_pytorch_cka_whole(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """All rows at once, from both n x n Gram matrices."""
    import torch
    from cka import cka_from_features

    return np.asarray(cka_from_features(torch.from_numpy(X), torch.from_numpy(Y)))[0, 0]


def debiased_torch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.asarray(_torch_cka(*_models(X, Y)))


def draws_torch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.asarray([_torch_cka(*_models(X, Y, order)) for order in _orders(len(X))])


def _torch_cka(models: list[Any], loader: Any) -> float:
    from torch_cka import CKA

    compared = CKA(*models, "x", "y", ["layer"], ["layer"], device="cpu")
    compared.compare(loader)
    return float(compared.export()["CKA"][0, 0])


def _orders(n_rows: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).permutation(n_rows) for seed in range(N_DRAWS)]


def _models(X: np.ndarray, Y: np.ndarray, order: np.ndarray | None = None) -> tuple[list[Any], Any]:
    """Two models of one layer that return the rows of X and of Y, and a loader of batches in the given order."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self, columns: slice) -> None:
            super().__init__()
            self.columns, self.layer = columns, torch.nn.Identity()

        def forward(self, rows: Any) -> Any:
            return self.layer(rows[:, self.columns])

    both = torch.utils.data.TensorDataset(torch.from_numpy(np.hstack([X, Y])))
    halves = [Half(slice(0, X.shape[1])), Half(slice(X.shape[1], None))]
    return halves, torch.utils.data.DataLoader(both, batch_size=BATCH, sampler=order)


WAYS = {name: way for name, way in list(globals().items()) if name.startswith(("cca_", "cka_", "debiased_", "draws_"))}
PACKAGES = {
    "cca_zoo": "cca-zoo",
    "pytorch_cka": "pytorch-cka",
    "pytorch_cka_whole": "pytorch-cka",
    "torch_cka": "torch-cka",
}

if __name__ == "__main__":
    main(WAYS, PACKAGES)
