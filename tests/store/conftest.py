"""A small store with awkward edges, and ways to spoil one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.store import ActivationStore, RowFlag, write_store

N_ROWS = 50
SHARD_ROWS = [20, 0, 17, 13]


@pytest.fixture
def arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two layers of other widths; the second with an offset and a rogue dimension."""
    first = rng.standard_normal((N_ROWS, 5)).astype(np.float32)
    second = 3.0 + rng.standard_normal((N_ROWS, 8)).astype(np.float32)
    second[:, 2] *= 50
    return {"embeddings": first, "layer.0": second}


@pytest.fixture
def rows(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Documents of seven tokens, the first and the last of each special."""
    position = np.arange(N_ROWS) % 7
    special = np.where((position == 0) | (position == 6), RowFlag.SPECIAL, 0)
    token_id = rng.integers(0, 30_000, N_ROWS)
    return {"doc_id": np.arange(N_ROWS) // 7, "position": position, "token_id": token_id, "flags": special}


@pytest.fixture
def make_store(tmp_path: Path, arrays: dict, rows: dict) -> Callable[..., ActivationStore]:
    """``write_store`` of the two layers, with any argument replaced."""

    def make(name: str = "store", layers: dict | None = None, **options) -> ActivationStore:
        options = {"rows": rows, "shard_rows": SHARD_ROWS} | options
        return write_store(tmp_path / name, layers or arrays, **options)

    return make


@pytest.fixture
def store(make_store: Callable[..., ActivationStore]) -> ActivationStore:
    return make_store()


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, with its bytes."""

    def read(root: Path) -> dict[str, bytes]:
        found = {}
        for where, _, names in os.walk(root):
            for name in names:
                path = Path(where) / name
                found[str(path.relative_to(root))] = path.read_bytes()
        return found

    return read


@pytest.fixture
def flip() -> Callable[..., None]:
    """Change one bit of a file, by default in the middle of its second half."""

    def spoil(path: Path, at: int | None = None) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) * 3 // 4 if at is None else at] ^= 1
        path.write_bytes(data)

    return spoil
