"""Writing a store: shards in any order, by any number of processes, each whole or absent; then the seal."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..backends import default_threads
from ..core.errors import CorruptStoreError, DTypeError, LayerError, NonFiniteError, OptionError, ShapeError, StoreError
from ..core.locks import lock
from . import durable, faults, files, jsonfile
from .columns import IDENTITY, RowsDigest, check_columns
from .convert import Converter, DoesNotFit
from .header import layer_header, tokens_header
from .layout import DOCS, DTYPES, MANIFEST, Parts, claim_name, journal_parts, layer_parts, shard_of, tokens_parts
from .manifest import FileRecord, LayerRecord, Manifest, Plan, ShardRecord
from .planning import freeze_plan
from .reader import ActivationStore, open_store
from .shardfile import read_columns

log = logging.getLogger("pyrepsim.store")

_AT_ONCE = 4
"""Layers of a shard that are written at once, at most: each holds a block of eight megabytes."""

_SOURCES = ("float16", "bfloat16", "float32", "float64")


class StoreWriter:
    """Writes the shards of one store; make it with ``StoreWriter.create``.

    ``commit`` may be called from several threads and processes, for different shards or the same one. Nothing
    that was committed is ever lost: after kill -9 at any point, ``create`` with the same plan goes on, and
    the sealed store is byte for byte the one an undisturbed run makes.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self._plan = plan
        self._closed = False

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
        """Start the store at ``path``, or go on with it if it was started under the same plan.

        Parameters
        ----------
        plan : JSON object with all that determines the values; ``plan["rows"]`` holds the part that two
            stores must share to be compared (texts, tokenizer, batches, policies).
        layers : name -> width, in the model's order.
        shard_rows : rows of each shard; see ``plan_shards``.
        dtype : ``"float16"``, ``"bfloat16"`` or ``"float32"``.
        overflow : for values beyond the range of ``dtype``: ``"upgrade"`` stores that layer's shard as
            float32, ``"error"`` raises NonFiniteError.
        checksum : ``"xxh3_128"`` detects accidents; ``"sha256"`` (slower) also a forger, if the root digest
            is known from elsewhere.

        Raises OptionError for a plan that cannot be kept, StoreError for a folder that holds anything else or
        a store of another plan, CorruptStoreError for a sealed store with a damaged file.
        """
        wanted, data = Plan.make(
            plan,
            {name: _plain(width) for name, width in layers.items()},
            [_plain(rows) for rows in shard_rows],
            dtype=dtype,
            overflow=overflow,
            checksum=checksum,
        )
        root = Path(path)
        with durable.explained(root):
            writer = cls(root, freeze_plan(root, wanted, data))
            writer._prepare()
        return writer

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends this writer, not the store: what is committed stays, sealing is a decision of its own."""
        self._closed = True

    @property
    def layers(self) -> dict[str, int]:
        """Name -> width."""
        return dict(self._plan.layers)

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each planned shard."""
        return self._plan.shard_rows

    def missing(self) -> list[int]:
        """The shards that nobody has committed yet."""
        shards = range(len(self._plan.shard_rows))
        return [shard for shard in shards if not files.exists(self.path, journal_parts(shard))]

    def commit(self, shard: int, columns: Mapping[str, np.ndarray], activations: Mapping[str, np.ndarray]) -> bool:
        """Store one shard: all layers and the token columns, or, if anything fails, nothing.

        Parameters
        ----------
        columns : column name -> array of shape (n,); ``doc_id``, ``position`` and ``token_id`` are required.
        activations : layer name -> array of shape (n, width) of float16, bfloat16, float32 or float64.

        Returns True if this call committed the shard, False if another writer has or is just doing so. Raises
        ShapeError, DTypeError, LayerError, OptionError, NonFiniteError for the data, StoreError for the disk.
        """
        if self._closed:
            raise StoreError(f"A writer must be open to commit: this one of {self.path} was left. Create it again.")
        self._check(shard, activations)
        checked = check_columns(columns, self._plan.shard_rows[shard], f"shard {shard}")
        with durable.explained(self.path), lock(self.path / "journal" / claim_name(f"{shard:05d}")) as state:
            if state == "busy" or files.exists(self.path, journal_parts(shard)):
                return False
            try:
                self._commit(shard, checked, activations)
            except BaseException:
                if not files.exists(self.path, journal_parts(shard)):
                    self._sweep(shard)
                raise
        return True

    def seal(self, docs: Iterable[Mapping[str, Any]] | None = None) -> ActivationStore:
        """Write the manifest once all shards are there, and open the store. Sealing twice is sealing once.

        ``docs``: one JSON object per document (its key, its words, what was cut), kept as ``docs.jsonl``.
        """
        if not files.exists(self.path, MANIFEST):
            with durable.explained(self.path), lock(self.path / claim_name("manifest"), wait=True):
                if not files.exists(self.path, MANIFEST):
                    self._seal(docs)
        for folder in (self.path, self.path / "journal"):
            for claim in folder.glob(".claim-*"):  # of writers that died: nothing is left to be claimed
                claim.unlink(missing_ok=True)
        return open_store(self.path)

    def _check(self, shard: int, activations: Mapping[str, np.ndarray]) -> None:
        planned = self._plan.shard_rows
        if not isinstance(shard, int | np.integer) or not 0 <= shard < len(planned):
            raise OptionError(f"The shard must be one of 0..{len(planned) - 1}, as planned: got {shard!r}.")
        if activations.keys() != self._plan.layers.keys():
            odd = sorted(map(str, activations.keys() ^ self._plan.layers.keys()))
            raise LayerError(
                f"Shard {shard} must hold every layer of the plan and no other: {', '.join(odd[:8])} is "
                "missing or unknown. Plan the layers that you store."
            )
        for name, width in self._plan.layers.items():
            array, due = activations[name], (planned[shard], width)
            if not isinstance(array, np.ndarray):
                kind = type(array).__name__
                raise DTypeError(f"Layer {name} must be a NumPy array: got {kind}. Tensors have .numpy().")
            if array.shape != due:
                raise ShapeError(f"Layer {name} of shard {shard} must have shape {due}: got {array.shape}.")
            if array.dtype.name not in _SOURCES or not array.dtype.isnative:
                raise DTypeError(
                    f"Layer {name} must hold {', '.join(_SOURCES)}, in native byte order: got "
                    f"{array.dtype!r}. Convert it first, e.g. with .astype(np.float32)."
                )

    def _commit(self, shard: int, columns: dict[str, np.ndarray], activations: Mapping[str, np.ndarray]) -> None:
        self._sweep(shard)  # what a dead writer of this shard left
        faults.strike("begin", shard)
        tokens = self._write_tokens(shard, columns)

        def write(layer: tuple[int, str]) -> LayerRecord:
            index, name = layer
            return self._write_layer(shard, index, name, activations[name])

        with ThreadPoolExecutor(min(_AT_ONCE, default_threads())) as threads:  # one waits for the disk, one hashes
            written = list(threads.map(write, enumerate(self._plan.layers)))
        layers = dict(zip(self._plan.layers, written, strict=True))
        record = ShardRecord(shard, self._plan.shard_rows[shard], self._plan.digest, tokens, layers)
        durable.write_durably(self.path, journal_parts(shard), record.to_bytes(), shard=shard, what="journal")
        faults.strike("journal", shard)

    def _write_tokens(self, shard: int, columns: dict[str, np.ndarray]) -> FileRecord:
        head = tokens_header(self._plan.digest, shard, self._plan.shard_rows[shard])
        with self._file(tokens_parts(shard), head, shard, "tokens") as file:
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
                    f"Activations must fit in the store's type: layer {name}, shard {shard} goes beyond the "
                    f"range of {self._plan.dtype}. Use dtype='float32', or overflow='upgrade'."
                ) from None
            log.info("%s: layer %s, shard %d does not fit in %s: float32", self.path, name, shard, self._plan.dtype)
        try:
            return self._write_as("float32", shard, index, name, array)
        except DoesNotFit:
            raise NonFiniteError(
                f"Activations must fit in float32: layer {name}, shard {shard} goes beyond. Scale them first."
            ) from None

    def _write_as(self, dtype: str, shard: int, index: int, name: str, array: np.ndarray) -> LayerRecord:
        converter = Converter(array, DTYPES[dtype], f"layer {name}, shard {shard}")
        n_rows, width = array.shape
        head = layer_header(self._plan.digest, name, shard, n_rows, width, DTYPES[dtype])
        with self._file(layer_parts(index, shard), head, shard, name) as file:
            for block in converter.blocks():
                file.write(_bytes_of(block))
            file.finish()
        return LayerRecord(dtype, file.n_bytes, file.checksum(), 0, converter.absmax, converter.shift())

    def _file(self, parts: Parts, head: bytes, shard: int, what: str) -> durable.DurableFile:
        return durable.DurableFile(self.path, parts, checksum=self._plan.checksum, head=head, shard=shard, what=what)

    def _parts(self, shard: int) -> list[Parts]:
        return [tokens_parts(shard), *(layer_parts(index, shard) for index in range(len(self._plan.layers)))]

    def _sweep(self, shard: int) -> None:
        """Remove all files of an uncommitted shard; its claim must be held."""
        for parts in [*self._parts(shard), journal_parts(shard)]:
            path = self.path.joinpath(*parts)
            path.unlink(missing_ok=True)
            durable.temporary(path).unlink(missing_ok=True)

    def _prepare(self) -> None:
        """Make the folders; then check what is committed and remove what is not."""
        layers = [self.path / "layers" / layer_parts(index, 0)[1] for index in range(len(self._plan.layers))]
        folders = [self.path / "tokens", self.path / "journal", *layers]
        for folder in [self.path / "layers", *folders]:
            durable.make_folder(folder)
        sealed = files.exists(self.path, MANIFEST)
        seen = {shard_of(entry.name) for folder in folders for entry in folder.iterdir()}
        for shard in sorted(seen.intersection(range(len(self.shard_rows)))):
            if files.exists(self.path, journal_parts(shard)):
                self._recheck(shard, sealed)
            if not files.exists(self.path, journal_parts(shard)):
                with lock(self.path / "journal" / claim_name(f"{shard:05d}")) as state:
                    if state == "held" and not files.exists(self.path, journal_parts(shard)):
                        self._sweep(shard)

    def _recheck(self, shard: int, sealed: bool) -> None:
        """Take a damaged shard back, so that it is written again; what is sealed is not ours to change."""
        try:
            self._committed(shard)
        except CorruptStoreError as error:
            if sealed:
                raise
            log.warning("%s: shard %d is damaged and will be written again: %s", self.path, shard, error)
            self.path.joinpath(*journal_parts(shard)).unlink(missing_ok=True)

    def _committed(self, shard: int) -> tuple[ShardRecord, str]:
        """The record of a committed shard and its digest, once all files are there in their sizes."""
        parts = journal_parts(shard)
        where = f"{files.name_of(parts)} of {self.path}"
        record, digest = ShardRecord.from_bytes(files.read_small(self.path, parts), self._plan, shard, where)
        sizes = [record.tokens.n_bytes, *(layer.n_bytes for layer in record.layers.values())]
        for parts, n_bytes in zip(self._parts(shard), sizes, strict=True):
            with files.opened(self.path, parts) as fd:
                files.check_size(fd, n_bytes, f"{files.name_of(parts)} of {self.path}")
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
            digests.append(self._committed(shard)[1])
            identity.update(read_columns(self.path, self._plan.digest, shard, n_rows, IDENTITY))
        manifest = Manifest(
            self._plan.digest, self._plan.n_rows, tuple(digests), identity.hexdigest(), self._write_docs(docs)
        )
        faults.strike("seal", None)
        durable.write_durably(self.path, MANIFEST, manifest.to_bytes(), what="manifest")
        faults.strike("sealed", None)

    def _write_docs(self, docs: Iterable[Mapping[str, Any]] | None) -> FileRecord | None:
        if docs is None:
            self.path.joinpath(*DOCS).unlink(missing_ok=True)
            return None
        with durable.DurableFile(self.path, DOCS, checksum=self._plan.checksum, what="docs") as file:
            for doc in docs:
                try:
                    jsonfile.check_writable(doc, "the entry")
                except (ValueError, TypeError) as error:
                    raise OptionError(f"docs must be JSON objects: {error}. Convert it first.") from error
                file.write(json.dumps(doc, sort_keys=True).encode("ascii") + b"\n")
            file.finish()
        return FileRecord(file.n_bytes, file.checksum())


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value


def _bytes_of(array: np.ndarray) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8))
