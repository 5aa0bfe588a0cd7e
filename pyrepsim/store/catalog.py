"""Stores as things on a disk: which there are, how far each has come, how one is removed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from . import files
from .columns import ROW_BYTES
from .layout import DTYPES, MANIFEST, PAGE, PLAN, is_passing, journal_parts
from .reader import read_plan


@dataclass(frozen=True)
class StoreInfo:
    """One line of a listing: what plan and journal say, without looking at the shards."""

    name: str
    """Path below the folder that was listed."""
    path: Path
    n_rows: int
    layers: tuple[str, ...]
    dtype: str
    n_bytes: int
    """Planned bytes, at the planned type."""
    committed: int
    n_shards: int
    sealed: bool
    problem: str | None = None
    """Why the plan cannot be read; the numbers are 0 then."""
    widths: dict[str, int] = field(default_factory=dict)
    """Name -> width of each layer."""
    plan: dict[str, Any] = field(default_factory=dict)
    """What was given as the plan when the store was started."""

    @property
    def state(self) -> str:
        """``"sealed"``, ``"3/7 committed"`` or ``"unreadable"``."""
        if self.problem is not None:
            return "unreadable"
        return "sealed" if self.sealed else f"{self.committed}/{self.n_shards} committed"


def list_stores(folder: str | Path) -> list[StoreInfo]:
    """All stores at or below ``folder``, by name; no links are followed."""
    root = Path(folder)
    found = []
    for where, folders, names in os.walk(root):
        if PLAN[0] in names:
            folders.clear()  # stores do not nest
            path = Path(where)
            name = str(path.relative_to(root)) if path != root else path.resolve().name
            try:
                found.append(_info(name, path))
            except StoreError as error:
                found.append(StoreInfo(name, path, 0, (), "", 0, 0, 0, False, str(error)))
    return sorted(found, key=lambda info: info.name)


def store_info(path: str | Path) -> StoreInfo:
    """What plan and journal say of the store at ``path``, sealed or not. StoreError if there is none."""
    return _info(Path(path).resolve().name, Path(path))


def _info(name: str, path: Path) -> StoreInfo:
    plan = read_plan(path)
    n_shards = len(plan.shard_rows)
    values = sum(plan.layers.values()) * DTYPES[plan.dtype].itemsize
    n_bytes = plan.n_rows * (values + ROW_BYTES) + n_shards * PAGE * (1 + len(plan.layers))
    committed = sum(files.exists(path, journal_parts(shard)) for shard in range(n_shards))
    sealed = files.exists(path, MANIFEST)
    size = (n_bytes, committed, n_shards, sealed)
    layers = dict(plan.layers)
    return StoreInfo(name, path, plan.n_rows, tuple(layers), plan.dtype, *size, widths=layers, plan=plan.user)


def remove_store(path: str | Path) -> None:
    """Remove the store at ``path``, sealed or not, whole or damaged.

    StoreError for a folder that is no store, or holds anything besides one.
    """
    root = Path(path)
    ours = {"plan.json", "manifest.json", "docs.jsonl", "tokens", "layers", "journal"}
    if root.is_symlink() or not root.is_dir() or not files.exists(root, PLAN):
        raise StoreError(f"Only a store can be removed: {root} is no folder with a plan.json. Remove it yourself.")
    strange = sorted(entry.name for entry in root.iterdir() if entry.name not in ours and not is_passing(entry.name))
    if strange:
        raise StoreError(
            f"Only a store can be removed: {root} also holds {', '.join(strange[:4])}. Move that elsewhere first."
        )
    # The plan goes last: what a kill leaves behind is still a store, and can be removed again.
    for name in ("manifest.json", "docs.jsonl"):
        (root / name).unlink(missing_ok=True)
    for name in ("journal", "layers", "tokens"):
        if (root / name).is_symlink():
            (root / name).unlink()
        elif (root / name).exists():
            shutil.rmtree(root / name)
    shutil.rmtree(root)
