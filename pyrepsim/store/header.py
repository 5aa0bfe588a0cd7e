"""The 4096 bytes before a payload: a safetensors header, wholly determined by plan, layer and shard.

Because a reader can compute it, checking means comparing: no header of ours is ever interpreted, so none can
lie. What is parsed below is parsed only to say what is wrong with it.
"""

from __future__ import annotations

import json

import numpy as np

from ..core.errors import CorruptStoreError
from . import jsonfile
from .columns import COLUMNS
from .layout import FORMAT, PAGE, VERSION

_NAMES = {
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
}


def layer_header(plan_digest: str, layer: str, shard: int, rows: int, width: int, dtype: np.dtype) -> bytes:
    """Header of one layer's shard: the tensor ``activation`` of shape (rows, width)."""
    return _header(plan_digest, layer, shard, {"activation": ((rows, width), dtype)})


def tokens_header(plan_digest: str, shard: int, rows: int) -> bytes:
    """Header of a token shard: one tensor of shape (rows,) per column, in the order of COLUMNS."""
    return _header(plan_digest, None, shard, {name: ((rows,), dtype) for name, dtype in COLUMNS.items()})


def _header(
    plan_digest: str, layer: str | None, shard: int, tensors: dict[str, tuple[tuple[int, ...], np.dtype]]
) -> bytes:
    metadata = {FORMAT: str(VERSION), "plan": plan_digest, "shard": str(shard)}
    if layer is not None:
        metadata["layer"] = layer
    fields: dict[str, object] = {"__metadata__": metadata}
    offset = 0
    for name, (shape, dtype) in tensors.items():
        end = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize  # Python integers: no overflow
        fields[name] = {"dtype": _NAMES[dtype.name], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return (PAGE - 8).to_bytes(8, "little") + text.ljust(PAGE - 8)


def check_header(found: bytes, expected: bytes, where: str) -> None:
    """Raise CorruptStoreError, with the first thing that differs, unless ``found`` is the header due here."""
    if found == expected:
        return
    raise CorruptStoreError(
        f"{where} must have the header that plan and journal determine: {_difference(found, expected)}. The "
        "file belongs elsewhere or was changed; restore it from a copy or extract this shard again."
    )


def _difference(found: bytes, expected: bytes) -> str:
    if len(found) != PAGE:
        return f"the file ends after {len(found)} bytes, inside the header"
    length = int.from_bytes(found[:8], "little")
    if length != PAGE - 8:
        return f"it claims {length} header bytes instead of {PAGE - 8}"
    try:
        theirs = jsonfile.parse(found[8:], "the header")
    except CorruptStoreError as error:
        return str(error).removesuffix(".")
    ours = json.loads(expected[8:])
    if not isinstance(theirs, dict):
        return f"it holds a JSON {type(theirs).__name__} instead of an object"
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in theirs or name not in ours:
            return f"the entry {name[:64]!r} is {'missing' if name in ours else 'unknown'}"
        if theirs[name] != ours[name]:
            return f"{name!r} says {str(theirs[name])[:200]} instead of {ours[name]}"
    return "it says the same in other bytes (order, spacing or padding)"
