"""JSON files that end with the SHA-256 digest of their contents, and a strict reader for files of unknown origin."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from .errors import CorruptStoreError

__all__ = ["MAX_BYTES", "MAX_INT", "check_writable", "dump", "file_digest", "load", "parse"]

MAX_BYTES = 64 << 20
MAX_DEPTH = 8
MAX_INT = 1 << 53
"""The largest integer that every JSON reader reads exactly."""

_OPEN, _CLOSE = b',\n "digest": "', b'"\n}\n'
_TAIL = len(_OPEN) + 64 + len(_CLOSE)


def dump(body: dict[str, Any]) -> bytes:
    """Return `body` as the bytes of a file that ends with its digest."""
    text = json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode("ascii")
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
    """Parse strict JSON: UTF-8, no duplicate keys, no NaN or Infinity, integers up to 2^53, at most 8 levels.

    Raises CorruptStoreError for anything else.
    """
    if len(data) > MAX_BYTES:
        raise CorruptStoreError(f"{where} must have at most {MAX_BYTES} bytes: it has {len(data)}.")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_exact,
        )
        _check(value, 1)
    except (ValueError, RecursionError) as error:
        raise CorruptStoreError(f"{where} must be strict JSON: {error}.") from error
    return value


def check_writable(value: Any, where: str, *, depth: int = 1) -> None:
    """Raise ValueError or TypeError if `parse` would not read `value` back. It is `depth` levels below the top."""
    _check(value, depth, where)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return items


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large for float64")
    return value


def _exact(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError(f"the integer {text[:20]} is larger than 2^53")
    return int(text)


def _check(value: Any, depth: int, where: str = "") -> None:
    here = f" at {where}" if where else ""
    if isinstance(value, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep{here}")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(value, dict) and not isinstance(key, str):
                raise TypeError(f"the key {key!r}{here} is not a string")
            if isinstance(key, str):
                key.encode("utf-8")  # other programs cannot print, sort or hash a lone surrogate
            _check(item, depth + 1, f"{where}.{key}" if where else "")
    elif isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError(f"the integer {value}{here} is larger than 2^53")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value}{here} is not a JSON number")
    else:
        raise TypeError(f"{type(value).__name__}{here} is not a JSON type")
