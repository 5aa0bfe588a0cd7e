"""Resume interrupted work: a request lists all that decides a result, and its record is kept beside the result.

Every verb follows the same steps: write the request down as plain JSON, compare it with the record in the output
folder, and either start, continue or refuse. A refusal names the first difference between the two requests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from .errors import CorruptStoreError, StoreError
from .outputs import replacing

__all__ = ["check_same_request", "first_difference", "plain_json", "read_record", "request_digest", "write_record"]

_REMEDY = "Use the same arguments, choose another folder, or remove the files that are there."

# One changed option changes many keys of a request. Options that the user chose are named first, then all others by
# name, and last the quantities that are derived from them.
_CHOSEN = ("plan", "model", "policy", "tokenizer", "rows", "texts", "unit")
_DERIVED = ("documents", "tokens", "batches", "shard_rows")


def plain_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return `request` as JSON would give it back: tuples become lists, paths and other objects become text."""
    return json.loads(json.dumps(request, sort_keys=True, default=str))


def request_digest(request: Mapping[str, Any]) -> str:
    """Return the xxh3-128 digest of a request: equal for equal JSON, whatever the order of its keys."""
    text = json.dumps(request, sort_keys=True, default=str, ensure_ascii=False)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8"))


def check_same_request(
    recorded: Mapping[str, Any], request: Mapping[str, Any], *, where: object, remedy: str = _REMEDY
) -> None:
    """Raise StoreError unless the recorded request equals this one.

    Parameters
    ----------
    recorded, request
        The request that the work was started with, and the one to continue it with. Compared as JSON.
    where
        The folder or file that holds the work, for the message.
    remedy
        Last sentence of the message: what the caller can do.
    """
    old, new = plain_json(recorded), plain_json(request)
    if old != new:
        difference = first_difference(old, new)
        raise StoreError(
            f"Work is resumed only with the request it was started with: {where} differs in {difference}. {remedy}"
        )


def first_difference(old: Any, new: Any, where: str = "", sides: tuple[str, str] = ("before", "now")) -> str:
    """Return the first key at which two JSON values differ, and both values, as text."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys(), key=_rank):
            here = f"{where}.{key}" if where else key
            if key not in old or key not in new:
                return f"{here} (only {sides[key in new]})"
            if old[key] != new[key]:
                return first_difference(old[key], new[key], here, sides)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        index = next(i for i, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1])
        return first_difference(old[index], new[index], f"{where}[{index}]", sides)
    return f"{where} ({_short(old)} {sides[0]}, {_short(new)} {sides[1]})"


def read_record(path: Path, *, remedy: str = "Remove it to start again.") -> dict[str, Any] | None:
    """Return the record that `write_record` wrote, or None where there is no file.

    Raises CorruptStoreError for a file that cannot be read, is no JSON object, or has no request.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"request": dict(record["request"]), **record}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptStoreError(f"A record must be whole: {path} cannot be read ({error}). {remedy}") from error


def write_record(path: str | os.PathLike[str], request: Mapping[str, Any], **result: Any) -> None:
    """Write a request, and what has come of it so far, as one JSON file that is replaced in one step."""
    record = {"request": plain_json(request), **result}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _rank(key: str) -> tuple[int, int, str]:
    for place, keys in ((0, _CHOSEN), (2, _DERIVED)):
        if key in keys:
            return place, keys.index(key), key
    return 1, 0, key


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) > 60 and isinstance(value, list):
        return f"{len(value)} items"
    return text if len(text) <= 60 else text[:57] + "..."
