"""Writing the shards of a store: opening or resuming it, computing what is missing, sealing it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from ..core import files
from ..core.errors import OptionError
from ..core.outputs import has_files
from ..core.ownership import owning, sweep_locks
from ..core.paths import as_path
from ..core.resume import check_same_request
from ..core.workers import Worker
from ..store import ActivationStore, StoreWriter, store_info
from ..store.columns import ROW_BYTES
from ..store.layout import DTYPES, MANIFEST, PAGE, PLAN, journal_parts
from ..store.removal import check_removable, clear_store
from ..store.repair import drop_damaged_shards
from ..version import __version__
from .forward import ShardBuffers

__all__ = ["check_overwrite", "commit_in_turn", "environment", "missing_shards", "planned_sizes", "write_shards"]

log = logging.getLogger("pyrepsim.extraction")

Rows = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


def check_overwrite(out: Any, share: Worker, *, overwrite: bool) -> None:
    """Refuse to replace a store that other workers write to."""
    if overwrite and share.count > 1:
        raise OptionError(
            f"overwrite needs a single worker, because each would remove what the others wrote: got worker {share}. "
            f"Remove {os.fspath(out)} before the workers start."
        )


def write_shards(
    out: str | os.PathLike[str],
    record: dict[str, Any],
    widths: Mapping[str, int],
    shard_rows: Sequence[int],
    *,
    dtype: str,
    share: Worker,
    overwrite: bool,
    wait: float | None,
    compute: Callable[[StoreWriter, list[int]], None],
    documents: Callable[[], Iterable[Mapping[str, Any]]],
) -> ActivationStore | None:
    """Start or continue a store, commit the shards of this worker that are missing, and seal it if none is missing.

    Parameters
    ----------
    out : path
        The folder.
    record, widths, shard_rows, dtype
        What the store is: see `StoreWriter.create`.
    share : Worker
        Which shards are this worker's.
    overwrite, wait
        See `extract`.
    compute : callable
        Computes and commits shards.
    documents : callable
        Returns an entry for each document.
    """
    folder = as_path(out, "out")
    n_shards = len(shard_rows)
    member = None if share.count == 1 else f"{share.index}-of-{share.count}"
    with ExitStack() as stack:
        if overwrite or not files.exists(folder, MANIFEST):
            stack.enter_context(owning(folder, wait=wait, member=member))
        else:  # a finished store is only opened
            sweep_locks(folder)
        if overwrite and has_files(folder):
            check_removable(folder)
            clear_store(folder)
        writer = stack.enter_context(
            StoreWriter.create(folder, record, layers=widths, shard_rows=shard_rows, dtype=dtype)
        )
        if not files.exists(folder, MANIFEST):
            drop_damaged_shards(folder, filter(share.takes, range(n_shards)))
        shards = [shard for shard in writer.missing() if share.takes(shard)]
        if shards:
            compute(writer, shards)
        missing = writer.missing()
        if missing:
            log.info("worker %s is done; %d shards of other workers are missing in %s", share, len(missing), folder)
            return None
        return writer.seal(docs=documents())


def planned_sizes(shard_rows: Sequence[int], widths: Mapping[str, int], dtype: str) -> list[int]:
    """Return the bytes of each shard of a store."""
    row_bytes = ROW_BYTES + DTYPES[dtype].itemsize * sum(widths.values())
    return [n_rows * row_bytes + PAGE * (len(widths) + 1) for n_rows in shard_rows]


def missing_shards(
    out: str | os.PathLike[str] | None,
    record: dict[str, Any],
    widths: Mapping[str, int],
    n_shards: int,
    *,
    dtype: str,
    share: Worker,
) -> list[int]:
    """Return the shards of this worker that the store at `out` lacks: all if there is none.

    StoreError for a store of another plan.
    """
    own = [shard for shard in range(n_shards) if share.takes(shard)]
    if out is None:
        return own
    folder = as_path(out, "out")
    if not folder.is_dir() or not files.exists(folder, PLAN):
        return own
    info = store_info(folder)
    check_same_request(
        {"plan": info.plan, "layers": info.widths, "dtype": info.dtype},
        {"plan": record, "layers": dict(widths), "dtype": dtype},
        where=folder,
        remedy="Use the same options, choose another folder, or replace the store that is there: overwrite=True, or "
        "--overwrite on the command line.",
    )
    return [shard for shard in own if not files.exists(folder, journal_parts(shard))]


def commit_in_turn(
    writer: StoreWriter,
    shards: Iterable[int],
    spare: Sequence[ShardBuffers],
    compute: Callable[[int, ShardBuffers], Rows],
) -> None:
    """Compute the columns and rows of each shard. A thread writes and syncs one shard while the next is computed."""
    with ThreadPoolExecutor(1) as committer:
        pending: Future[bool] | None = None
        for turn, shard in enumerate(shards):
            columns, arrays = compute(shard, spare[turn % len(spare)])
            if pending is not None:
                pending.result()
            pending = committer.submit(writer.commit, shard, columns, arrays)
        if pending is not None:
            pending.result()


def environment(device: str) -> dict[str, str]:
    """Return what may change the last bits of an activation: the device and the versions of libraries."""
    record = {"device": device, "pyrepsim": __version__}
    for package in ("torch", "transformers", "tokenizers"):
        try:
            record[package] = installed(package)
        except PackageNotFoundError:
            record[package] = "not installed"
    return record
