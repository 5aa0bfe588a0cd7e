"""Reading many layers at once needs few open files; without enough of them the message says what to raise."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import StoreError
from pyrepsim.store import ActivationStore, ShardCache, open_store, paired_layer_chunks, shards, write_store

N_LAYERS = 60


@pytest.fixture
def many_layers(tmp_path: Path, rng: np.random.Generator) -> ActivationStore:
    return write_store(
        tmp_path / "s", {f"layer.{k}": rng.standard_normal((40, 4)) for k in range(N_LAYERS)}, shard_rows=20
    )


@pytest.fixture
def few_files() -> Iterator[None]:
    """The process may open thirty more files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open() + 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def n_open() -> int:
    return max(map(int, os.listdir("/proc/self/fd"))) + 1


def test_a_mapped_file_keeps_no_descriptor(many_layers):
    store, before = open_store(many_layers.path, io="mmap"), len(os.listdir("/proc/self/fd"))
    passes = paired_layer_chunks(store, store, chunk_size=10)
    x, _ = next(passes)
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="read-only"):
        x["layer.0"][0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        x["layer.0"].flags.writeable = True


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_more_layers_than_files_that_may_be_open(many_layers, few_files, io):
    store = open_store(many_layers.path, io=io)
    read = [[], []]
    for sides in paired_layer_chunks(store, store, chunk_size=7):
        for side, chunks in enumerate(sides):
            read[side].append(np.stack([chunks[name] for name in store]))
    due = np.stack([np.asarray(many_layers[name]) for name in store])
    for chunks in read:
        assert (np.concatenate(chunks, axis=1) == due).all()
    with ShardCache(store) as cache:
        for name in store:
            for shard in range(2):
                part = cache.read(name, shard, slice(0, 20))
                assert (part == np.asarray(many_layers[name])[20 * shard : 20 * shard + 20]).all()


def test_too_many_open_files_is_said_as_it_is(many_layers, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("pyrepsim.core.files.os.open", refuse)
    with pytest.raises(StoreError, match=r"Too many open files\. To continue, raise .* ulimit -n \(it is \d+ now\)"):
        np.asarray(many_layers[0])


def test_a_file_that_cannot_be_mapped_is_read(many_layers, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    due = np.asarray(many_layers[0])
    monkeypatch.setattr(shards, "_Map", refuse)
    assert (np.asarray(open_store(many_layers.path, io="mmap")[0]) == due).all()
