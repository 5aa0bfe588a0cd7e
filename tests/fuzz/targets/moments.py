"""Saved moments. The first byte chooses whether the file carries the digest of its bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import pyrepsim as rs
from pyrepsim.core.states import open_sealed, write_sealed
from tests.fuzz.running import tolerate, workplace


@cache
def examples() -> list[bytes]:
    found = []
    rows = np.random.default_rng(0).standard_normal((300, 3))
    for n in (5, 300):
        moments = rs.PairedMoments(3, 2, n_threads=1)
        moments.update(rows[:n], rows[:n, :2])
        moments.save(path := workplace() / "valid.npz")
        found += [b"\0" + path.read_bytes()]
        with open_sealed(path) as (_, file):
            found += [b"\1" + file.read()]
    return found


def read(data: bytes, folder: Path) -> None:
    path = folder / "a.npz"
    if data[:1] == b"\1":
        write_sealed(path, lambda file: file.write(data[1:]))
    else:
        path.write_bytes(data[1:])
    moments = tolerate(lambda: rs.PairedMoments.load(path, n_threads=1))
    if moments is not None:
        tolerate(rs.LinearCKA().score, moments)
    tolerate(rs.MomentsSet((3, 2), ((0, 1),), n_threads=1).restore, path)
