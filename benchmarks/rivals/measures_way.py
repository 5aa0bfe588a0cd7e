"""What other libraries make of two representations, each in a process of its own.

Those that compare models batch by batch are given models that hand out the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.rivals.one import main

BATCH = 256


def cca_cca_zoo(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from cca_zoo.linear import CCA

    fitted = CCA(n_components=min(X.shape[1], Y.shape[1])).fit([X, Y])
    return np.asarray(np.mean(fitted.score([X, Y])))


def cka_repsim(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    import repsim

    return np.asarray(repsim.cka([X, Y], kernel_type="linear", estimator="gretton")[0, 1])


def debiased_pytorch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from cka import compute_cka

    models, loader = _models(X, Y)
    return np.asarray(compute_cka(*models, loader, layers=["layer"], device="cpu", progress=False)[0])[0, 0]


def debiased_pytorch_cka_whole(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """All rows at once, by both n x n Gram matrices."""
    import torch
    from cka import cka_from_features

    return np.asarray(cka_from_features(torch.from_numpy(X), torch.from_numpy(Y)))[0, 0]


def debiased_torch_cka(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    from torch_cka import CKA

    models, loader = _models(X, Y)
    compared = CKA(*models, "x", "y", ["layer"], ["layer"], device="cpu")
    compared.compare(loader)
    return np.asarray(compared.export()["CKA"])[0, 0]


def _models(X: np.ndarray, Y: np.ndarray) -> tuple[list[Any], Any]:
    """Two models of one layer that hand out the rows of X and of Y, and the loader of their batches."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self, columns: slice) -> None:
            super().__init__()
            self.columns, self.layer = columns, torch.nn.Identity()

        def forward(self, rows: Any) -> Any:
            return self.layer(rows[:, self.columns])

    both = torch.utils.data.TensorDataset(torch.from_numpy(np.hstack([X, Y])))
    halves = [Half(slice(0, X.shape[1])), Half(slice(X.shape[1], None))]
    return halves, torch.utils.data.DataLoader(both, batch_size=BATCH)


WAYS = {name: way for name, way in list(globals().items()) if name.startswith(("cca_", "cka_", "debiased_"))}
PACKAGES = {
    "cca_zoo": "cca-zoo",
    "pytorch_cka": "pytorch-cka",
    "pytorch_cka_whole": "pytorch-cka",
    "torch_cka": "torch-cka",
}

if __name__ == "__main__":
    main(WAYS, PACKAGES)
