"""Random sequences of writes, kills, errors, replacements, reads and damage: a folder always holds what a model says.

Kills are real: a child process ends itself before its n-th file operation.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pyrepsim.core.errors import CorruptStoreError, PyrepsimError, StoreError
from pyrepsim.core.outputs import is_working_file
from pyrepsim.store import ActivationStore, ShardCache, StoreWriter, open_store, remove_store, verify, write_store
from pyrepsim.store.reader import read_plan
from pyrepsim.store.repair import drop_damaged

OPERATIONS = ("open", "writev", "fsync", "rename", "unlink", "rmdir", "mkdir")
TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
HEADER = 4096


@dataclass(frozen=True)
class Content:
    """What a store should hold. All of it is in the plan, and the values follow from a seed."""

    seed: int
    widths: tuple[int, ...]
    shard_rows: tuple[int, ...]
    dtype: str
    source: str
    """The type of the arrays that are given; their values are float32 numbers."""
    huge: bool
    """Whether the last row has a value beyond float16, so that its shard is stored as float32."""

    @classmethod
    def of(cls, path: Path) -> Content | None:
        """The content that the plan in a folder describes."""
        if not (path / "plan.json").exists():
            return None
        plan = read_plan(path)
        return cls(widths=tuple(plan.layers.values()), shard_rows=plan.shard_rows, dtype=plan.dtype, **plan.user)

    @property
    def n_shards(self) -> int:
        return len(self.shard_rows)

    @property
    def layers(self) -> dict[str, int]:
        return {f"layer.{i}": width for i, width in enumerate(self.widths)}

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        rng, n = np.random.default_rng(self.seed), sum(self.shard_rows)
        arrays = {name: rng.standard_normal((n, width)) for name, width in self.layers.items()}
        if self.huge and n and self.source != "float16":
            arrays["layer.0"][-1, 0] = 1e5
        return {name: array.astype(np.float32).astype(self.source) for name, array in arrays.items()}

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        at = np.arange(sum(self.shard_rows))
        return {"doc_id": at // 3, "position": at % 3, "token_id": at * (7 + self.seed) % 101, "flags": at % 2}

    @cached_property
    def stored(self) -> dict[str, np.ndarray]:
        """The values of each layer that a reader gets, in float32."""
        layers = {}
        for name, width in self.layers.items():
            parts = [np.zeros((0, width), np.float32)]
            for shard in range(self.n_shards):
                given = self.part(shard)[1][name].astype(np.float32)
                with np.errstate(over="ignore"):
                    narrow = given.astype(TYPES[self.dtype]).astype(np.float32)
                parts.append(narrow if np.isfinite(narrow).all() else given)
            layers[name] = np.concatenate(parts)
        return layers

    def part(self, shard: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        start = sum(self.shard_rows[:shard])
        rows = slice(start, start + self.shard_rows[shard])
        return {k: v[rows] for k, v in self.columns.items()}, {k: v[rows] for k, v in self.arrays.items()}

    def options(self) -> dict[str, Any]:
        plan = {"seed": self.seed, "source": self.source, "huge": self.huge}
        return {"plan": plan, "dtype": self.dtype, "shard_rows": self.shard_rows}

    def create(self, path: Path) -> StoreWriter:
        return StoreWriter.create(path, layers=self.layers, **self.options())

    def write(self, path: Path, *, overwrite: bool) -> ActivationStore:
        return write_store(path, self.arrays, columns=self.columns, overwrite=overwrite, **self.options())


CONTENTS = st.builds(
    Content,
    seed=st.integers(0, 3),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    shard_rows=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    dtype=st.sampled_from(sorted(TYPES)),
    source=st.sampled_from(["float16", "float32", "float64"]),
    huge=st.booleans(),
)
FATES = st.none() | st.tuples(st.sampled_from(["kill", "error", "interrupt"]), st.integers(1, 150))
"""Of a write: it succeeds, or is stopped before its n-th file operation."""


@contextmanager
def struck(n: int, strike: Callable[[], None]) -> Iterator[None]:
    """Call `strike` before the n-th file operation."""
    count = itertools.count(1)

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) == n:
                strike()
            return original(*args, **options)

        return call

    with ExitStack() as stack:
        for name in OPERATIONS:
            stack.enter_context(mock.patch.object(os, name, counted(getattr(os, name))))
        yield


def stopped(kind: str, n: int, work: Callable[[], object]) -> None:
    """Do the work; stop it before its n-th file operation."""

    def strike() -> None:
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyboardInterrupt if kind == "interrupt" else OSError(errno.EIO, os.strerror(errno.EIO))

    if kind != "kill":
        with struck(n, strike), suppress(PyrepsimError, KeyboardInterrupt):
            work()
        return
    with warnings.catch_warnings(action="ignore"):  # newer versions of Python warn of forks
        child = os.fork()
    if child == 0:
        with suppress(BaseException), struck(n, strike):
            work()
        os._exit(0)
    os.waitpid(child, 0)


def leftovers(path: Path) -> list[str]:
    return [name for _, folders, names in os.walk(path) for name in [*folders, *names] if is_working_file(name)]


def check_rows(store: ActivationStore, content: Content) -> None:
    """Every row of every layer and column is that of the content."""
    assert store.widths == content.layers
    for name in store:
        np.testing.assert_array_equal(np.asarray(store[name], np.float32), content.stored[name])
    for name, column in content.columns.items():
        np.testing.assert_array_equal(store.columns[name], column)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "store"
        self.content: Content | None = None  # of the plan in the folder
        self.committed: set[int] = set()
        self.sealed = False
        self.writers: list[tuple[StoreWriter, Content]] = []
        self.readers: list[tuple[ActivationStore, Content]] = []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def now(self, content: Content | None, committed: set[int] = frozenset(), sealed: bool = False) -> None:
        self.content, self.committed, self.sealed = content, set(committed), sealed

    def succeeded(self, content: Content) -> None:
        self.now(content, set(range(content.n_shards)), True)
        assert leftovers(self.path) == []
        assert verify(self.path) == []

    def stop(self, fate: tuple[str, int], work: Callable[[], object], wanted: Content, *, replaces: bool) -> None:
        """Each shard is then as it was, or as it is wanted; committed ones are kept unless they are replaced."""
        stopped(*fate, work)
        found, sealed = Content.of(self.path), (self.path / "manifest.json").exists()
        journal = self.path / "journal"
        committed = {int(file.stem) for file in journal.glob("[0-9]*.json")} if journal.exists() else set()
        assert found in (self.content, wanted) or (found is None and replaces)
        if not replaces and self.content is not None:
            assert found == self.content
            assert self.committed <= committed
            assert sealed >= self.sealed
        if replaces:
            self.writers.clear()  # parts of their folder may be gone
        self.now(found, committed, sealed)

    @rule(content=CONTENTS, overwrite=st.booleans(), fate=FATES)
    def write(self, content: Content, overwrite: bool, fate: tuple[str, int] | None) -> None:
        def work() -> ActivationStore:
            return content.write(self.path, overwrite=overwrite)

        if self.content is not None and not overwrite:
            with pytest.raises(StoreError, match="overwrite=True"):
                work()
        elif fate is not None:
            self.stop(fate, work, content, replaces=True)
        else:
            self.readers.append((work(), content))
            self.succeeded(content)

    @rule(content=CONTENTS, again=st.booleans(), fate=FATES)
    def create(self, content: Content, again: bool, fate: tuple[str, int] | None) -> None:
        content = self.content if again and self.content is not None else content
        if self.content not in (None, content):
            with pytest.raises(StoreError, match="resumed only with the plan"):
                content.create(self.path)
        elif fate is not None:
            self.stop(fate, lambda: content.create(self.path), content, replaces=False)
        else:
            writer = content.create(self.path)
            self.now(content, self.committed, self.sealed)
            assert writer.missing() == sorted(set(range(content.n_shards)) - self.committed)
            self.writers.append((writer, content))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), fate=FATES)
    def commit(self, data: st.DataObject, fate: tuple[str, int] | None) -> None:
        writer, content = data.draw(st.sampled_from(self.writers[-3:]))
        assume(content.n_shards)
        shard = data.draw(st.integers(0, content.n_shards - 1))

        def work() -> bool:
            return writer.commit(shard, *content.part(shard))

        if self.content != content:
            with pytest.raises(StoreError):
                work()
        elif fate is not None:
            self.stop(fate, work, content, replaces=False)
        else:
            assert work() == (shard not in self.committed)
            self.committed.add(shard)

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), fate=FATES)
    def seal(self, data: st.DataObject, fate: tuple[str, int] | None) -> None:
        writer, content = data.draw(st.sampled_from(self.writers[-3:]))
        if self.content != content or len(self.committed) < content.n_shards:
            with pytest.raises(StoreError):
                writer.seal()
        elif fate is not None:
            self.stop(fate, writer.seal, content, replaces=False)
        else:
            self.readers.append((writer.seal(), content))
            self.succeeded(content)

    @precondition(lambda self: self.content is not None)
    @rule(fate=FATES)
    def resume(self, fate: tuple[str, int] | None) -> None:
        self.complete(fate)

    def complete(self, fate: tuple[str, int] | None) -> None:
        """As the next run of the same command does."""
        content = self.content

        def work() -> ActivationStore:
            writer = content.create(self.path)
            for shard in writer.missing():
                writer.commit(shard, *content.part(shard))
            return writer.seal()

        if fate is not None:
            self.stop(fate, work, content, replaces=False)
        else:
            self.readers.append((work(), content))
            self.succeeded(content)

    @precondition(lambda self: self.content is not None)
    @rule(fate=FATES)
    def remove(self, fate: tuple[str, int] | None) -> None:
        if fate is not None:
            self.stop(fate, lambda: remove_store(self.path), self.content, replaces=True)
        else:
            remove_store(self.path)
            self.now(None)
            assert not self.path.exists()

    @precondition(lambda self: self.sealed)
    @rule(io=st.sampled_from(["mmap", "pread"]))
    def open(self, io: str) -> None:
        self.readers.append((open_store(self.path, io=io), self.content))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """An open store gives its own rows, or says that it was replaced."""
        store, content = data.draw(st.sampled_from(self.readers[-4:]))
        layer = data.draw(st.sampled_from(list(content.layers)))
        n = sum(content.shard_rows)
        start, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        how = data.draw(st.sampled_from(["read", "chunks", "mask", "shard", "column"]))
        rows, expected = slice(start, stop), content.stored[layer]
        try:
            if how == "read":
                found = store[layer].read(start, stop)
            elif how == "chunks":
                rows = slice(start, n)
                found = [*store[layer].chunks(1 + stop % 5, start=start)]
            elif how == "mask":
                mask = (np.arange(n) % (1 + stop)) == 0
                rows, found = mask, [*store[layer].chunks(3, mask=mask)]
            elif how == "column":
                expected, found = content.columns["token_id"], store.columns["token_id"][rows]
            else:
                assume(content.n_shards)
                shard = start % content.n_shards
                first = sum(content.shard_rows[:shard])
                rows = slice(first, first + content.shard_rows[shard])
                with ShardCache(store) as shards:
                    found = shards.read(layer, shard, slice(0, content.shard_rows[shard])).astype(np.float32)
        except CorruptStoreError as error:
            assert not (self.sealed and self.content == content), error
            assert "Open it again" in str(error)
            return
        found = np.concatenate([expected[:0], *found]) if isinstance(found, list) else found
        np.testing.assert_array_equal(found, expected[rows])

    @precondition(lambda self: self.content is not None and self.committed)
    @rule(data=st.data(), mend=st.booleans())
    def damage(self, data: st.DataObject, mend: bool) -> None:
        """One changed byte: `verify` finds it; a reader raises an error, or gives rows of files that are whole."""
        content, sealed = self.content, self.sealed
        files = sorted(file for file in self.path.rglob("*") if file.is_file() and not is_working_file(file.name))
        if not sealed:
            files = [file for file in files if file.stem.removeprefix("shard-").isdigit()]
            files = [file for file in files if int(file.stem.removeprefix("shard-")) in self.committed]
        file = data.draw(st.sampled_from(files))
        before = file.read_bytes()
        at = data.draw(st.integers(0, len(before) - 1))
        bit = data.draw(st.integers(0, 7))
        file.write_bytes(before[:at] + bytes([before[at] ^ (1 << bit)]) + before[at + 1 :])
        assert verify(self.path, collect=True)
        with pytest.raises(StoreError):
            verify(self.path)
        in_payload = file.suffix == ".safetensors" and at >= HEADER
        if sealed and not in_payload:
            with suppress(StoreError):
                check_rows(open_store(self.path), content)
        elif sealed:
            store = open_store(self.path)
            for name in store:
                if file.parent.name != f"L{list(content.layers).index(name):02d}":
                    np.testing.assert_array_equal(np.asarray(store[name], np.float32), content.stored[name])
        if mend and file.name != "plan.json":
            drop_damaged(self.path)
            self.sealed = False
            self.complete(None)
        else:
            file.write_bytes(before)

    @invariant()
    def the_folder_holds_what_was_committed(self) -> None:
        if self.sealed:
            check_rows(open_store(self.path), self.content)
        else:
            with pytest.raises(StoreError):
                open_store(self.path)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
