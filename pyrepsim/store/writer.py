"""Writing a store: the plan first, then shards in any order by any number of processes, then the manifest.

Each shard is complete or absent. A writer that was killed at any point is continued by creating it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..backends import default_threads
from ..core import files, json_files, outputs
from ..core.errors import CorruptStoreError, DTypeError, LayerError, NonFiniteError, OptionError, ShapeError, StoreError
from ..core.files import Parts
from ..core.locks import lock
from ..core.outputs import DurableFile
from ..core.paths import as_path
from .columns import IDENTITY, RowsDigest, check_columns
from .conversion import Converter, DoesNotFit
from .frozen_plan import check_frozen, freeze_plan
from .layout import (
    DOCS,
    DTYPES,
    MANIFEST,
    journal_parts,
    layer_header,
    layer_parts,
    lock_name,
    shard_of,
    tokens_header,
    tokens_parts,
)
from .manifest import FileRecord, LayerRecord, Manifest, Plan, ShardRecord
from .reader import ActivationStore, open_store
from .removal import remove_working_files
from .shards import read_columns

log = logging.getLogger("pyrepsim.store")

_LAYERS_AT_ONCE = 4
"""How many layers of a shard are written at the same time, at most; each needs eight megabytes."""

_SOURCES = ("float16", "bfloat16", "float32", "float64")


class StoreWriter:
    """Writes the shards of one store. Create it with `StoreWriter.create`.

    `commit` may be called by several threads and processes, for different shards or the same one. A committed shard is
    never lost: after a crash, `create` with the same plan continues, and the finished store is byte for byte the one
    that an uninterrupted run writes.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.store import StoreWriter
    >>> writer = StoreWriter.create("acts/base", {"model": "m"}, layers={"layer.0": 2}, shard_rows=[2, 1])
    >>> columns = {"doc_id": [0, 0], "position": [0, 1], "token_id": [5, 6]}
    >>> writer.commit(0, columns, {"layer.0": np.ones((2, 2))})
    True
    >>> writer.missing()
    [1]
    >>> columns = {"doc_id": [1], "position": [0], "token_id": [5]}
    >>> writer.commit(1, columns, {"layer.0": np.zeros((1, 2))})
    True
    >>> writer.seal().n_rows
    3
    """

    _kept = "committed shards are kept, and the others are written"
    """What happens to the files when the same command is run again after an error, for its message."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self._plan = plan
        self._closed = False
        layers = [path / "layers" / layer_parts(index, 0)[1] for index in range(len(plan.layers))]
        self._folders = [path / "tokens", path / "journal", *layers]

    @classmethod
    def create(
        cls,
        path: str | Path,
        plan: dict[str, Any],
        *,
        layers: Mapping[str, int],
        shard_rows: Sequence[int],
        dtype: str = "float16",
        overflow: str = "upgrade",
        checksum: str = "xxh3_128",
    ) -> StoreWriter:
        """Start a store, or continue one that was started with the same plan.

        Parameters
        ----------
        path : str or Path
            The folder of the store.
        plan : dict
            A JSON object with everything that determines the values. ``plan["rows"]`` is the part that two stores must
            share to be compared (texts, tokenizer, batches, policies).
        layers : mapping of str to int
            Width of each layer, in the model's order.
        shard_rows : sequence of int
            Rows of each shard; see `plan_shards`.
        dtype : {"float16", "bfloat16", "float32"}
            Type of the stored values.
        overflow : {"upgrade", "error"}
            What happens to values beyond the range of `dtype`: "upgrade" stores that layer's shard as float32, "error"
            raises NonFiniteError.
        checksum : {"xxh3_128", "sha256"}
            "xxh3_128" detects accidental changes. "sha256" is slower and also detects forgery, if the root digest is
            published elsewhere.

        Returns
        -------
        StoreWriter

        Raises
        ------
        OptionError
            If the plan cannot be stored.
        StoreError
            If the folder holds other files, or a store with another plan.
        CorruptStoreError
            If the folder holds a finished store with a damaged file.
        """
        requested, data = Plan.make(
            plan,
            {name: _as_int(width) for name, width in layers.items()},
            [_as_int(rows) for rows in shard_rows],
            dtype=dtype,
            overflow=overflow,
            checksum=checksum,
        )
        root = as_path(path)
        with cls._explained(root):
            writer = cls(root, freeze_plan(root, requested, data))
            writer._prepare()
        return writer

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close this writer. Committed shards stay; the store is not sealed."""
        self._closed = True

    @property
    def layers(self) -> dict[str, int]:
        """Width of each layer, by name."""
        return dict(self._plan.layers)

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each planned shard."""
        return self._plan.shard_rows

    def missing(self) -> list[int]:
        """Return the shards that are not committed yet."""
        shards = range(len(self._plan.shard_rows))
        return [shard for shard in shards if not files.exists(self.path, journal_parts(shard))]

    def commit(self, shard: int, columns: Mapping[str, np.ndarray], activations: Mapping[str, np.ndarray]) -> bool:
        """Store one shard: all layers and the token columns or, if anything fails, nothing.

        Parameters
        ----------
        shard : int
            Number of the shard.
        columns : mapping of str to array-like of shape (n_rows,)
            Token columns; ``doc_id``, ``position`` and ``token_id`` are required.
        activations : mapping of str to ndarray of shape (n_rows, width)
            All layers, as float16, bfloat16, float32 or float64.

        Returns
        -------
        bool
            False if another writer has committed the shard, or is committing it now.

        Raises
        ------
        ShapeError, DTypeError, LayerError, OptionError, NonFiniteError
            If the data do not fit the plan.
        StoreError
            If the disk is full or fails.
        """
        if self._closed:
            raise StoreError(f"A writer must be open to commit: this one of {self.path} was closed. Create it again.")
        self._check(shard, activations)
        checked = check_columns(columns, self._plan.shard_rows[shard], f"shard {shard}")
        with self._explained(self.path), lock(self.path / "journal" / lock_name(f"{shard:05d}")) as state:
            check_frozen(self.path, self._plan)
            if state == "busy" or files.exists(self.path, journal_parts(shard)):
                return False
            try:
                self._commit(shard, checked, activations)
            except BaseException:
                if not files.exists(self.path, journal_parts(shard)):
                    self._remove_files(shard)
                raise
        return True

    def seal(self, docs: Iterable[Mapping[str, Any]] | None = None) -> ActivationStore:
        """Write the manifest once all shards are committed, and open the store.

        Parameters
        ----------
        docs : iterable of mappings, optional
            One JSON object for each document (such as its name and its words), kept as ``docs.jsonl``.

        Returns
        -------
        ActivationStore
            If the store is sealed already, it is opened unchanged.

        Raises
        ------
        StoreError
            If shards are missing.
        """
        if not files.exists(self.path, MANIFEST):
            with self._explained(self.path), lock(self.path / lock_name("manifest"), wait=True):
                check_frozen(self.path, self._plan)
                if not files.exists(self.path, MANIFEST):
                    self._seal(docs)
        remove_working_files(self.path, self._folders)
        check_frozen(self.path, self._plan)
        return open_store(self.path)

    @classmethod
    def _explained(cls, root: Path) -> AbstractContextManager[None]:
        """Turn an OSError while a store is written into a StoreError with a remedy."""
        return outputs.explain_errors(root, task="Writing the store", kept=cls._kept)

    def _check(self, shard: int, activations: Mapping[str, np.ndarray]) -> None:
        planned = self._plan.shard_rows
        if not isinstance(shard, int | np.integer) or not 0 <= shard < len(planned):
            raise OptionError(f"The shard must be one of 0..{len(planned) - 1}, as planned: got {shard!r}.")
        if activations.keys() != self._plan.layers.keys():
            wrong = sorted(map(str, activations.keys() ^ self._plan.layers.keys()))
            raise LayerError(
                f"Shard {shard} must hold every layer of the plan and no other: {', '.join(wrong[:8])} is "
                "missing or unknown. Plan the layers that you store."
            )
        for name, width in self._plan.layers.items():
            array, shape = activations[name], (planned[shard], width)
            if not isinstance(array, np.ndarray) or np.ma.isMaskedArray(array):
                kind = type(array).__name__
                raise DTypeError(f"Layer {name} must be a NumPy array: got {kind}. Tensors have .numpy().")
            if array.shape != shape:
                raise ShapeError(f"Layer {name} of shard {shard} must have shape {shape}: got {array.shape}.")
            if array.dtype.name not in _SOURCES or not array.dtype.isnative:
                raise DTypeError(
                    f"Layer {name} must hold {', '.join(_SOURCES)}, in native byte order: got "
                    f"{array.dtype!r}. Convert it first, e.g. with .astype(np.float32)."
                )

    def _commit(self, shard: int, columns: dict[str, np.ndarray], activations: Mapping[str, np.ndarray]) -> None:
        self._remove_files(shard)  # of a writer that was killed
        tokens = self._write_tokens(shard, columns)

        def write(layer: tuple[int, str]) -> LayerRecord:
            index, name = layer
            return self._write_layer(shard, index, name, activations[name])

        with ThreadPoolExecutor(min(_LAYERS_AT_ONCE, default_threads())) as threads:  # one hashes, another one writes
            written = list(threads.map(write, enumerate(self._plan.layers)))
        layers = dict(zip(self._plan.layers, written, strict=True))
        record = ShardRecord(shard, self._plan.shard_rows[shard], self._plan.digest, tokens, layers)
        outputs.write_durably(self.path.joinpath(*journal_parts(shard)), record.to_bytes())

    def _write_tokens(self, shard: int, columns: dict[str, np.ndarray]) -> FileRecord:
        head = tokens_header(self._plan.digest, shard, self._plan.shard_rows[shard])
        with self._new_file(tokens_parts(shard), head) as file:
            for column in columns.values():
                file.write(_bytes_of(column))
            file.finish()
        return FileRecord(file.n_bytes, file.checksum())

    def _write_layer(self, shard: int, index: int, name: str, array: np.ndarray) -> LayerRecord:
        try:
            return self._write_as(self._plan.dtype, shard, index, name, array)
        except DoesNotFit:
            if self._plan.overflow == "error":
                raise NonFiniteError(
                    f"Activations must fit in the store's type: layer {name}, shard {shard} exceeds the "
                    f"range of {self._plan.dtype}. Use dtype='float32', or overflow='upgrade'."
                ) from None
            log.info("%s: layer %s, shard %d exceeds %s: float32", self.path, name, shard, self._plan.dtype)
        try:
            return self._write_as("float32", shard, index, name, array)
        except DoesNotFit:
            raise NonFiniteError(
                f"Activations must fit in float32: layer {name}, shard {shard} exceeds it. Scale them first."
            ) from None

    def _write_as(self, dtype: str, shard: int, index: int, name: str, array: np.ndarray) -> LayerRecord:
        converter = Converter(array, DTYPES[dtype], f"layer {name}, shard {shard}")
        n_rows, width = array.shape
        head = layer_header(self._plan.digest, name, shard, n_rows, width, DTYPES[dtype])
        with self._new_file(layer_parts(index, shard), head) as file:
            for block in converter.blocks():
                file.write(_bytes_of(block))
            file.finish()
        return LayerRecord(dtype, file.n_bytes, file.checksum(), 0, converter.absmax, converter.shift())

    def _new_file(self, parts: Parts, head: bytes = b"") -> DurableFile:
        return DurableFile(self.path.joinpath(*parts), checksum=self._plan.checksum, head=head)

    def _parts(self, shard: int) -> list[Parts]:
        return [tokens_parts(shard), *(layer_parts(index, shard) for index in range(len(self._plan.layers)))]

    def _remove_files(self, shard: int) -> None:
        """Remove all files of a shard that is not committed and that we have locked."""
        for parts in [*self._parts(shard), journal_parts(shard)]:
            self.path.joinpath(*parts).unlink(missing_ok=True)

    def _prepare(self) -> None:
        """Create the folders, check the committed shards, and remove files of other shards."""
        for folder in [self.path / "layers", *self._folders]:
            outputs.make_folder(folder)
        for folder in [self.path, *self._folders]:
            outputs.sweep(folder)
        sealed = files.exists(self.path, MANIFEST)
        seen = {shard_of(entry.name) for folder in self._folders for entry in folder.iterdir()}
        for shard in sorted(seen.intersection(range(len(self.shard_rows)))):
            if files.exists(self.path, journal_parts(shard)):
                self._recheck(shard, sealed)
            if not files.exists(self.path, journal_parts(shard)):
                with lock(self.path / "journal" / lock_name(f"{shard:05d}")) as state:
                    if state == "held" and not files.exists(self.path, journal_parts(shard)):
                        self._remove_files(shard)

    def _recheck(self, shard: int, sealed: bool) -> None:
        """Remove the record of a damaged shard, so that it is written again; a sealed store is not changed."""
        try:
            self._read_record(shard)
        except CorruptStoreError as error:
            if sealed:
                raise
            log.warning("%s: shard %d is damaged and will be written again: %s", self.path, shard, error)
            self.path.joinpath(*journal_parts(shard)).unlink(missing_ok=True)

    def _read_record(self, shard: int) -> tuple[ShardRecord, str]:
        """Return the record of a committed shard and its digest. All its files must have the right sizes."""
        record, digest = ShardRecord.read(self.path, self._plan, shard)
        sizes = [record.tokens.n_bytes, *(layer.n_bytes for layer in record.layers.values())]
        for parts, n_bytes in zip(self._parts(shard), sizes, strict=True):
            with files.opened(self.path, parts) as fd:
                files.check_size(fd, n_bytes, f"{files.file_name(parts)} of {self.path}")
        return record, digest

    def _seal(self, docs: Iterable[Mapping[str, Any]] | None) -> None:
        missing = self.missing()
        if missing:
            raise StoreError(
                f"All shards must be committed before the store is sealed: {len(missing)} of "
                f"{len(self.shard_rows)} are missing in {self.path} (first: {missing[0]}). Run the "
                "extraction again to add them."
            )
        identity, digests = RowsDigest(), []
        for shard, n_rows in enumerate(self.shard_rows):
            digests.append(self._read_record(shard)[1])
            identity.update(read_columns(self.path, self._plan.digest, shard, n_rows, IDENTITY))
        manifest = Manifest(
            self._plan.digest, self._plan.n_rows, tuple(digests), identity.hexdigest(), self._write_docs(docs)
        )
        outputs.write_durably(self.path.joinpath(*MANIFEST), manifest.to_bytes())

    def _write_docs(self, docs: Iterable[Mapping[str, Any]] | None) -> FileRecord | None:
        if docs is None:
            self.path.joinpath(*DOCS).unlink(missing_ok=True)
            return None
        with self._new_file(DOCS) as file:
            for doc in docs:
                try:
                    json_files.check_writable(doc, "the entry")
                except (ValueError, TypeError) as error:
                    raise OptionError(f"docs must be JSON objects: {error}. Convert it first.") from error
                file.write(json.dumps(doc, sort_keys=True).encode("ascii") + b"\n")
            file.finish()
        return FileRecord(file.n_bytes, file.checksum())


def _as_int(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value


def _bytes_of(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))
