"""The plan on disk: frozen by whoever comes first, and the same for everyone who comes later."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import StoreError
from ..core.locks import lock
from ..core.resume import first_difference
from . import durable, files
from .layout import PLAN, claim_name, is_passing
from .manifest import Plan


def freeze_plan(root: Path, plan: Plan, data: bytes) -> Plan:
    """Write the plan if the folder is new; otherwise return the plan that is there, which must be equal."""
    root.mkdir(parents=True, exist_ok=True)
    if not files.exists(root, PLAN):
        with lock(root / claim_name("plan"), wait=True):
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
