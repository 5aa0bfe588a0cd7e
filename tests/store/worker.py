"""A process that writes a store, for tests that kill it: it commits every missing shard and then seals."""

from __future__ import annotations

import sys

import numpy as np

from pyrepsim.core.errors import StoreError
from pyrepsim.store import StoreWriter
from tests.store.faults import injected

LAYERS = {"embeddings": 6, "layer.0": 4}
SHARD_ROWS = (40, 0, 30)
OFFSETS = (0, 40, 40)


def shard_of(number: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rows and activations of a shard: the same whoever asks."""
    n = SHARD_ROWS[number]
    at = OFFSETS[number] + np.arange(n)
    rows = {"doc_id": at // 9, "position": at % 9, "token_id": at * 7 % 101}
    rng = np.random.default_rng(number)
    return rows, {name: rng.standard_normal((n, width)).astype("f4") for name, width in LAYERS.items()}


def main(path: str, fault: str | None = None) -> None:
    with (
        injected(fault),
        StoreWriter.create(path, {"rows": {"texts": "t"}}, layers=LAYERS, shard_rows=SHARD_ROWS) as writer,
    ):
        for number in writer.missing():
            writer.commit(number, *shard_of(number))
        print(writer.seal(docs=[{"doc_id": 0, "key": "a"}]).digest)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except StoreError as error:
        sys.exit(f"StoreError: {error}")
