"""Resume interrupted work: a request lists all that determines a result, and its record is kept beside the result.

Every command follows the same steps: write the request as plain JSON, compare it with the record in the output folder,
and then start, continue or refuse. A refusal names the first difference between the two requests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from . import json_files
from .errors import CorruptStoreError, StoreError
from .outputs import replacing
from .paths import read_regular

__all__ = ["check_same_request", "first_difference", "plain_json", "read_record", "request_digest", "write_record"]

_REMEDY = "Use the same arguments, choose another folder, or remove the files in this one."

# One changed option changes many keys of a request. Options that the user chose are compared first, then all others by
# name, and last the quantities that are computed from them.
_CHOSEN = ("plan", "model", "policy", "tokenizer", "rows", "texts", "unit")
_COMPUTED = ("documents", "tokens", "batches", "shard_rows")


def plain_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as it is after writing it as JSON and reading it: tuples become lists, paths become text."""
    return json.loads(json.dumps(request, sort_keys=True, default=str))


def request_digest(request: Mapping[str, Any]) -> str:
    """Return the xxh3-128 digest of a request. It is equal for equal JSON, in any order of the keys."""
    text = json.dumps(request, sort_keys=True, default=str, ensure_ascii=False)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8"))


def check_same_request(
    recorded: Mapping[str, Any], request: Mapping[str, Any], *, where: object, remedy: str = _REMEDY
) -> None:
    """Raise StoreError unless the recorded request equals this one.

    Parameters
    ----------
    recorded, request : mapping
        The request that the work was started with, and the one to continue it with. They are compared as JSON.
    where : object
        The folder or file of the work, for the message.
    remedy : str
        Last sentence of the message: what the user can do.

    Examples
    --------
    >>> from pyrepsim.core.resume import check_same_request
    >>> check_same_request({"layers": [0, 1]}, {"layers": (0, 1)}, where="runs/a")
    >>> check_same_request({"layers": [0, 1]}, {"layers": (0, 2)}, where="runs/a", remedy="Choose another folder.")
    Traceback (most recent call last):
        ...
    pyrepsim.core.errors.StoreError: Work is resumed only with the request it was started with: runs/a differs in \
layers[1] (1 before, 2 now). Choose another folder.
    """
    old, new = plain_json(recorded), plain_json(request)
    if old != new:
        difference = first_difference(old, new)
        raise StoreError(
            f"Work is resumed only with the request it was started with: {where} differs in {difference}. {remedy}"
        )


def first_difference(old: Any, new: Any, where: str = "", sides: tuple[str, str] = ("before", "now")) -> str:
    """Return the first key at which two JSON values differ, with both values, as text.

    Parameters
    ----------
    old, new : JSON values
        Two values that differ.
    where : str
        Path of keys to these values.
    sides : tuple of str
        What the first and the second value are called.

    Examples
    --------
    >>> from pyrepsim.core.resume import first_difference
    >>> first_difference({"seed": 0, "lr": 0.1}, {"seed": 1, "lr": 0.1})
    'seed (0 before, 1 now)'
    """
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
    """Return the record that `write_record` wrote, or None if there is no file.

    Raises
    ------
    CorruptStoreError
        If the file cannot be read, its bytes are not those that were written, or it has no request.
    """
    try:
        data = read_regular(path, json_files.RECORDS.n_bytes)
        json_files.file_digest(data, "it")
        record = json_files.loads(data)
        del record["digest"]
        return {"request": dict(record["request"]), **record}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptStoreError(f"A record must be complete: {path} cannot be read ({error}). {remedy}") from error


def write_record(path: str | os.PathLike[str], request: Mapping[str, Any], **result: Any) -> None:
    """Write a request, and its results so far, as one JSON file that ends with its digest.

    An existing file is replaced in one step, when the new one is on the disk.
    """
    record = {"request": plain_json(request), **result}
    with replacing(path, sync=True) as temporary:
        temporary.write_bytes(json_files.with_digest(json.dumps(record, indent=1).encode()))


def _rank(key: str) -> tuple[int, int, str]:
    for place, keys in ((0, _CHOSEN), (2, _COMPUTED)):
        if key in keys:
            return place, keys.index(key), key
    return 1, 0, key


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) > 60 and isinstance(value, list):
        return f"{len(value)} items"
    return text if len(text) <= 60 else text[:57] + "..."
