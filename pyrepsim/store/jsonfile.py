"""Small JSON files that end with the SHA-256 of what stands before, read as if by a stranger."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from ..core.errors import CorruptStoreError

MAX_BYTES = 64 << 20
MAX_DEPTH = 8
MAX_INT = 1 << 53
"""Integers up to here survive every JSON reader."""

_OPEN, _CLOSE = b',\n "digest": "', b'"\n}\n'
_TAIL = len(_OPEN) + 64 + len(_CLOSE)


def dump(body: dict[str, Any]) -> bytes:
    """``body`` as the bytes of a file, with its digest last."""
    text = json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode("ascii")
    text = text.removesuffix(b"\n}")
    return text + _OPEN + hashlib.sha256(text).hexdigest().encode("ascii") + _CLOSE


def load(data: bytes, where: str) -> tuple[dict[str, Any], str]:
    """The body and the digest of a file made by ``dump``; CorruptStoreError for anything else."""
    digest = digest_of(data, where)
    body = parse(data, where)
    del body["digest"]  # a file with that tail that parses is an object with that key
    return body, digest


def digest_of(data: bytes, where: str) -> str:
    """The digest that a file ends with, once it agrees with what stands before it."""
    text, tail = data[:-_TAIL], data[-_TAIL:]
    digest = tail[len(_OPEN) : -len(_CLOSE)]
    if len(data) <= _TAIL or not (tail.startswith(_OPEN) and tail.endswith(_CLOSE)):
        raise CorruptStoreError(f"{where} must end with its digest: found {data[-24:]!r}. The file was cut or edited.")
    found = hashlib.sha256(text).hexdigest()
    if found.encode("ascii") != digest:
        raise CorruptStoreError(
            f"{where} must agree with its own digest: it says {digest[:12]!r}..., its bytes give "
            f"'{found[:12]}...'. The file was changed after it was written; restore it from a copy."
        )
    return found


def parse(data: bytes, where: str) -> Any:
    """Strict JSON: UTF-8, no duplicate keys, no NaN or Infinity, integers to 2^53, at most 8 levels."""
    if len(data) > MAX_BYTES:
        raise CorruptStoreError(f"{where} must be at most {MAX_BYTES} bytes: found {len(data)}.")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_exact,
        )
        _walk(value, 1)
    except (ValueError, RecursionError) as error:
        raise CorruptStoreError(f"{where} must be strict JSON: {error}.") from error
    return value


def check_writable(value: Any, where: str, *, depth: int = 1) -> None:
    """Raise ValueError or TypeError for what ``parse`` would not give back, standing ``depth`` levels deep."""
    _walk(value, depth, where)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond float64")
    return value


def _exact(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError(f"the integer {text[:20]} is beyond 2^53")
    return int(text)


def _walk(value: Any, depth: int, where: str = "") -> None:
    here = f" at {where}" if where else ""
    if isinstance(value, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep{here}")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(value, dict) and not isinstance(key, str):
                raise TypeError(f"the key {key!r}{here} is not a string")
            if isinstance(key, str):
                key.encode("utf-8")  # a lone surrogate cannot be printed, sorted or hashed by others
            _walk(item, depth + 1, f"{where}.{key}" if where else "")
    elif isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError(f"the integer {value}{here} is beyond 2^53")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value}{here} is not a JSON number")
    else:
        raise TypeError(f"{type(value).__name__}{here} is not a JSON type")
