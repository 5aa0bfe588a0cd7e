"""Writing arrays in memory to a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..core import files
from ..core.arrays import as_numpy
from ..core.errors import ShapeError, StoreError, check_choice
from ..core.outputs import has_files
from ..core.ownership import owning
from ..core.paths import as_path
from .columns import COLUMNS, check_columns
from .layout import DTYPES, MANIFEST, PLAN, cut_rows, plan_shards
from .reader import ActivationStore
from .removal import check_removable, clear_store
from .writer import StoreWriter


def write_store(
    path: str | Path,
    layers: Mapping[str, np.ndarray],
    *,
    columns: Mapping[str, np.ndarray] | None = None,
    plan: dict[str, Any] | None = None,
    dtype: str = "float16",
    shard_rows: int | Sequence[int] | None = None,
    overflow: str = "upgrade",
    overwrite: bool = False,
    wait: float | None = None,
) -> ActivationStore:
    """Write arrays to a new store and open it.

    Parameters
    ----------
    path : str or Path
        The folder of the store.
    layers : mapping of str to array-like of shape (n_rows, width)
        The representation of each layer; memory maps are read piece by piece.
    columns : mapping of str to array-like of shape (n_rows,), optional
        Token columns (see `TokenColumns`); ``doc_id``, ``position`` and ``token_id`` are required. By default row i is
        document i.
    plan : dict, optional
        A JSON object that describes where the values come from.
    dtype : {"float16", "bfloat16", "float32"}
        Type of the stored values.
    shard_rows : int or sequence of int, optional
        Rows per shard, or of each shard. By default a shard has 256 MiB.
    overflow : {"upgrade", "error"}
        What happens to values beyond the range of `dtype`: "upgrade" stores that layer's shard as float32, "error"
        raises NonFiniteError.
    overwrite : bool
        Remove the store in that folder first. Otherwise a folder that is not empty is refused.
    wait : float, optional
        Seconds to wait for another process that writes to the folder. By default it is refused at once.

    Returns
    -------
    ActivationStore

    Raises
    ------
    ShapeError
        If the arrays do not have the same number of rows, or are not matrices.
    NonFiniteError
        If there are NaN or infinite values.
    LockedError
        If another process writes to the folder.
    StoreError
        If the folder is not empty or cannot be written.

    Notes
    -----
    A call that fails removes what it wrote, so that the same call can be made again.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> layers = {"layer.0": np.zeros((4, 3)), "layer.1": np.ones((4, 3))}
    >>> columns = {"doc_id": [0, 0, 1, 1], "position": [0, 1, 0, 1], "token_id": [5, 6, 5, 7]}
    >>> store = rs.write_store("acts/base", layers, columns=columns)
    >>> store["layer.1"].shape, store.columns.doc_id.tolist()
    ((4, 3), [0, 0, 1, 1])
    """
    check_choice("dtype", dtype, DTYPES)
    layers = _as_arrays(layers)
    widths = {name: array.shape[1] for name, array in layers.items()}
    n_rows = len(next(iter(layers.values())))
    if any(len(array) != n_rows for array in layers.values()):
        sizes = {name: len(array) for name, array in layers.items()}
        raise ShapeError(f"All layers of a store must have the same number of rows: got {sizes}.")
    columns = check_columns(_numbered(n_rows) if columns is None else columns, n_rows, "columns")
    if shard_rows is None:
        shard_rows = plan_shards(n_rows, max(widths.values()), dtype)
    elif isinstance(shard_rows, int | np.integer):
        shard_rows = cut_rows(n_rows, shard_rows)
    if sum(shard_rows) != n_rows:
        raise ShapeError(f"shard_rows must add up to the {n_rows} rows given: got {sum(shard_rows)}.")
    root = as_path(path)
    with owning(root, wait=wait):
        _empty(root, overwrite=overwrite)
        try:
            writer = _Writer.create(
                root, plan or {}, layers=widths, shard_rows=shard_rows, dtype=dtype, overflow=overflow
            )
            start = 0
            for shard, n in enumerate(shard_rows):
                part = slice(start, start + n)
                writer.commit(
                    shard,
                    {name: columns[name][part] for name in COLUMNS},
                    {name: array[part] for name, array in layers.items()},
                )
                start += n
            return writer.seal()
        except BaseException:  # also an interruption: without the arrays nobody can complete this store
            with suppress(OSError):
                clear_store(root)
            raise


class _Writer(StoreWriter):
    _kept = "it starts from the beginning"


def _empty(root: Path, *, overwrite: bool) -> None:
    """Raise StoreError unless the folder, which we own, is empty; with `overwrite` remove the store in it."""
    if not has_files(root):
        return
    if overwrite:
        check_removable(root)
        clear_store(root)
        return
    unfinished = files.exists(root, PLAN) and not files.exists(root, MANIFEST)
    fact = "holds an unfinished store" if unfinished else "is not empty"
    raise StoreError(
        f"write_store needs a new folder: {root} {fact}. Choose another, or pass overwrite=True to replace the store "
        "in it."
    )


def _as_arrays(layers: Any) -> dict[str, np.ndarray]:
    """Return lists and tensors as arrays, and memory maps as they are. Raises ShapeError unless all are matrices."""
    if not isinstance(layers, Mapping) or not layers:
        kind = "none" if isinstance(layers, Mapping) else f"a {type(layers).__name__}"
        raise ShapeError(f"layers must map names to arrays of shape (n_rows, width): got {kind}. Pass {{name: array}}.")
    arrays = {}
    for name, layer in layers.items():
        array = as_numpy(layer, f"layer {name}")
        if array.ndim != 2 or array.shape[1] == 0:
            raise ShapeError(
                f"A layer must be an array of shape (n_rows, width), width at least 1: {name} has shape "
                f"{array.shape}. Reshape it first."
            )
        arrays[name] = array
    return arrays


def _numbered(n_rows: int) -> dict[str, np.ndarray]:
    return {"doc_id": np.arange(n_rows), "position": np.zeros(n_rows, int), "token_id": np.full(n_rows, -1)}
