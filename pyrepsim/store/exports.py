"""Exporting a store to the file formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..core import outputs
from ..core.errors import MissingExtraError, OptionError, StoreError, check_choice
from ..core.outputs import has_files
from ..core.ownership import owning
from ..core.paths import as_path
from .layout import DTYPES
from .reader import ActivationStore, open_store
from .representation import Representation

_CHUNK = 8192
_SAFETENSORS = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


def export(
    store: ActivationStore | str | Path,
    out: str | Path,
    format: str = "npy",  # noqa: A002
    *,
    wait: float | None = None,
) -> list[Path]:
    """Write a store in a format that other programs read.

    Values are exact. Where a format has no bfloat16 (npy, Arrow), bfloat16 and mixed shards become float32. The
    memory needed is that of one chunk. An export that fails removes what it wrote.

    Parameters
    ----------
    store : ActivationStore, str or Path
        The store, or its folder.
    out : str or Path
        A new or empty folder.
    format : {"npy", "safetensors", "arrow"}
        "npy": ``<layer>.npy`` of shape (n_rows, width) for each layer, and ``columns.npz`` with the token columns.
        "safetensors": ``<layer>.safetensors`` with the tensor ``activation``, and ``columns.safetensors``. "arrow":
        ``store.arrow``, an Arrow IPC file with one column per token column and per layer (fixed-size lists); it needs
        pyarrow.
    wait : float, optional
        Seconds to wait for another process that writes to the folder. By default it is refused at once.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OptionError
        If a layer has the same name as the token columns in that format.
    LockedError
        If another process writes to the folder.
    StoreError
        If the folder is not empty or cannot be written.
    MissingExtraError
        If pyarrow is needed and not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import export
    >>> store = rs.write_store("acts/base", {"layer.0": np.arange(6.0).reshape(3, 2)})
    >>> layer, columns = export(store, "exported")
    >>> layer.name, columns.name
    ('layer.0.npy', 'columns.npz')
    >>> np.load(layer)
    array([[0., 1.],
           [2., 3.],
           [4., 5.]], dtype=float16)
    """
    check_choice("format", format, _FORMATS)
    opened = store if isinstance(store, ActivationStore) else open_store(store)
    names = _file_names(opened, format)
    _check_names(opened, format, names)
    folder = as_path(out, "out")
    with outputs.explain_errors(folder, task="The export to", kept="it starts from the beginning"):
        with owning(folder, wait=wait):
            if has_files(folder):
                raise StoreError(f"An export needs a new folder: {folder} is not empty. Choose another.")
            try:
                return _FORMATS[format](opened, folder)
            except BaseException:  # also an interruption: half an export looks like a complete one
                for name in names:
                    (folder / name).unlink(missing_ok=True)
                raise


def _file_names(store: ActivationStore, format: str) -> list[str]:  # noqa: A002
    if format == "arrow":
        return ["store.arrow"]
    return [*(f"{name}.{format}" for name in store), "columns.npz" if format == "npy" else "columns.safetensors"]


def _check_names(store: ActivationStore, format: str, names: list[str]) -> None:  # noqa: A002
    """Raise OptionError if a layer would have the file or the Arrow column of the token columns."""
    taken = [name for name in store if format == "arrow" and name in store.columns]
    taken += [name for name in store if names.count(f"{name}.{format}") > 1]
    if taken:
        raise OptionError(
            f"All names in an export must differ: format={format!r} uses the name of the layer {taken[0]!r} of "
            f"{store.path} for token columns. Choose format='npy'."
        )


def _to_npy(store: ActivationStore, folder: Path) -> list[Path]:
    written = []
    for name in store:
        layer = store[name]
        dtype = DTYPES["float32"] if layer.dtype.name == "bfloat16" else layer.dtype

        def write(file: IO[bytes], layer: Representation = layer, dtype: np.dtype = dtype) -> None:
            header = {"descr": dtype.str, "fortran_order": False, "shape": layer.shape}
            np.lib.format.write_array_header_2_0(file, header)
            _write_rows(file, layer, dtype)

        written.append(_complete(folder / f"{name}.npy", write))
    return [*written, _complete(folder / "columns.npz", lambda file: np.savez(file, **dict(store.columns)))]


def _to_safetensors(store: ActivationStore, folder: Path) -> list[Path]:
    written = []
    for name in store:
        layer = store[name]

        def write(file: IO[bytes], layer: Representation = layer) -> None:
            n_bytes = layer.shape[0] * layer.shape[1] * layer.dtype.itemsize
            tensor = {
                "dtype": _SAFETENSORS[layer.dtype.name],
                "shape": layer.shape,
                "data_offsets": [0, n_bytes],
            }
            text = json.dumps({"activation": tensor}).encode("ascii")
            text = text.ljust(-(-len(text) // 8) * 8)
            file.write(len(text).to_bytes(8, "little") + text)
            _write_rows(file, layer, layer.dtype)

        written.append(_complete(folder / f"{name}.safetensors", write))
    from safetensors.numpy import save

    return [*written, _complete(folder / "columns.safetensors", lambda file: file.write(save(dict(store.columns))))]


def _to_arrow(store: ActivationStore, folder: Path) -> list[Path]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("Arrow files need pyarrow: pip install 'pyrepsim[plot]', or export as npy.") from error
    layers = [store[name] for name in store]
    kinds = {layer.name: np.dtype(np.float16 if layer.dtype.name == "float16" else np.float32) for layer in layers}
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(column.dtype)) for name, column in store.columns.items()]
        + [(layer.name, pa.list_(pa.from_numpy_dtype(kinds[layer.name]), layer.shape[1])) for layer in layers]
    )

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, schema) as sink:
            start = 0
            for chunks in zip(*(layer.chunks(_CHUNK) for layer in layers), strict=True):
                stop = start + len(chunks[0])
                arrays = [pa.array(column[start:stop]) for column in store.columns.values()]
                for layer, chunk in zip(layers, chunks, strict=True):
                    flat = np.ascontiguousarray(chunk, dtype=kinds[layer.name]).reshape(-1)
                    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), layer.shape[1]))
                sink.write_batch(pa.record_batch(arrays, schema=schema))
                start = stop

    return [_complete(folder / "store.arrow", write)]


def _write_rows(file: IO[bytes], layer: Representation, dtype: np.dtype) -> None:
    for chunk in _chunks(layer, dtype):
        file.write(memoryview(chunk.reshape(-1).view(np.uint8)))


def _chunks(layer: Representation, dtype: np.dtype) -> Iterator[np.ndarray]:
    return (np.ascontiguousarray(chunk, dtype=dtype) for chunk in layer.chunks(_CHUNK))


def _complete(path: Path, write: Callable[[IO[bytes]], Any]) -> Path:
    """Let ``write`` fill a temporary file that is renamed at the end, so that a file of that name is complete."""
    fd, temporary = outputs.open_temporary(path)
    try:
        with open(fd, "wb") as file:
            write(file)
            file.flush()
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


_FORMATS = {"npy": _to_npy, "safetensors": _to_safetensors, "arrow": _to_arrow}
