"""The one reader of JSON, for files of any origin; and JSON files that end with the SHA-256 digest of their contents.

Every reader refuses what the standard leaves open or forbids and Python's own reader accepts: two equal keys in one
object, halves of surrogate pairs (no other program can print, sort or write them), too many levels. How large a file
and its integers may be, and whether NaN is allowed, depends on who wrote the file: `Limits`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import CorruptStoreError, NonFiniteError
from .paths import read_regular

__all__ = [
    "MAX_BYTES",
    "MAX_INT",
    "OTHERS",
    "RECORDS",
    "check_writable",
    "dump",
    "file_digest",
    "first_duplicate",
    "load",
    "loads",
    "parse",
    "read",
    "with_digest",
]

MAX_BYTES = 64 << 20
MAX_INT = 1 << 53
"""The largest integer that every JSON reader reads exactly."""


@dataclass(frozen=True)
class Limits:
    """What a JSON text may hold: bytes, levels, the largest integer (None: any), and NaN and Infinity or not."""

    n_bytes: int
    depth: int
    integer: int | None
    non_finite: bool


STORES = Limits(MAX_BYTES, 8, MAX_INT, non_finite=False)
"""For the files of stores."""
RECORDS = Limits(1 << 30, 64, None, non_finite=True)
"""For the other files of this package: Python writes NaN for a score that is not defined."""
OTHERS = Limits(4 << 30, 64, None, non_finite=False)
"""For data that others wrote: identifiers may have more than 53 bits."""

_OPEN, _CLOSE = b',\n "digest": "', b'"\n}\n'
_TAIL = len(_OPEN) + 64 + len(_CLOSE)


def dump(body: dict[str, Any]) -> bytes:
    """Return `body` as the bytes of a file that ends with its digest."""
    return with_digest(json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode("ascii"))


def with_digest(text: bytes) -> bytes:
    """Return the text of a JSON object, written with ``indent=1``, with its digest as the last key."""
    text = text.removesuffix(b"\n}")
    return text + _OPEN + hashlib.sha256(text).hexdigest().encode("ascii") + _CLOSE


def load(data: bytes, where: str) -> tuple[dict[str, Any], str]:
    """Return the body and the digest of a file made by `dump`. Raises CorruptStoreError for anything else."""
    digest = file_digest(data, where)
    body = parse(data, where)
    del body["digest"]  # a file with that end that is valid JSON is an object with that key
    return body, digest


def file_digest(data: bytes, where: str) -> str:
    """Return the digest at the end of a file. Raises CorruptStoreError if it is not that of the bytes before it."""
    text, tail = data[:-_TAIL], data[-_TAIL:]
    digest = tail[len(_OPEN) : -len(_CLOSE)]
    if len(data) <= _TAIL or not (tail.startswith(_OPEN) and tail.endswith(_CLOSE)):
        raise CorruptStoreError(f"{where} must end with its digest: found {data[-24:]!r}. The file was cut or edited.")
    actual = hashlib.sha256(text).hexdigest()
    if actual.encode("ascii") != digest:
        raise CorruptStoreError(
            f"{where} must match its own digest: it states {digest[:12]!r}..., its bytes have "
            f"'{actual[:12]}...'. The file was changed after it was written; restore it from a copy."
        )
    return actual


def parse(data: bytes, where: str) -> Any:
    """Parse JSON of a store: UTF-8, no duplicate keys, no NaN or Infinity, integers up to 2^53, at most 8 levels.

    Raises CorruptStoreError for anything else.
    """
    try:
        return loads(data, STORES)
    except ValueError as error:
        raise CorruptStoreError(f"{where} must be strict JSON: {error}.") from error


def read(path: str | os.PathLike[str], limits: Limits = RECORDS) -> Any:
    """Return the value in a JSON file. Raises OSError if it cannot be read, ValueError if it is not JSON."""
    return loads(read_regular(path, limits.n_bytes), limits)


def loads(text: bytes | str, limits: Limits = RECORDS) -> Any:
    """Return the value of a JSON text in UTF-8. Raises ValueError for anything else.

    >>> from pyrepsim.core.json_files import loads
    >>> loads('{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ValueError: the key 'a' occurs twice
    """
    if len(text) > limits.n_bytes:
        raise ValueError(f"it has {len(text)} bytes, more than {limits.n_bytes}")
    try:
        value = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_unique,
            parse_constant=None if limits.non_finite else _refuse,
            parse_float=None if limits.non_finite else _finite,
            parse_int=None if limits.integer is None else _exact,
        )
    except RecursionError:
        raise ValueError(f"more than {limits.depth} levels deep") from None
    _check(value, limits)
    return value


def check_writable(value: Any, where: str, *, depth: int = 1) -> None:
    """Raise ValueError or TypeError if `parse` would not read `value` back. It is `depth` levels below the top."""
    _check(value, STORES, depth, where)


def first_duplicate(items: Iterable[Any]) -> Any:
    """Return the first item that equals an earlier one. There must be one."""
    seen: set[Any] = set()
    return next(item for item in items if item in seen or seen.add(item))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError(f"the key {first_duplicate(key for key, _ in pairs)[:80]!r} occurs twice")
    return items


def _refuse(text: str) -> Any:
    raise NonFiniteError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NonFiniteError(f"{text[:20]} is too large for float64")
    return value


def _exact(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError(f"the integer {text[:20]} is larger than 2^53")
    return int(text)


def _check(value: Any, limits: Limits, depth: int = 1, where: str = "") -> None:
    """Raise ValueError or TypeError for what is outside the limits. `where` names the value in messages, if given."""
    here = f" at {where}" if where else ""
    if isinstance(value, dict | list | tuple):
        if depth > limits.depth:
            raise ValueError(f"more than {limits.depth} levels deep{here}")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(value, dict):
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r}{here} is not a string")
                _check_text(key, here)
            _check(item, limits, depth + 1, f"{where}.{key}" if where else "")
    elif isinstance(value, str):
        _check_text(value, here)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if limits.integer is not None and abs(value) > limits.integer:
            raise ValueError(f"the integer {str(value)[:20]}{here} is larger than 2^53")
    elif isinstance(value, float):
        if not limits.non_finite and not math.isfinite(value):
            raise ValueError(f"{value}{here} is not a JSON number")
    else:
        raise TypeError(f"{type(value).__name__}{here} is not a JSON type")


def _check_text(text: str, here: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text {text[:40]!r}{here} has half of a surrogate pair at character {error.start} (such as half an "
            "emoji)"
        ) from None
