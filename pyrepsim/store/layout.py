"""Where things lie in a store: every name is derived from a layer's index or a shard's number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import xxhash

from ..core.errors import OptionError

FORMAT = "pyrepsim-store"
VERSION = 1
PAGE = 4096
"""Bytes of a shard file's header: the payload starts on a page."""

SHARD_BYTES = 256 << 20
"""Aim for the payload of one layer's shard: the unit of checksum, retry and parallel work."""

PLAN, MANIFEST, DOCS = ("plan.json",), ("manifest.json",), ("docs.jsonl",)

DTYPES: dict[str, np.dtype] = {
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype("<f4"),
}
CHECKSUMS: dict[str, Callable[..., Any]] = {"xxh3_128": xxhash.xxh3_128, "sha256": hashlib.sha256}

_LAYER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SHARD_FILE = re.compile(r"(?:\.tmp-)?shard-(\d{5,9})\.safetensors")
_JOURNAL_FILE = re.compile(r"(?:\.tmp-)?(\d{5,9})\.json")
_PASSING = (".tmp-", ".claim-")

Parts = tuple[str, ...]


def tokens_parts(shard: int) -> Parts:
    return ("tokens", f"shard-{shard:05d}.safetensors")


def layer_parts(index: int, shard: int) -> Parts:
    return ("layers", f"L{index:02d}", f"shard-{shard:05d}.safetensors")


def journal_parts(shard: int) -> Parts:
    return ("journal", f"{shard:05d}.json")


def shard_of(name: str) -> int | None:
    """The shard number in the name of a shard file or journal record, finished or temporary."""
    match = _SHARD_FILE.fullmatch(name) or _JOURNAL_FILE.fullmatch(name)
    return int(match[1]) if match else None


def claim_name(subject: str) -> str:
    """The name of the lock file of a shard, the plan or the manifest."""
    return f".claim-{subject}"


def is_passing(name: str) -> bool:
    """True for names of temporary files and claims, which mean nothing to a reader."""
    return name.startswith(_PASSING)


def is_layer_name(name: str) -> bool:
    return _LAYER.fullmatch(name) is not None


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise OptionError unless ``value`` is one of ``choices``."""
    if value not in tuple(choices):  # type: ignore[arg-type]
        known = ", ".join(repr(choice) for choice in choices)  # type: ignore[attr-defined]
        raise OptionError(f"{name} must be one of {known}: got {value!r}.")


def plan_shards(n_rows: int, width: int, dtype: str = "float16", *, shard_bytes: int = SHARD_BYTES) -> list[int]:
    """Cut ``n_rows`` rows into shards of about ``shard_bytes`` bytes for the widest layer, ``width``.

    Returns the rows of each shard; an empty list for no rows.
    """
    check_choice("dtype", dtype, DTYPES)
    if n_rows < 0 or width < 1 or shard_bytes < 1:
        raise OptionError(
            f"n_rows must be at least 0, width and shard_bytes at least 1: got n_rows={n_rows}, "
            f"width={width}, shard_bytes={shard_bytes}."
        )
    return cut_rows(n_rows, max(1, shard_bytes // (width * DTYPES[dtype].itemsize)))


def cut_rows(n_rows: int, step: int) -> list[int]:
    """``n_rows`` rows as shards of ``step`` rows, the last with what is left."""
    if step < 1:
        raise OptionError(f"The rows of a shard must be at least 1: got {step}.")
    return [min(step, n_rows - start) for start in range(0, n_rows, step)]
