"""The plan on disk: frozen by whoever comes first, and the same for everyone who comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from . import durable, files
from .layout import PLAN, is_passing
from .manifest import Plan

# One changed option changes many keys of a plan: the order in which they are named. Others are between, by name.
_CHOSEN = ("plan", "model", "policy", "tokenizer", "rows", "texts", "unit")
_FOLLOWING = ("documents", "tokens", "batches", "shard_rows")


def freeze_plan(root: Path, plan: Plan, data: bytes) -> Plan:
    """Write the plan if the folder is new; otherwise return the plan that is there, which must be equal."""
    root.mkdir(parents=True, exist_ok=True)
    if not files.exists(root, PLAN):
        with durable.claim(root, "plan", wait=True):
            if not files.exists(root, PLAN):
                _start(root, data)
    found = Plan.from_bytes(files.read_small(root, PLAN), f"plan.json of {root}")
    _check_same(root, plan, found)
    return found


def _start(root: Path, data: bytes) -> None:
    strange = [entry.name for entry in root.iterdir() if not is_passing(entry.name)]
    if strange:
        raise StoreError(
            f"A store must start in a new or empty folder: {root} holds {strange[0]!r} and no plan.json. "
            "Choose another folder."
        )
    durable.write_durably(root, PLAN, data, what="plan")
    durable.sync_folder(root.parent)


def _check_same(root: Path, wanted: Plan, found: Plan) -> None:
    if wanted == found and list(wanted.layers) == list(found.layers):
        return
    difference = first_difference(found.body(), wanted.body())
    raise StoreError(
        f"A store is resumed only under the plan it was started with: {root} differs in {difference}. Use "
        "the same options, choose another folder, or replace the store that is there: overwrite=True, or "
        "--overwrite on the command line."
    )


def first_difference(old: Any, new: Any, where: str = "", sides: tuple[str, str] = ("before", "now")) -> str:
    """The first key at which two JSON values differ, and both values, in words.

    What was chosen comes before what follows from it.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys(), key=_rank):
            here = f"{where}.{key}" if where else key
            if key not in old or key not in new:
                return f"{here} (only {sides[key in new]})"
            if old[key] != new[key]:
                return first_difference(old[key], new[key], here, sides)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        at = next(i for i, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1])
        return first_difference(old[at], new[at], f"{where}[{at}]", sides)
    return f"{where} ({_short(old)} {sides[0]}, {_short(new)} {sides[1]})"


def _rank(key: str) -> tuple[int, int, str]:
    for place, keys in ((0, _CHOSEN), (2, _FOLLOWING)):
        if key in keys:
            return place, keys.index(key), key
    return 1, 0, key


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) > 60 and isinstance(value, list):
        return f"{len(value)} items"
    return text if len(text) <= 60 else text[:57] + "..."
