"""Reading every byte of a store again and comparing it with what was committed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import CorruptStoreError, StoreError
from . import files
from .columns import IDENTITY, RowsDigest
from .header import check_header, layer_header, tokens_header
from .layout import CHECKSUMS, DOCS, DTYPES, MANIFEST, PAGE, Parts, is_passing, journal_parts, layer_parts, tokens_parts
from .manifest import FileRecord, LayerRecord, Manifest, Plan, ShardRecord
from .reader import ActivationStore, read_plan
from .shardfile import read_columns

_READ = 8 << 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a store."""

    file: str
    """Inside the store."""
    message: str
    layer: str | None = None
    shard: int | None = None

    def __str__(self) -> str:
        if self.shard is None:
            return self.message
        return f"shard {self.shard}, {f'layer {self.layer}' if self.layer else 'rows'}: {self.message}"


def verify(
    store: ActivationStore | str | Path,
    *,
    collect: bool = False,
    progress: Callable[[int], object] | None = None,
) -> list[Problem]:
    """Check every file of a store, sealed or not: sizes, headers, checksums, digests, and no file besides.

    Raises CorruptStoreError at the first problem, naming file, shard and layer; with ``collect`` returns them
    all. An empty list: every committed byte is as it was. ``progress`` is called with the bytes read since
    its last call.

    The default checksum, xxh3_128, detects accidents, not a forger; stores made with ``checksum="sha256"``
    and opened with ``expect_digest`` detect both.
    """
    path = store.path if isinstance(store, ActivationStore) else Path(store)
    found = []
    for problem in _problems(path, progress or (lambda _: None)):
        if not collect:
            raise CorruptStoreError(str(problem))
        found.append(problem)
    return found


def _problems(root: Path, progress: Callable[[int], object]) -> Iterator[Problem]:
    try:
        plan = read_plan(root)
    except CorruptStoreError as error:
        yield Problem("plan.json", str(error))
        return
    manifest: Manifest | None = None
    if files.exists(root, MANIFEST):
        try:
            manifest, _ = Manifest.from_bytes(files.read_small(root, MANIFEST), plan, f"manifest.json of {root}")
        except StoreError as error:
            yield Problem("manifest.json", str(error))
    expected = {parts for parts in (("plan.json",), MANIFEST) if files.exists(root, parts)}
    sound = manifest is not None
    for shard in range(len(plan.shard_rows)):
        if manifest is None and not files.exists(root, journal_parts(shard)):
            continue  # not committed yet: whatever lies there is being written, or will be removed
        expected |= {journal_parts(shard), tokens_parts(shard)}
        expected |= {layer_parts(index, shard) for index in range(len(plan.layers))}
        for problem in _shard_problems(root, plan, manifest, shard, progress):
            sound = False
            yield problem
    if manifest is not None and manifest.docs is not None:
        expected.add(DOCS)
        yield from _file_problems(root, plan, DOCS, manifest.docs, b"", progress)
    if sound and manifest is not None:
        yield from _identity_problems(root, plan, manifest)
    if manifest is not None:
        yield from _strangers(root, expected)


def _shard_problems(
    root: Path, plan: Plan, manifest: Manifest | None, shard: int, progress: Callable[[int], object]
) -> Iterator[Problem]:
    parts = journal_parts(shard)
    where = f"{files.name_of(parts)} of {root}"
    try:
        record, digest = ShardRecord.from_bytes(files.read_small(root, parts), plan, shard, where)
    except StoreError as error:
        yield Problem(files.name_of(parts), str(error), shard=shard)
        return
    if manifest is not None and digest != manifest.records[shard]:
        yield Problem(files.name_of(parts), f"{where} must have the digest that the manifest holds.", shard=shard)
        return
    head = tokens_header(plan.digest, shard, record.rows)
    yield from _file_problems(root, plan, tokens_parts(shard), record.tokens, head, progress, shard=shard)
    for index, (name, width) in enumerate(plan.layers.items()):
        due = record.layers[name]
        head = layer_header(plan.digest, name, shard, record.rows, width, DTYPES[due.dtype])
        yield from _file_problems(root, plan, layer_parts(index, shard), due, head, progress, shard=shard, layer=name)


def _file_problems(
    root: Path,
    plan: Plan,
    parts: Parts,
    due: FileRecord | LayerRecord,
    head: bytes,
    progress: Callable[[int], object],
    *,
    shard: int | None = None,
    layer: str | None = None,
) -> Iterator[Problem]:
    where = f"{files.name_of(parts)} of {root}"
    try:
        with files.opened(root, parts) as fd:
            files.check_size(fd, due.n_bytes, where)
            if head:
                found = bytearray(PAGE)
                files.read_into(fd, memoryview(found), 0, where)
                check_header(bytes(found), head, where)
            checksum = _checksum(fd, plan.checksum, due.n_bytes, where, progress)
        if checksum != due.checksum:
            raise CorruptStoreError(
                f"{where} must have the {plan.checksum} {due.checksum}: its bytes give {checksum}. They "
                "changed after they were committed. Restore the file from a copy; or delete manifest.json "
                "and the shard's record in journal/ and run the same extraction again: it writes this shard "
                "anew."
            )
    except StoreError as error:
        yield Problem(files.name_of(parts), str(error), layer, shard)


def _checksum(fd: int, kind: str, n_bytes: int, where: str, progress: Callable[[int], object]) -> str:
    digest, buffer = CHECKSUMS[kind](), memoryview(bytearray(min(_READ, n_bytes)))
    for offset in range(0, n_bytes, _READ):
        part = buffer[: min(_READ, n_bytes - offset)]
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


def _strangers(root: Path, expected: set[Parts]) -> Iterator[Problem]:
    """Files that a sealed store has no use for; temporary ones and claims are harmless."""
    for where, folders, names in os.walk(root):
        here = Path(where).relative_to(root).parts
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if (*here, name) not in expected and not is_passing(name):
                file = files.name_of((*here, name))
                yield Problem(
                    file,
                    f"{file} of {root} must not be there: a sealed store has no such file. Move it away.",
                )
