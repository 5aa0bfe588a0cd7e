"""Opening a sealed store.

FOLDED: Is a folder on a local disk? Memory maps are fast there, and slow or dangerous on a network file system.
"""

from __future__ import annotations

import difflib
import functools
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import CorruptStoreError, LayerError, StoreError
from ..core.memory import format_bytes
from . import files, jsonfile
from .columns import COLUMNS, TokenColumns
from .layout import DOCS, MANIFEST, PLAN, check_choice, journal_parts, layer_parts, tokens_parts
from .manifest import Manifest, Plan, ShardRecord
from .representation import Representation
from .selection import Selection
from .shardfile import read_columns

_REMOTE = frozenset(
    [
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph"),
        *("glusterfs", "lustre", "gpfs", "beegfs", "pvfs2", "orangefs", "wekafs", "panfs", "davfs"),
        *("virtiofs", "juicefs"),
    ]
)
_MOUNTS = Path("/proc/mounts")


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """True if ``folder`` lies on a network or FUSE file system, as far as /proc/mounts can tell."""
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="replace")
        except OSError:
            return False  # not Linux: taken for local
    kind = file_system(folder.resolve(), mounts)
    return kind in _REMOTE or (kind.startswith("fuse") and kind not in ("fuseblk", "fusectl"))


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system whose mount point is the deepest above ``folder``."""
    kind, deepest = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1]).rstrip("/") + "/"
        if len(point) >= len(deepest) and f"{folder}/".startswith(point):  # a later mount hides an earlier one
            kind, deepest = fields[2], point
    return kind


def _unescaped(text: str) -> str:
    """The kernel writes blanks in paths as octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


IO = ("auto", "mmap", "pread")


def open_store(path: str | Path, *, io: str = "auto", expect_digest: str | None = None) -> ActivationStore:
    """Open a sealed store for reading; nothing in it is trusted before it is checked.

    Checked now: plan, journal and manifest against their digests and each other, and that every file is a
    regular file of its exact size. Checked when a file is first used: its header. Checked by ``verify``:
    every byte.

    ``io``: ``"mmap"``, ``"pread"`` or ``"auto"``, which maps files of local disks and reads those of network
    ones.
    ``expect_digest``: the root digest that the store must have (``store.digest``), e.g. as published.

    Raises StoreError if there is no sealed store, CorruptStoreError for one whose bytes are not what was
    committed.
    """
    check_choice("io", io, IO)
    root = Path(path)
    plan, manifest, digest = _open_manifest(root)
    if expect_digest is not None and digest != expect_digest:
        raise CorruptStoreError(
            f"{root} must have the root digest {expect_digest}: found {digest}. It is another store, or was replaced."
        )
    records = tuple(_open_record(root, plan, shard, due) for shard, due in enumerate(manifest.records))
    for record in records:
        _check_sizes(root, plan, record)
    if manifest.docs is not None:
        with files.opened(root, DOCS) as fd:
            files.check_size(fd, manifest.docs.n_bytes, f"docs.jsonl of {root}")
    if io == "auto":
        io = "pread" if is_remote(root) else "mmap"
    return ActivationStore(root, plan, manifest, digest, records, io)


def read_plan(root: Path) -> Plan:
    """The plan of the store at ``root``, sealed or not. StoreError if there is none."""
    if not root.is_dir():
        raise StoreError(f"A store is a folder: there is none at {root}. Check the path, or extract one.")
    if not files.exists(root, PLAN):
        raise StoreError(f"A store holds a plan.json: {root} does not, so it is no store. Check the path.")
    return Plan.from_bytes(files.read_small(root, PLAN), f"plan.json of {root}")


def _open_manifest(root: Path) -> tuple[Plan, Manifest, str]:
    plan = read_plan(root)
    if not files.exists(root, MANIFEST):
        n_shards = len(plan.shard_rows)
        done = sum(files.exists(root, journal_parts(shard)) for shard in range(n_shards))
        raise StoreError(
            f"A store must be sealed before it is read: {root} has {done} of {n_shards} shards committed. "
            "Run the same extraction again: it goes on from there."
        )
    manifest, digest = Manifest.from_bytes(files.read_small(root, MANIFEST), plan, f"manifest.json of {root}")
    return plan, manifest, digest


def _open_record(root: Path, plan: Plan, shard: int, due: str) -> ShardRecord:
    parts = journal_parts(shard)
    where = f"{files.name_of(parts)} of {root}"
    record, digest = ShardRecord.from_bytes(files.read_small(root, parts), plan, shard, where)
    if digest != due:
        raise CorruptStoreError(
            f"{where} must have the digest in the manifest, {due[:12]}...: found {digest[:12]}.... It is a "
            "record of another run; restore it from a copy."
        )
    return record


def _check_sizes(root: Path, plan: Plan, record: ShardRecord) -> None:
    due = {tokens_parts(record.shard): record.tokens.n_bytes}
    for index, name in enumerate(plan.layers):
        due[layer_parts(index, record.shard)] = record.layers[name].n_bytes
    for parts, n_bytes in due.items():
        with files.opened(root, parts) as fd:
            files.check_size(fd, n_bytes, f"{files.name_of(parts)} of {root}")


class ActivationStore:
    """A sealed store: layers of equal rows, and who those rows are. Open it with ``open_store``.

    ``store["layer.8"]`` or ``store[-1]`` is a ``Representation``; ``store.columns`` the token columns; iterating
    gives the layers' names. It holds no files open and may be pickled: the copy opens the same folder, if it
    still is that.
    """

    def __init__(
        self,
        path: Path,
        plan: Plan,
        manifest: Manifest,
        digest: str,
        records: tuple[ShardRecord, ...],
        io: str,
    ) -> None:
        self.path, self.digest, self.records, self.io = path, digest, records, io
        self._plan, self._manifest = plan, manifest
        self.layers = tuple(plan.layers)
        self.widths = dict(plan.layers)
        self.columns = TokenColumns(self._column, plan.n_rows)
        self._selections: dict[int, tuple[np.ndarray | None, Selection]] = {}

    @property
    def plan(self) -> dict[str, Any]:
        """What was given as the plan when the store was made."""
        return self._plan.user

    @property
    def plan_digest(self) -> str:
        """SHA-256 of the frozen plan: which store this is, whatever was computed."""
        return self._plan.digest

    @property
    def rows_digest(self) -> str:
        """SHA-256 of the identity of all rows: equal in stores of the same tokens in the same order."""
        return self._manifest.rows_digest

    @property
    def n_rows(self) -> int:
        return self._plan.n_rows

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return self._plan.shard_rows

    @property
    def dtype(self) -> str:
        """The planned type; single shards may have been upgraded to float32 (``Representation.dtypes``)."""
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
            f"{self.path} has the layers {_listed(self.layers)}: got {layer!r}.{_closest(layer, self.layers)}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __contains__(self, layer: object) -> bool:
        return layer in self.layers

    def docs(self) -> Iterator[dict[str, Any]]:
        """The entries of ``docs.jsonl``, one per document; nothing if the store has none."""
        if self._manifest.docs is None:
            return
        with files.opened(self.path, DOCS) as fd, open(fd, "rb", closefd=False) as lines:
            for number, line in enumerate(iter(lambda: lines.readline(jsonfile.MAX_BYTES + 1), b""), 1):
                yield jsonfile.parse(line, f"line {number} of docs.jsonl of {self.path}")

    def selection(self, mask: np.ndarray | None) -> Selection:
        """``mask`` worked out for this store's shards; kept if read-only, so that layers share it."""
        key = id(mask)
        known = self._selections.get(key)
        if known is not None and known[0] is mask:
            return known[1]
        if isinstance(mask, np.ndarray) and mask.flags.writeable:
            return Selection(self.shard_rows, mask.copy())  # its owner may change it while we walk
        selection = Selection(self.shard_rows, mask)
        self._selections = {key: (mask, selection)}  # one is enough, and holding its mask keeps the id valid
        return selection

    def _column(self, name: str) -> np.ndarray:
        column = np.empty(self.n_rows, dtype=COLUMNS[name])
        start = 0
        for shard, n_rows in enumerate(self.shard_rows):
            part = read_columns(self.path, self.plan_digest, shard, n_rows, [name])
            column[start : start + n_rows] = part[name]
            start += n_rows
        return column

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(open_store, io=self.io, expect_digest=self.digest), (self.path,)

    def __repr__(self) -> str:
        return (
            f"ActivationStore({str(self.path)!r}: {self.n_rows:,} rows, {len(self.layers)} layers "
            f"({_listed(self.layers)}), {self.dtype}, {format_bytes(self.n_bytes)})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "path": self.path,
            "rows": f"{self.n_rows:,}",
            "shards": len(self.shard_rows),
            "layers": ", ".join(f"{name} ({width})" for name, width in self.widths.items()),
            "type": self.dtype,
            "size": f"{format_bytes(self.n_bytes)}",
            "plan": json.dumps(self.plan)[:400],
            "root digest": self.digest,
        }
        lines = "".join(f"<tr><th>{key}</th><td>{html.escape(str(value))}</td></tr>" for key, value in facts.items())
        return f"<table><caption>ActivationStore</caption>{lines}</table>"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= 26 else (*names[:12], "...", *names[-2:]))


def _closest(layer: object, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(layer), names, n=1, cutoff=0.4)
    return f" Did you mean {close[0]!r}?" if close else f" Try store[{names[-1]!r}] or store[-1]."
