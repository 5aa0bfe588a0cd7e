"""Opening a sealed store for reading."""

from __future__ import annotations

import difflib
import functools
import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..core import files, json_files
from ..core.errors import CorruptStoreError, LayerError, StoreError, check_choice
from ..core.files import is_remote
from ..core.memory import allocating, format_bytes
from ..core.paths import as_path
from ..core.text import printable
from .columns import COLUMNS, TokenColumns
from .layout import DOCS, MANIFEST, PLAN, journal_parts, layer_parts, tokens_parts
from .manifest import Manifest, Plan, ShardRecord
from .representation import Representation, Selection
from .shards import read_columns

IO = ("auto", "mmap", "pread")
_FEWER_ROWS = "Extract fewer texts to a store, or use a machine with more memory."


def open_store(path: str | Path, *, io: str = "auto", expect_digest: str | None = None) -> ActivationStore:
    """Open a sealed store for reading.

    Opening checks the plan, the journal and the manifest against their digests and against each other, and that every
    file is a regular file of the right size. The header of a file is checked when it is first used. `verify` checks
    every byte.

    Parameters
    ----------
    path : str or Path
        The folder of the store.
    io : {"auto", "mmap", "pread"}
        How files are read: by memory maps, or by positioned reads. "auto" uses memory maps on local disks and
        positioned reads on network file systems.
    expect_digest : str, optional
        The root digest that the store must have (``store.digest``), for example as published.

    Returns
    -------
    ActivationStore

    Raises
    ------
    StoreError
        If there is no sealed store.
    CorruptStoreError
        If files are missing or damaged.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> _ = rs.write_store("acts/base", {"layer.0": np.ones((4, 3)), "layer.1": np.zeros((4, 3))})
    >>> store = rs.open_store("acts/base")
    >>> store.layers, store.n_rows
    (('layer.0', 'layer.1'), 4)
    """
    check_choice("io", io, IO)
    root = as_path(path)
    seen = _identity(root)
    plan, manifest, digest = _open_manifest(root)
    if expect_digest is not None and digest != expect_digest:
        raise CorruptStoreError(
            f"{root} must have the root digest {expect_digest}: found {digest}. It is another store, or was replaced."
        )
    records = tuple(_open_record(root, plan, shard, expected) for shard, expected in enumerate(manifest.records))
    for record in records:
        _check_sizes(root, plan, record)
    if manifest.docs is not None:
        with files.opened(root, DOCS) as fd:
            files.check_size(fd, manifest.docs.n_bytes, f"docs.jsonl of {root}")
    if io == "auto":
        io = "pread" if is_remote(root) else "mmap"
    return ActivationStore(root, plan, manifest, digest, records, io, seen)


def read_plan(root: Path) -> Plan:
    """Return the plan of a store, sealed or not. Raises StoreError if there is none."""
    if not root.is_dir():
        raise StoreError(f"A store is a folder: there is none at {root}. Check the path, or extract one.")
    if not files.exists(root, PLAN):
        raise StoreError(f"A store has a file plan.json: {root} has none, so it is not a store. Check the path.")
    return Plan.read(root)


def _identity(root: Path) -> tuple[int, ...] | None:
    """Return what changes if the manifest of a store is written again; None if there is no manifest."""
    try:
        stat = root.joinpath(*MANIFEST).lstat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _open_manifest(root: Path) -> tuple[Plan, Manifest, str]:
    plan = read_plan(root)
    if not files.exists(root, MANIFEST):
        n_shards = len(plan.shard_rows)
        n_committed = sum(files.exists(root, journal_parts(shard)) for shard in range(n_shards))
        raise StoreError(
            f"A store must be sealed before it is read: {root} has {n_committed} of {n_shards} shards committed. "
            "Run the same extraction again to write the others."
        )
    manifest, digest = Manifest.read(root, plan)
    return plan, manifest, digest


def _open_record(root: Path, plan: Plan, shard: int, expected: str) -> ShardRecord:
    record, digest = ShardRecord.read(root, plan, shard)
    if digest != expected:
        raise CorruptStoreError(
            f"{files.file_name(journal_parts(shard))} of {root} must have the digest in the manifest, "
            f"{expected[:12]}...: found {digest[:12]}.... It is a record of another run; restore it from a copy."
        )
    return record


def _check_sizes(root: Path, plan: Plan, record: ShardRecord) -> None:
    sizes = {tokens_parts(record.shard): record.tokens.n_bytes}
    for index, name in enumerate(plan.layers):
        sizes[layer_parts(index, record.shard)] = record.layers[name].n_bytes
    for parts, n_bytes in sizes.items():
        with files.opened(root, parts) as fd:
            files.check_size(fd, n_bytes, f"{files.file_name(parts)} of {root}")


class ActivationStore:
    """A sealed store: layers with the same rows, and the tokens that these rows come from.

    Open it with `open_store`. ``store["layer.8"]`` or ``store[-1]`` is a `Representation`, ``store.columns`` holds the
    token columns, and iterating gives the layers' names. A store keeps no files open and can be pickled: the copy
    opens the same folder, and checks that it is the same store.

    Attributes
    ----------
    path : Path
        The folder.
    digest : str
        The root digest. It covers every byte of the store.
    layers : tuple of str
        Names of the layers, in the model's order.
    widths : dict of str to int
        Number of features of each layer.
    columns : TokenColumns
        Document, position and token of each row.
    io : {"mmap", "pread"}
        How files are read.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> store = rs.write_store("acts/tuned", {"layer.0": np.ones((4, 3)), "layer.1": np.zeros((4, 2))})
    >>> list(store)
    ['layer.0', 'layer.1']
    >>> store[-1]
    Representation('layer.1', 4 rows x 2 features, float16)
    """

    def __init__(
        self,
        path: Path,
        plan: Plan,
        manifest: Manifest,
        digest: str,
        records: tuple[ShardRecord, ...],
        io: str,
        seen: tuple[int, ...] | None,
    ) -> None:
        self.path, self.digest, self.records, self.io = path, digest, records, io
        self._seen = seen
        self._plan, self._manifest = plan, manifest
        self.layers = tuple(plan.layers)
        self.widths = dict(plan.layers)
        self.columns = TokenColumns(self._column, plan.n_rows, self._held())
        self._selections: dict[int, tuple[np.ndarray | None, Selection]] = {}

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that was given when the store was created."""
        return self._plan.user

    def planned(self, *keys: str) -> Any:
        """Return ``plan[key][key]...``, or None if the plan, which any tool may have written, has no such value."""
        value: Any = self.plan
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _held(self) -> str:
        """Return `TokenColumns.held`."""
        if self.planned("policy", "rows") == "document":
            return "document"
        tokens = self.planned("policy", "tokens")
        return tokens if isinstance(tokens, str) else "all"

    @property
    def plan_digest(self) -> str:
        """SHA-256 of the frozen plan. It identifies the store independently of the computed values."""
        return self._plan.digest

    @property
    def rows_digest(self) -> str:
        """SHA-256 of the identity of all rows: equal in stores of the same tokens in the same order."""
        return self._manifest.rows_digest

    @property
    def n_rows(self) -> int:
        """Number of rows of every layer."""
        return self._plan.n_rows

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return self._plan.shard_rows

    @property
    def dtype(self) -> str:
        """The planned type; single shards may be stored as float32 (see ``Representation.dtypes``)."""
        return self._plan.dtype

    @property
    def n_bytes(self) -> int:
        """Bytes of all shard files."""
        return sum(record.tokens.n_bytes for record in self.records) + sum(self[name].n_bytes for name in self)

    def __getitem__(self, layer: str | int) -> Representation:
        if isinstance(layer, int | np.integer) and -len(self.layers) <= layer < len(self.layers):
            return Representation(self, self.layers[layer])
        if isinstance(layer, str) and layer in self.widths:
            return Representation(self, layer)
        raise LayerError(
            f"{self.path} has the layers {_shortened(self.layers)}: got {layer!r}.{_closest(layer, self.layers)}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __contains__(self, layer: object) -> bool:
        return layer in self.layers

    def docs(self) -> Iterator[dict[str, Any]]:
        """Iterate over the entries of ``docs.jsonl``, one per document; none without such a file."""
        if self._manifest.docs is None:
            return
        with ExitStack() as stack:
            with self.reading():
                fd = stack.enter_context(files.opened(self.path, DOCS))
            lines = stack.enter_context(open(fd, "rb", closefd=False))
            for number, line in enumerate(iter(lambda: lines.readline(json_files.MAX_BYTES + 1), b""), 1):
                yield json_files.parse(line, f"line {number} of docs.jsonl of {self.path}")

    def selection(self, mask: np.ndarray | None) -> Selection:
        """Return the selection of a mask. That of a read-only mask is kept, so that layers share it."""
        key = id(mask)
        known = self._selections.get(key)
        if known is not None and known[0] is mask:
            return known[1]
        if isinstance(mask, np.ndarray) and mask.flags.writeable:
            return Selection(self.shard_rows, mask.copy())  # the caller may change it during the pass
        selection = Selection(self.shard_rows, mask)
        self._selections = {key: (mask, selection)}  # one is enough; holding the mask keeps its id valid
        return selection

    def _column(self, name: str) -> np.ndarray:
        start, what = 0, f"The column {name} of {self.path}"
        with allocating(self.n_rows * COLUMNS[name].itemsize, what, _FEWER_ROWS), self.reading():
            column = np.empty(self.n_rows, dtype=COLUMNS[name])
            for shard, n_rows in enumerate(self.shard_rows):
                part = read_columns(self.path, self.plan_digest, shard, n_rows, [name])
                column[start : start + n_rows] = part[name]
                start += n_rows
        return column

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Open files of this store within a with-block; CorruptStoreError if they may be those of another store.

        A store is replaced by removing its manifest first. If it is unchanged at the end, the files were this store's.
        """
        try:
            yield
        except CorruptStoreError:
            self.check_unchanged()
            raise
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise CorruptStoreError unless the folder still holds the store that was opened."""
        seen = _identity(self.path)
        if seen is not None and seen == self._seen:
            return
        try:
            where = f"manifest.json of {self.path}"
            digest = json_files.file_digest(files.read_small_file(self.path, MANIFEST), where)
            fact = f"root digest {self.digest[:12]}... before, {digest[:12]}... now"
        except CorruptStoreError:
            digest, fact = None, "it is removed, damaged or being written"
        if digest != self.digest:
            raise CorruptStoreError(
                f"The folder of an open store must not change: the store in {self.path} was replaced since it was "
                f"opened ({fact}). Open it again: rs.open_store({str(self.path)!r})."
            )
        self._seen = seen

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(open_store, io=self.io, expect_digest=self.digest), (self.path,)

    def __repr__(self) -> str:
        return (
            f"ActivationStore({str(self.path)!r}: {self.n_rows:,} rows, {len(self.layers)} layers "
            f"({_shortened(self.layers)}), {self.dtype}, {format_bytes(self.n_bytes)})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "path": self.path,
            "rows": f"{self.n_rows:,}",
            "shards": len(self.shard_rows),
            "layers": ", ".join(f"{name} ({width})" for name, width in self.widths.items()),
            "type": self.dtype,
            "size": format_bytes(self.n_bytes),
            **{label: _fact(self.plan, *keys) for label, keys in _PLAN_FACTS.items()},
            "digest": self.digest,
        }
        lines = "".join(
            f"<tr><th>{key}</th><td>{html.escape(printable(str(value)))}</td></tr>"
            for key, value in facts.items()
            if value is not None
        )
        return f"<table><caption>ActivationStore</caption>{lines}</table>"


_PLAN_FACTS = {"model": ("model", "id"), "documents": ("rows", "documents"), "a row is a": ("rows", "unit")}


def _fact(plan: Any, *keys: str) -> Any:
    """A number or text at these keys of a plan, or on the way there, or None: a plan may be any JSON."""
    for key in keys:
        plan = plan.get(key) if isinstance(plan, Mapping) else plan
    return plan if isinstance(plan, str | int) else None


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 26 else (*names[:12], "...", *names[-2:]))


def _closest(layer: object, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(layer), names, n=1, cutoff=0.4)
    return f" Did you mean {close[0]!r}?" if close else f" Try store[{names[-1]!r}] or store[-1]."
