"""Stores: one file of a small store is replaced. The first byte chooses it, the second whether its digest is right."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import numpy as np

import pyrepsim as rs
from pyrepsim.store import export, list_stores, store_info, verify
from tests.fuzz.running import tolerate, workplace


@cache
def _valid() -> Path:
    path = workplace() / "valid-store"
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    shutil.rmtree(path, ignore_errors=True)
    rs.write_store(path, {"layer.0": rows, "layer.1": rows[:, :2]}, shard_rows=5, plan={"model": {"id": "m"}})
    return path


@cache
def _files() -> tuple[Path, ...]:
    return tuple(sorted(path.relative_to(_valid()) for path in _valid().rglob("*") if path.is_file()))


def examples() -> list[bytes]:
    parts = [(_valid() / name).read_bytes()[:8192] for name in _files()]
    return [bytes([i, sealed]) + part for i, part in enumerate(parts) for sealed in (0, 1)]


def _with_right_digest(text: bytes) -> bytes:
    start, _, tail = text.rpartition(b',\n "digest": "')
    if not tail:
        return text
    return start + b',\n "digest": "' + hashlib.sha256(start).hexdigest().encode() + b'"\n}\n'


def read(data: bytes, folder: Path) -> None:
    if len(data) < 2:
        return
    root = folder / "stores" / "one"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(_valid(), root)
    name = _files()[data[0] % len(_files())]
    (root / name).write_bytes(_with_right_digest(data[2:]) if data[1] & 1 else data[2:])
    store = tolerate(rs.open_store, root, io="pread" if data[1] & 2 else "mmap")
    if store is not None:
        for layer in store.layers:
            tolerate(lambda: np.asarray(store[layer]))  # noqa: B023
        tolerate(lambda: store.columns.doc_id)
        tolerate(lambda: rs.compare(store, store, ["LinearCKA"], n_threads=1))
        repr(store)
        store._repr_html_()
    tolerate(verify, root, collect=True)
    tolerate(store_info, root)
    tolerate(list_stores, root.parent)
    shutil.rmtree(folder / "exported", ignore_errors=True)
    tolerate(export, root, folder / "exported")
