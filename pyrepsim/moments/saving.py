"""Moments on disk: an .npz archive of named sums in a sealed file, checked completely before it is used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import CorruptStoreError, PyrepsimError
from ..core.json_files import loads
from ..core.npz import opened_npz

__all__ = ["opened_moments", "read_sums", "write_moments"]

_FORMAT = "pyrepsim moments 1"
_BLOCK_ROWS = 256
"""The number of rows in the sums of every backend is a multiple of this; the remaining rows are stored as rows."""


def write_moments(file: BinaryIO, options: Mapping[str, Any], sums: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``options`` and named dictionaries of sums."""
    header = {"format": _FORMAT, **options, "n_samples": {name: part["n_samples"] for name, part in sums.items()}}
    arrays: dict[str, Any] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for name, part in sums.items():
        arrays[f"{name}/norms"] = part["norms"]
        for key in ("shift", "products", "cross", "weighted", "rounding", "pending"):
            arrays |= {f"{name}/{key}/{i}": array for i, array in enumerate(part.get(key, ()))}
        known = part.get("directions", ()) if part["n_samples"] else ()
        arrays |= {f"{name}/directions/{i}": array for i, array in enumerate(known) if array is not None}
    np.savez(file, **arrays)


@contextmanager
def opened_moments(file: BinaryIO, where: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the options and sample counts of a file, with the types they must have, and its arrays.

    Any error within the with-block counts as damage, because np.load raises many types for damaged files.
    """
    try:
        with opened_npz(file) as arrays:
            header = loads(bytes(arrays["header"]))
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']!r} instead of {_FORMAT!r}")
            header["widths"] = tuple(_whole(w) for w in header["widths"])
            header["pairs"] = tuple((_whole(i), _whole(j)) for i, j in header["pairs"])
            header["transforms"] = tuple(str(kind) for kind in header["transforms"])
            header["precision"] = str(header["precision"])
            header["n_samples"] = dict(header["n_samples"].items())
            yield header, arrays
    except PyrepsimError:
        raise
    except Exception as error:
        raise CorruptStoreError(
            f"{os.fspath(where)} must be a complete file written by moments.save(...): {error!r}. Sum the rows again."
        ) from error


def read_sums(arrays: Any, header: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One dictionary of sums; the shape, type and finiteness of every array are checked against the header."""
    live = name.startswith("live/")
    widths: Sequence[int] = header["widths"]
    sides = len(widths)
    n_samples = header["n_samples"][name]
    n_samples = _whole(n_samples) if live else float(n_samples)
    shapes = {
        "shift": [(d,) for d in widths],
        "products": [(d, d) for d in widths],
        "cross": [(widths[i], widths[j]) for i, j in header["pairs"]],
        "weighted": [(1 + sides, d) for d in widths],
        "rounding": [(d,) for d in widths] if header["precision"] == "int24" else [],
    }
    pending = len(arrays[f"{name}/pending/0"]) if live else 0
    if live and (pending > n_samples or (n_samples - pending) % _BLOCK_ROWS):
        raise ValueError(f"{pending} of {n_samples} rows not yet in the sums")
    shapes["pending"] = [(pending, d) for d in widths] if live else []
    # after a merge, NaN marks sums over sides that are not a pair; all others must be numbers
    needed = np.ones((1 + sides, sides), bool)
    if not live:
        needed[1:] = np.eye(sides, dtype=bool)
        for i, j in header["pairs"]:
            needed[1 + i, j] = needed[1 + j, i] = True
    norms = _checked(arrays[f"{name}/norms"], needed.shape, needed)
    sums = {
        key: [
            _checked(arrays[f"{name}/{key}/{i}"], shape, needed[:, i] if key == "weighted" else ...)
            for i, shape in enumerate(wanted)
        ]
        for key, wanted in shapes.items()
    }
    kept = [f"{name}/directions/{i}" for i in range(sides)]  # missing: the rows have several directions
    sums["directions"] = [
        _checked(arrays[key], (2, d), ...) if key in arrays else None for key, d in zip(kept, widths, strict=True)
    ]
    return {**sums, "norms": norms, "n_samples": n_samples}


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{value!r} instead of a whole number")
    return value


def _checked(array: np.ndarray, shape: tuple[int, ...], needed: Any) -> np.ndarray:
    if array.shape != shape or array.dtype != np.float64:
        raise ValueError(f"{array.dtype} {array.shape} instead of float64 {shape}")
    if np.isinf(array).any() or np.isnan(array[needed]).any():
        raise ValueError("a sum that is not a number")
    return array
