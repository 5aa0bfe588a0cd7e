"""Writing and reading activations: the store compared with .npy files, HDF5 and safetensors.

Every writer waits until its bytes are on the disk (fsync). Reading copies each chunk of rows into one small array, like
packing. "page cache": the file was read before; "cold": the file was dropped from the page cache.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

import pyrepsim as rs
from benchmarks.harness import PAUSE_SECONDS, report, side_by_side
from benchmarks.memory import peak_mb
from pyrepsim.store import verify

LAYERS, ROWS, WIDTH, CHUNK = 4, 65_536, 768, 8192
COPIES, ROUNDS = 2, 8
N_BYTES = LAYERS * ROWS * WIDTH * 2


@pytest.fixture(scope="module")
def layers():
    rows = np.random.default_rng(0).standard_normal((ROWS, WIDTH), dtype=np.float32)
    return {f"layer.{i}": np.roll(rows, i, axis=1).astype(np.float16) for i in range(LAYERS)}


@pytest.fixture(scope="module")
def written(tmp_path_factory, layers):
    """Copies that are read in turn, because the speed of one file varies by 10 to 20 % with the place of its pages."""
    folders = [tmp_path_factory.mktemp("written") for _ in range(COPIES)]
    for folder in folders:
        rs.write_store(folder / "store", layers)
        npy(folder / "npy", layers)
        hdf5(folder / "hdf5", layers)
        tensors(folder / "tensors", layers)
    return folders


def synced(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def npy(folder, layers):
    folder.mkdir()
    for name, rows in layers.items():
        np.save(folder / f"{name}.npy", rows)
        synced(folder / f"{name}.npy")


def hdf5(folder, layers):
    folder.mkdir()
    with h5py.File(folder / "all.h5", "w") as file:
        for name, rows in layers.items():
            file.create_dataset(name, data=rows, chunks=(1024, WIDTH))
    synced(folder / "all.h5")


def tensors(folder, layers):
    folder.mkdir()
    safetensors.numpy.save_file(layers, folder / "all.safetensors")
    synced(folder / "all.safetensors")


def test_writing(benchmark, layers, tmp_path):
    """Float16 rows written to a store, checked, hashed and committed, compared with files that are only written.

    Another process touches 3 GB before each turn. The host of a virtual machine reclaims memory that was not used for
    some seconds, and any writer takes twice as long if the host must provide the pages again.
    """
    folder = tmp_path / "x"

    def cleared():
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()
        time.sleep(2 * PAUSE_SECONDS)  # the first fsync would wait until the disk has freed the old files
        subprocess.run([sys.executable, "-c", "import numpy; numpy.ones(3 << 27)"], check=True)

    facts = side_by_side(
        benchmark,
        lambda: rs.write_store(folder, layers),
        {
            ".npy, fsync": lambda: npy(folder, layers),
            "HDF5, fsync": lambda: hdf5(folder, layers),
            "safetensors, fsync": lambda: tensors(folder, layers),
        },
        before=cleared,
    )
    report(benchmark, gb_per_second=N_BYTES / benchmark.stats.stats.median / 1e9, peak_mb=peak_mb(), **facts)


def drop_from_page_cache(folders):
    """Drop the pages of these files from the kernel's cache."""
    for path in itertools.chain.from_iterable(folder.rglob("*") for folder in folders):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def readers(folders, sums):
    """Functions that read all rows of all layers of the next copy and add up one column, to check what was read."""
    buffer = np.empty((CHUNK, WIDTH), np.float16)
    stores, npys, hdf5s, tensor_files = (
        itertools.cycle([folder / name for folder in folders])
        for name in ("store", "npy", "hdf5/all.h5", "tensors/all.safetensors")
    )

    def take(name, chunk):
        buffer[: len(chunk)] = chunk
        sums[name] = sums.get(name, 0.0) + float(buffer[: len(chunk) : 64, 5].sum(dtype=np.float64))

    def store():
        opened = rs.open_store(next(stores))
        for layer in opened.layers:
            for chunk in opened[layer].chunks(CHUNK):
                take("store", chunk)

    def mapped():
        for path in sorted(next(npys).iterdir()):
            rows = np.load(path, mmap_mode="r")
            for start in range(0, ROWS, CHUNK):
                take("npy", rows[start : start + CHUNK])

    def h5():
        with h5py.File(next(hdf5s)) as file:
            for rows in file.values():
                for start in range(0, ROWS, CHUNK):
                    take("hdf5", rows[start : start + CHUNK])

    def tensors():
        with safe_open(next(tensor_files), "numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                rows = file.get_slice(name)
                for start in range(0, ROWS, CHUNK):
                    take("tensors", rows[start : start + CHUNK])

    return store, {".npy, mapped": mapped, "HDF5": h5, "safetensors": tensors}


@pytest.mark.parametrize("where", ["page cache", "cold"])
def test_reading(benchmark, written, where):
    sums: dict[str, float] = {}
    ours, rivals = readers(written, sums)
    for read in COPIES * [ours, *rivals.values()]:
        read()
    assert len(set(sums.values())) == 1, "all must read the same rows"
    before = (lambda: drop_from_page_cache(written)) if where == "cold" else (lambda: None)
    facts = side_by_side(benchmark, ours, rivals, before=before, rounds=ROUNDS)
    report(benchmark, gb_per_second=N_BYTES / benchmark.stats.stats.median / 1e9, peak_mb=peak_mb(), **facts)


def test_reading_content_tokens(benchmark, written):
    """Reading without every tenth row, as without special tokens."""
    mask = np.arange(ROWS) % 10 != 0
    buffer = np.empty((CHUNK, WIDTH), np.float16)
    stores, npys = (itertools.cycle([folder / name for folder in written]) for name in ("store", "npy"))
    chosen = np.flatnonzero(mask)

    def ours():
        store = rs.open_store(next(stores))
        for layer in store.layers:
            for chunk in store[layer].chunks(CHUNK, mask=mask):
                buffer[: len(chunk)] = chunk

    def indexed():
        for path in sorted(next(npys).iterdir()):
            layer = np.load(path, mmap_mode="r")
            for start in range(0, len(chosen), CHUNK):
                chunk = layer[chosen[start : start + CHUNK]]
                buffer[: len(chunk)] = chunk

    facts = side_by_side(benchmark, ours, {".npy, mapped and indexed": indexed}, rounds=ROUNDS)
    report(benchmark, gb_per_second=0.9 * N_BYTES / benchmark.stats.stats.median / 1e9, **facts)


def test_verifying(benchmark, written):
    """Checking every byte of a store against its checksums."""
    benchmark.pedantic(lambda: verify(written[0] / "store"), rounds=7)
    report(benchmark, gb_per_second=N_BYTES / benchmark.stats.stats.median / 1e9)
