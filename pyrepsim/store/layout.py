"""The files of a store: their names, their headers, and the number of rows in each shard.

All names follow from a layer's index and a shard's number, and all headers from the plan. A reader therefore computes
the header that a file must have and compares bytes; a header is parsed only to say what is wrong with it.
"""

from __future__ import annotations

import json
import re

import ml_dtypes
import numpy as np

from ..core import json_files
from ..core.errors import CorruptStoreError, OptionError, check_choice
from ..core.files import Parts
from .columns import COLUMNS

FORMAT = "pyrepsim-store"
VERSION = 1
PAGE = 4096
"""Bytes of a shard file's header: the payload starts at the second page."""

SHARD_BYTES = 256 << 20
"""Bytes of one layer's shard, by default. A shard is the unit of checksums, of resuming and of parallel work."""

PLAN, MANIFEST, DOCS = ("plan.json",), ("manifest.json",), ("docs.jsonl",)

DTYPES: dict[str, np.dtype] = {
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype("<f4"),
}

_SAFETENSORS_NAMES = {
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
}
_LAYER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SHARD_FILE = re.compile(r"shard-(\d{5,9})\.safetensors")
_JOURNAL_FILE = re.compile(r"(\d{5,9})\.json")


def tokens_parts(shard: int) -> Parts:
    return ("tokens", f"shard-{shard:05d}.safetensors")


def layer_parts(index: int, shard: int) -> Parts:
    return ("layers", f"L{index:02d}", f"shard-{shard:05d}.safetensors")


def journal_parts(shard: int) -> Parts:
    return ("journal", f"{shard:05d}.json")


def shard_of(name: str) -> int | None:
    """Return the shard number in the name of a shard file or record."""
    match = _SHARD_FILE.fullmatch(name) or _JOURNAL_FILE.fullmatch(name)
    return int(match[1]) if match else None


def lock_name(subject: str) -> str:
    """Return the name of the lock file of a shard, the plan or the manifest."""
    return f".claim-{subject}"


def is_layer_name(name: str) -> bool:
    return _LAYER.fullmatch(name) is not None


def plan_shards(n_rows: int, width: int, dtype: str = "float16", *, shard_bytes: int = SHARD_BYTES) -> list[int]:
    """Divide rows into shards of about equal size.

    Parameters
    ----------
    n_rows : int
        Rows of the store.
    width : int
        Features of the widest layer.
    dtype : {"float16", "bfloat16", "float32"}
        Type of the stored values.
    shard_bytes : int
        Bytes of one shard of the widest layer, at most (but at least one row).

    Returns
    -------
    list of int
        The number of rows of each shard; empty for no rows.

    Raises
    ------
    OptionError
        If an argument is out of range.

    Examples
    --------
    >>> from pyrepsim.store import plan_shards
    >>> plan_shards(1000, width=768, shard_bytes=2**19)
    [341, 341, 318]
    """
    check_choice("dtype", dtype, DTYPES)
    if n_rows < 0 or width < 1 or shard_bytes < 1:
        raise OptionError(
            f"n_rows must be at least 0, width and shard_bytes at least 1: got n_rows={n_rows}, "
            f"width={width}, shard_bytes={shard_bytes}."
        )
    return cut_rows(n_rows, max(1, shard_bytes // (width * DTYPES[dtype].itemsize)))


def cut_rows(n_rows: int, step: int) -> list[int]:
    """Divide rows into shards of ``step`` rows; the last one may have fewer."""
    if step < 1:
        raise OptionError(f"A shard must have at least 1 row: got {step}.")
    return [min(step, n_rows - start) for start in range(0, n_rows, step)]


def layer_header(plan_digest: str, layer: str, shard: int, n_rows: int, width: int, dtype: np.dtype) -> bytes:
    """Return the header of a layer's shard: one tensor, ``activation``, of shape (n_rows, width)."""
    return _header(plan_digest, layer, shard, {"activation": ((n_rows, width), dtype)})


def tokens_header(plan_digest: str, shard: int, n_rows: int) -> bytes:
    """Return the header of a token shard: one tensor of shape (n_rows,) for each column, in the order of COLUMNS."""
    return _header(plan_digest, None, shard, {name: ((n_rows,), dtype) for name, dtype in COLUMNS.items()})


def check_header(actual: bytes, expected: bytes, where: str) -> None:
    """Raise CorruptStoreError, with the first difference, unless the header is the expected one."""
    if actual != expected:
        raise CorruptStoreError(
            f"{where} must have the header that follows from plan and journal: {_difference(actual, expected)}. The "
            "file belongs to another store or was changed; restore it from a copy or extract this shard again."
        )


def _header(
    plan_digest: str, layer: str | None, shard: int, tensors: dict[str, tuple[tuple[int, ...], np.dtype]]
) -> bytes:
    metadata = {FORMAT: str(VERSION), "plan": plan_digest, "shard": str(shard)}
    if layer is not None:
        metadata["layer"] = layer
    fields: dict[str, object] = {"__metadata__": metadata}
    offset = 0
    for name, (shape, dtype) in tensors.items():
        end = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize  # Python integers do not overflow
        fields[name] = {"dtype": _SAFETENSORS_NAMES[dtype.name], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return (PAGE - 8).to_bytes(8, "little") + text.ljust(PAGE - 8)


def _difference(actual: bytes, expected: bytes) -> str:
    if len(actual) != PAGE:
        return f"the file ends after {len(actual)} bytes, inside the header"
    length = int.from_bytes(actual[:8], "little")
    if length != PAGE - 8:
        return f"it states {length} header bytes instead of {PAGE - 8}"
    try:
        theirs = json_files.parse(actual[8:], "the header")
    except CorruptStoreError as error:
        return str(error).removesuffix(".")
    ours = json.loads(expected[8:])
    if not isinstance(theirs, dict):
        return f"it is a JSON {type(theirs).__name__} instead of an object"
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in theirs or name not in ours:
            return f"the entry {name[:64]!r} is {'missing' if name in ours else 'unknown'}"
        if theirs[name] != ours[name]:
            return f"{name!r} is {str(theirs[name])[:200]} instead of {ours[name]}"
    return "it has the same entries in other bytes (order, spacing or padding)"
