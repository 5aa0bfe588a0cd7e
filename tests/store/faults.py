"""Faults at a chosen point of a write, for tests: kill the process, fill the disk, or change a bit.

A fault is written ``stage:shard:action``.

Stages: ``begin, write, fsync, rename, dirsync, journal, seal, sealed``. ``write`` happens after half of the bytes, the
others happen when that step is done. ``stage@layer`` (or ``@tokens``, ``@plan``, ``@journal``, ``@manifest``,
``@docs``) picks one file. The shard is a number, or ``*``. Actions: ``kill`` (SIGKILL), ``enospc`` (the disk is full),
``short`` (the system writes half of what it was given), ``flip`` (one bit changes between the checksum and the disk).
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pyrepsim.core import outputs
from pyrepsim.core.outputs import DurableFile
from pyrepsim.store import StoreWriter
from pyrepsim.store.layout import shard_of

_FAULT = re.compile(
    r"((?:begin|write|fsync|rename|dirsync|journal|seal|sealed)(?:@[A-Za-z0-9._-]+)?):(\*|\d+):(kill|enospc|short|flip)"
)


@contextmanager
def injected(fault: str | None) -> Iterator[None]:
    """Patch the code that writes stores, for the length of a with-block, so that the fault happens."""
    with ExitStack() as stack:
        for patch in _patches(*_parsed(fault)) if fault else ():
            stack.enter_context(patch)
        yield


def _parsed(fault: str) -> tuple[str, str, str]:
    match = _FAULT.fullmatch(fault)
    assert match is not None, f"no such fault: {fault}"
    return match[1], match[2], match[3]


def _patches(where: str, number: str, action: str) -> Iterator[Any]:
    def strike(stage: str, shard: int | None, file: str = "") -> str | None:
        if where not in (stage, f"{stage}@{file}") or number not in ("*", str(shard)):
            return None
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "enospc":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return action

    def strike_file(stage: str, path: Path) -> str | None:
        return strike(stage, shard_of(path.name), _kind_of(path))

    original_write, original_append = DurableFile.write, DurableFile._append
    original_sync, original_sync_folder, original_rename = outputs._sync, outputs.sync_folder, Path.rename
    original_tokens, original_commit, original_seal = StoreWriter._write_tokens, StoreWriter._commit, StoreWriter._seal
    renamed = threading.local()

    def write(file: DurableFile, data: bytes | memoryview) -> None:
        """Let the bytes after the checksum pass through `halfway`."""
        with mock.patch.object(file, "_append", lambda view: halfway(file, view)):
            original_write(file, data)

    def halfway(file: DurableFile, view: memoryview) -> None:
        half = len(view) // 2
        file._put(view[:half])
        result, rest = strike_file("write", file.path), view[half:]
        if result == "flip":
            spoiled = bytearray(rest)
            spoiled[len(spoiled) // 2] ^= 1
            rest = memoryview(spoiled)
        if result == "short":
            file._put(rest[: (len(rest) + 1) // 2])
            rest = rest[(len(rest) + 1) // 2 :]
        original_append(file, rest)

    def sync(fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        original_sync(fd)
        if path.name.startswith(".tmp-"):
            strike_file("fsync", path.with_name(path.name.split("-", 2)[2]))

    def rename(path: Path, target: Path) -> Path:
        result = original_rename(path, target)
        strike_file("rename", target)
        renamed.path = target
        return result

    def sync_folder(folder: Path) -> None:
        original_sync_folder(folder)
        path = renamed.__dict__.pop("path", None)
        if path is not None and path.parent == folder:
            strike_file("dirsync", path)

    def write_tokens(writer: StoreWriter, shard: int, columns: Any) -> Any:
        strike("begin", shard)
        return original_tokens(writer, shard, columns)

    def commit(writer: StoreWriter, shard: int, columns: Any, activations: Any) -> None:
        original_commit(writer, shard, columns, activations)
        strike("journal", shard)

    def seal(writer: StoreWriter, docs: Any) -> None:
        def write_durably(path: Path, data: bytes) -> None:
            strike("seal", None)
            original_write_durably(path, data)

        original_write_durably = outputs.write_durably
        with mock.patch.object(outputs, "write_durably", write_durably):
            original_seal(writer, docs)
        strike("sealed", None)

    yield mock.patch.object(DurableFile, "write", write)
    yield mock.patch.object(outputs, "_sync", sync)
    yield mock.patch.object(outputs, "sync_folder", sync_folder)
    yield mock.patch.object(Path, "rename", rename)
    yield mock.patch.object(StoreWriter, "_write_tokens", write_tokens)
    yield mock.patch.object(StoreWriter, "_commit", commit)
    yield mock.patch.object(StoreWriter, "_seal", seal)


def _kind_of(path: Path) -> str:
    """The plan, the journal, the manifest, docs, tokens, or the layer that this file of a store belongs to."""
    if path.parent.parent.name == "layers":
        plan = json.loads((path.parents[2] / "plan.json").read_bytes())
        return plan["layers"][int(path.parent.name.removeprefix("L"))]["name"]
    return path.parent.name if path.parent.name in ("tokens", "journal") else path.stem
