"""The plan of a store on disk: written once, by the first writer, and the same for every later one."""

from __future__ import annotations

from pathlib import Path

from ..core import files, json_files, outputs
from ..core.errors import CorruptStoreError, StoreError
from ..core.locks import lock
from ..core.outputs import is_working_file
from ..core.resume import first_difference
from .layout import PLAN, lock_name
from .manifest import Plan

__all__ = ["check_frozen", "freeze_plan"]


def freeze_plan(root: Path, requested: Plan, data: bytes) -> Plan:
    """Write the plan if the folder is new; otherwise return its plan, which must be the same."""
    root.mkdir(parents=True, exist_ok=True)
    if not files.exists(root, PLAN):
        with lock(root / lock_name("plan"), wait=True):
            if not files.exists(root, PLAN):
                _start(root, data)
    plan = Plan.read(root)
    if requested != plan or list(requested.layers) != list(plan.layers):
        difference = first_difference(plan.body(), requested.body())
        raise StoreError(
            f"A store is resumed only with the plan it was started with: {root} differs in {difference}. Use "
            "the same options, choose another folder, or replace the existing store: overwrite=True, or "
            "--overwrite on the command line."
        )
    return plan


def check_frozen(root: Path, plan: Plan) -> None:
    """Raise StoreError unless the folder still has this plan."""
    try:
        digest = json_files.file_digest(files.read_small_file(root, PLAN), f"plan.json of {root}")
    except CorruptStoreError:
        digest = None
    if digest != plan.digest:
        raise StoreError(
            f"The plan of a store must not change while it is written: the store in {root} was removed or replaced "
            "since this writer was created. Create the writer again."
        )


def _start(root: Path, data: bytes) -> None:
    others = [entry.name for entry in root.iterdir() if not is_working_file(entry.name)]
    if others:
        raise StoreError(
            f"A store must start in a new or empty folder: {root} holds {others[0]!r} and no plan.json. "
            "Choose another folder."
        )
    outputs.write_durably(root.joinpath(*PLAN), data)
    outputs.sync_folder(root.parent)
