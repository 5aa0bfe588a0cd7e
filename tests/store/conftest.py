"""A small store with unusual sizes, and functions that damage it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core import json_files
from pyrepsim.core.errors import CorruptStoreError
from pyrepsim.store import ActivationStore, StoreWriter, TokenFlag, open_store, verify, write_store

N_ROWS = 50
SHARD_ROWS = [20, 0, 17, 13]


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is the business of test_crash.py; without it, a store takes a millisecond."""
    monkeypatch.setattr("pyrepsim.core.outputs._sync", lambda fd: None)


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
    special = np.where((position == 0) | (position == 6), TokenFlag.SPECIAL, 0)
    token_id = rng.integers(0, 30_000, N_ROWS)
    return {"doc_id": np.arange(N_ROWS) // 7, "position": position, "token_id": token_id, "flags": special}


@pytest.fixture
def make_store(tmp_path: Path, arrays: dict, rows: dict) -> Callable[..., ActivationStore]:
    """``write_store`` of the two layers, with any argument replaced."""

    def make(name: str = "store", layers: dict | None = None, **options) -> ActivationStore:
        options = {"columns": rows, "shard_rows": SHARD_ROWS} | options
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


def sealed_text(text: str | bytes) -> bytes:
    """Any text as a file with a true digest; the text is an object without its last brace."""
    data = text.encode() if isinstance(text, str) else text
    return data + b',\n "digest": "' + hashlib.sha256(data).hexdigest().encode() + b'"\n}\n'


@pytest.fixture
def forge(store):
    """Change a JSON file of the store and make every digest that depends on it true again."""

    def change(name: str, edit: Callable[[dict], object] | None = None, text: str | bytes | None = None) -> None:
        path = store.path / name
        body = json.loads(path.read_text())
        del body["digest"]
        if edit is not None:
            edit(body)
        path.write_bytes(json_files.dump(body) if text is None else sealed_text(text))
        if name.startswith("journal/"):
            digest = hashlib.sha256(path.read_bytes()[:-82]).hexdigest()
            change("manifest.json", lambda manifest: manifest["records"].__setitem__(int(name[8:13]), digest))

    return change


@pytest.fixture
def refused(store):
    """Assert that opening, or reading the spoiled shard, fails, and that verify() says the same."""

    def check(message: str, kind: type[Exception] = CorruptStoreError) -> None:
        for io in ("mmap", "pread"):
            with pytest.raises(kind, match=message):
                list(open_store(store.path, io=io)["layer.0"].chunks())
        assert verify(store.path, collect=True)

    return check


@pytest.fixture
def create(tmp_path: Path) -> Callable[..., StoreWriter]:
    """``StoreWriter.create`` for the two layers in two shards."""

    def make(plan=None, **options):
        options = {"layers": {"embeddings": 5, "layer.0": 8}, "shard_rows": [30, 20]} | options
        return StoreWriter.create(tmp_path / "s", {"rows": {"texts": 1}} if plan is None else plan, **options)

    return make


@pytest.fixture
def commit(arrays: dict, rows: dict) -> Callable[..., bool]:
    """Commit shard 0 or 1 of such a writer, with any layer replaced."""

    def go(writer, shard, **changes):
        part = slice(0, 30) if shard == 0 else slice(30, 50)
        layers = {name: array[part] for name, array in (arrays | changes).items()}
        return writer.commit(shard, {name: column[part] for name, column in rows.items()}, layers)

    return go
