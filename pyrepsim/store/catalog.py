"""Stores on disk: list, describe and verify them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import files
from ..core.errors import CorruptStoreError, StoreError
from ..core.files import Parts
from ..core.outputs import CHECKSUMS, is_working_file
from ..core.paths import as_path
from .columns import IDENTITY, ROW_BYTES, RowsDigest
from .layout import (
    DOCS,
    DTYPES,
    MANIFEST,
    PAGE,
    PLAN,
    check_header,
    journal_parts,
    layer_header,
    layer_parts,
    tokens_header,
    tokens_parts,
)
from .manifest import FileRecord, LayerRecord, Manifest, Plan, ShardRecord
from .reader import ActivationStore, read_plan
from .shards import read_columns

_READ_BYTES = 8 << 20


@dataclass(frozen=True)
class StoreInfo:
    """What the plan and the journal of a store state; shard files are not read. Get it from `store_info`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import store_info
    >>> store = rs.write_store("acts/info", {"layer.0": np.ones((4, 3))})
    >>> info = store_info(store.path)
    >>> info.n_rows, info.layers, info.state
    (4, ('layer.0',), 'sealed')
    """

    name: str
    """Path below the folder that was listed."""
    path: Path
    n_rows: int
    layers: tuple[str, ...]
    dtype: str
    n_bytes: int
    """Planned bytes, in the planned type."""
    committed: int
    """Number of shards that are committed."""
    n_shards: int
    sealed: bool
    problem: str | None = None
    """Why the plan cannot be read; the numbers are 0 then."""
    widths: dict[str, int] = field(default_factory=dict)
    """Width of each layer, by name."""
    plan: dict[str, Any] = field(default_factory=dict)
    """The plan that was given when the store was created."""

    @property
    def state(self) -> str:
        """``"sealed"``, ``"3/7 committed"`` or ``"unreadable"``."""
        if self.problem is not None:
            return "unreadable"
        return "sealed" if self.sealed else f"{self.committed}/{self.n_shards} committed"


@dataclass(frozen=True)
class Problem:
    """One problem that `verify` found in a store.

    Examples
    --------
    >>> from pyrepsim.store import Problem
    >>> print(Problem("layers/L00/shard-00002.safetensors", "a byte changed", layer="layer.0", shard=2))
    shard 2, layer layer.0: a byte changed
    """

    file: str
    """Path inside the store."""
    message: str
    layer: str | None = None
    shard: int | None = None

    def __str__(self) -> str:
        if self.shard is None:
            return self.message
        return f"shard {self.shard}, {f'layer {self.layer}' if self.layer else 'rows'}: {self.message}"


def list_stores(folder: str | Path) -> list[StoreInfo]:
    """Return all stores in a folder and its subfolders. Links are not followed.

    Parameters
    ----------
    folder : str or Path
        The folder to search.

    Returns
    -------
    list of StoreInfo
        Sorted by name. A store whose plan is damaged is listed with its `problem`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import list_stores
    >>> for name in ("tuned", "base"):
    ...     _ = rs.write_store(f"pairs/{name}", {"layer.0": np.ones((4, 3))})
    >>> [info.name for info in list_stores("pairs")]
    ['base', 'tuned']
    """
    root = as_path(folder)
    stores = []
    for where, folders, names in os.walk(root):
        if PLAN[0] in names:
            folders.clear()  # a store contains no other stores
            path = Path(where)
            name = str(path.relative_to(root)) if path != root else path.resolve().name
            try:
                stores.append(_info(name, path))
            except StoreError as error:
                stores.append(StoreInfo(name, path, 0, (), "", 0, 0, 0, False, str(error)))
    return sorted(stores, key=lambda info: info.name)


def store_info(path: str | Path) -> StoreInfo:
    """Return what the plan and the journal of a store state, sealed or not.

    Parameters
    ----------
    path : str or Path
        The folder of the store.

    Returns
    -------
    StoreInfo

    Raises
    ------
    StoreError
        If there is no store.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import store_info
    >>> store = rs.write_store("acts/shards", {"layer.0": np.ones((4, 3))}, shard_rows=2)
    >>> store_info(store.path).n_shards
    2
    """
    path = as_path(path)
    return _info(path.resolve().name, path)


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


def verify(
    store: ActivationStore | str | Path,
    *,
    collect: bool = False,
    progress: Callable[[int], object] | None = None,
) -> list[Problem]:
    """Check every file of a store, sealed or not: sizes, headers, checksums, digests, and that there are no others.

    The default checksum, xxh3_128, detects accidental changes only. Stores made with ``checksum="sha256"`` and opened
    with ``expect_digest`` also detect forgery.

    Parameters
    ----------
    store : ActivationStore, str or Path
        The store, or its folder.
    collect : bool
        Return all problems instead of raising an error for the first one.
    progress : callable, optional
        Called with the number of bytes that were read since its last call.

    Returns
    -------
    list of Problem
        Empty if every committed byte is as it was written.

    Raises
    ------
    CorruptStoreError
        For the first problem, with file, shard and layer, unless `collect` is true.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import verify
    >>> store = rs.write_store("acts/verified", {"layer.0": np.ones((4, 3))})
    >>> verify(store)
    []
    >>> _ = (store.path / "layers/L00/shard-00000.safetensors").write_bytes(b"damaged")
    >>> [problem.layer for problem in verify(store, collect=True)]
    ['layer.0']
    """
    path = store.path if isinstance(store, ActivationStore) else as_path(store, "A store")
    problems = []
    if isinstance(store, ActivationStore):
        try:
            store.check_unchanged()
        except CorruptStoreError as error:
            if not collect:
                raise
            problems.append(Problem(MANIFEST[0], str(error)))
    for problem in _problems(path, progress or (lambda _: None)):
        if not collect:
            raise CorruptStoreError(str(problem))
        problems.append(problem)
    return problems


def _problems(root: Path, progress: Callable[[int], object]) -> Iterator[Problem]:
    try:
        plan = read_plan(root)
    except CorruptStoreError as error:
        yield Problem("plan.json", str(error))
        return
    manifest: Manifest | None = None
    if files.exists(root, MANIFEST):
        try:
            manifest, _ = Manifest.read(root, plan)
        except StoreError as error:
            yield Problem("manifest.json", str(error))
    expected = {parts for parts in (PLAN, MANIFEST) if files.exists(root, parts)}
    sound = manifest is not None
    for shard in range(len(plan.shard_rows)):
        if manifest is None and not files.exists(root, journal_parts(shard)):
            continue  # not committed yet: its files are being written, or will be removed
        expected |= {journal_parts(shard), tokens_parts(shard)}
        expected |= {layer_parts(index, shard) for index in range(len(plan.layers))}
        for problem in shard_problems(root, plan, manifest, shard, progress):
            sound = False
            yield problem
    if manifest is not None and manifest.docs is not None:
        expected.add(DOCS)
        yield from _file_problems(root, plan, DOCS, manifest.docs, b"", progress)
    if sound and manifest is not None:
        yield from _identity_problems(root, plan, manifest)
    if manifest is not None:
        yield from _unknown_files(root, expected)


def shard_problems(
    root: Path, plan: Plan, manifest: Manifest | None, shard: int, progress: Callable[[int], object]
) -> Iterator[Problem]:
    journal = files.file_name(journal_parts(shard))
    try:
        record, digest = ShardRecord.read(root, plan, shard)
    except StoreError as error:
        yield Problem(journal, str(error), shard=shard)
        return
    if manifest is not None and digest != manifest.records[shard]:
        yield Problem(journal, f"{journal} of {root} must have the digest that the manifest holds.", shard=shard)
        return
    head = tokens_header(plan.digest, shard, record.rows)
    yield from _file_problems(root, plan, tokens_parts(shard), record.tokens, head, progress, shard=shard)
    for index, (name, width) in enumerate(plan.layers.items()):
        layer = record.layers[name]
        head = layer_header(plan.digest, name, shard, record.rows, width, DTYPES[layer.dtype])
        yield from _file_problems(root, plan, layer_parts(index, shard), layer, head, progress, shard=shard, layer=name)


def _file_problems(
    root: Path,
    plan: Plan,
    parts: Parts,
    record: FileRecord | LayerRecord,
    head: bytes,
    progress: Callable[[int], object],
    *,
    shard: int | None = None,
    layer: str | None = None,
) -> Iterator[Problem]:
    where = f"{files.file_name(parts)} of {root}"
    try:
        with files.opened(root, parts) as fd:
            files.check_size(fd, record.n_bytes, where)
            if head:
                actual = bytearray(PAGE)
                files.read_into(fd, memoryview(actual), 0, where)
                check_header(bytes(actual), head, where)
            checksum = _checksum(fd, plan.checksum, record.n_bytes, where, progress)
        if checksum != record.checksum:
            raise CorruptStoreError(
                f"{where} must have the {plan.checksum} {record.checksum}: its bytes have {checksum}. They "
                "changed after they were committed. Restore the file from a copy; or delete manifest.json "
                "and the shard's record in journal/ and run the same extraction again to write this shard "
                "anew."
            )
    except StoreError as error:
        yield Problem(files.file_name(parts), str(error), layer, shard)


def _checksum(fd: int, kind: str, n_bytes: int, where: str, progress: Callable[[int], object]) -> str:
    digest, buffer = CHECKSUMS[kind](), memoryview(bytearray(min(_READ_BYTES, n_bytes)))
    for offset in range(0, n_bytes, _READ_BYTES):
        part = buffer[: min(_READ_BYTES, n_bytes - offset)]
        files.read_into(fd, part, offset, where)
        digest.update(part)
        progress(len(part))
    return digest.hexdigest()


def _identity_problems(root: Path, plan: Plan, manifest: Manifest) -> Iterator[Problem]:
    identity = RowsDigest()
    for shard, n_rows in enumerate(plan.shard_rows):
        identity.update(read_columns(root, plan.digest, shard, n_rows, IDENTITY))
    if identity.hexdigest() != manifest.rows_digest:
        yield Problem("manifest.json", f"manifest.json of {root} must hold the digest of the rows: it holds another.")


def _unknown_files(root: Path, expected: set[Parts]) -> Iterator[Problem]:
    """Yield files that do not belong to a sealed store; temporary files and locks are harmless."""
    for where, folders, names in os.walk(root):
        here = Path(where).relative_to(root).parts
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if (*here, name) not in expected and not is_working_file(name):
                file = files.file_name((*here, name))
                yield Problem(
                    file,
                    f"{file} of {root} must not be there: a sealed store has no such file. Move it away.",
                )
