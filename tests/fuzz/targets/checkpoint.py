"""Checkpoints of comparisons: the record or the sums are replaced, with or without their right digest."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np

import pyrepsim as rs
from pyrepsim.core.states import open_sealed, write_sealed
from tests.fuzz.running import tolerate, workplace

NAMES = ("comparison.json", "group-00000.npz")


@cache
def _stores() -> list[rs.ActivationStore]:
    rows = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    root = workplace() / "compared"
    shutil.rmtree(root, ignore_errors=True)
    return [
        rs.write_store(root / name, {"layer.0": rows @ np.diag(s)}) for name, s in (("x", [1, 2, 3]), ("y", [3, 1, 1]))
    ]


def _compare(folder: Path) -> float:
    return rs.compare(*_stores(), ["LinearCKA"], n_threads=1, checkpoint=folder)[0].value


@cache
def _valid() -> tuple[Path, float]:
    path = workplace() / "valid-checkpoint"
    shutil.rmtree(path, ignore_errors=True)
    return path, _compare(path)


@cache
def _request() -> dict[str, object]:
    with open_sealed(_valid()[0] / NAMES[1]) as (request, _):
        return request


def examples() -> list[bytes]:
    folder, _ = _valid()
    found = [bytes([i]) + (folder / name).read_bytes() for i, name in enumerate(NAMES)]
    with open_sealed(folder / NAMES[1]) as (_, file):
        return [*found, b"\3" + file.read()]


def read(data: bytes, folder: Path) -> None:
    valid, value = _valid()
    root = folder / "checkpoint"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(valid, root)
    kind = data[0] if data else 0
    path = root / NAMES[kind & 1]
    if kind == 3:
        write_sealed(path, lambda file: file.write(data[1:]), _request())
        tolerate(_compare, root)
        return
    path.write_bytes(data[1:])
    found = tolerate(_compare, root)
    assert found is None or found == value, f"{found} instead of {value}"
