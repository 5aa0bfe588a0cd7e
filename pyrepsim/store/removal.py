"""Removing a store, and what killed writers left in one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ..core import files
from ..core.errors import StoreError
from ..core.outputs import explain_errors, is_working_file, sweep
from ..core.ownership import owning, sweep_locks
from ..core.paths import as_path
from .layout import DOCS, MANIFEST, PLAN, lock_name

_FILES = (MANIFEST[0], DOCS[0])
_FOLDERS = ("journal", "layers", "tokens")


def remove_store(path: str | Path, *, wait: float | None = None) -> None:
    """Remove a store, sealed or not, complete or damaged.

    Parameters
    ----------
    path : str or Path
        The folder of the store.
    wait : float, optional
        Seconds to wait for another process that writes to the folder. By default it is refused at once.

    Raises
    ------
    LockedError
        If another process writes to the folder.
    StoreError
        If the folder is not a store, or holds other files too.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import remove_store
    >>> store = rs.write_store("acts/removed", {"layer.0": np.ones((4, 3))})
    >>> remove_store(store.path)
    >>> store.path.exists()
    False
    """
    root = as_path(path)
    check_removable(root)
    with owning(root, wait=wait):
        check_removable(root)
        clear_store(root)
        with _explained(root):
            shutil.rmtree(root)


def check_removable(root: Path) -> None:
    """Raise StoreError unless the folder is a store and holds nothing else."""
    known = {*_FILES, *_FOLDERS, PLAN[0]}
    if root.is_symlink() or not root.is_dir() or not files.exists(root, PLAN):
        raise StoreError(f"Only a store can be removed: {root} is not a folder with a plan.json. Remove it yourself.")
    others = sorted(e.name for e in root.iterdir() if e.name not in known and not is_working_file(e.name))
    if others:
        raise StoreError(
            f"Only a store can be removed: {root} also holds {', '.join(others[:4])}. Move that elsewhere first."
        )


def clear_store(root: Path) -> None:
    """Remove the files of a store from a folder that we own; the folder and its lock stay.

    The manifest is removed first, so that readers notice it, and the plan last: if this is interrupted, the folder is
    still a store and can be removed again.
    """
    with _explained(root):
        for name in _FILES:
            (root / name).unlink(missing_ok=True)
        for name in _FOLDERS:
            if (root / name).is_symlink():
                (root / name).unlink()
            elif (root / name).exists():
                shutil.rmtree(root / name)
        (root / PLAN[0]).unlink(missing_ok=True)


def remove_working_files(root: Path, folders: Iterable[Path]) -> None:
    """Remove the temporary files and the locks that killed writers left in a finished store and its folders."""
    for folder in (root, *folders):
        sweep(folder)
        for left in folder.glob(lock_name("*")):
            with suppress(OSError):
                left.unlink()
    sweep_locks(root)


def _explained(root: Path) -> AbstractContextManager[None]:
    return explain_errors(root, task="Removing the store", kept="it removes the other files")
