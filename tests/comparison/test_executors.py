"""Sums of executors: the same bits for any executor and number of workers; finished parts survive a dead worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim import backends
from pyrepsim.backends.cuda import device as devices
from pyrepsim.comparison import checkpoint, executors
from pyrepsim.core.errors import CorruptStoreError, DegenerateError, OptionError, StoreError
from tests.cuda_emulation.build import emulated_kernels
from tests.cuda_emulation.cupy_on_numpy import Machine
from tests.cuda_emulation.queued_kernels import QueuedKernels

MEASURES = ["LinearCKA(debiased=True)", "CCA", "RSA(metric='correlation')", "Procrustes"]


class AtOnce:
    """A minimal executor."""

    def __init__(self):
        self.done = []

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(function(*args))
            self.done.append(args)
        except Exception as error:
            future.set_exception(error)
        return future


class Backwards:
    """An executor that runs a task when its result is needed, the last submitted first."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, *args):
        self.waiting.append((Future(), function, args))
        return self.waiting[-1][0] if len(self.waiting) < 6 else self._work()

    def _work(self):
        last = self.waiting[-1][0]
        for future, function, args in reversed(self.waiting):
            future.set_result(function(*args))
        return last


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Six parts of the 2,700 rows."""
    monkeypatch.setattr(executors, "_PART_ROWS", 500)


def values(scores):
    return [(s.measure, s.layer_x, s.layer_y, s.value, s.n_samples) for s in scores]


@pytest.mark.parametrize("layers", ["same", "all"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_same_bits_by_any_executor(stores, layers, backend):
    def run(executor):
        return rs.compare(*stores, MEASURES, layers=layers, backend=backend, executor=executor)

    first = run(AtOnce())
    plain = rs.compare(*stores, MEASURES, layers=layers, backend=backend)
    np.testing.assert_allclose([s.value for s in first], [s.value for s in plain], rtol=0, atol=1e-13)
    assert [s.value for s in first] != [s.value for s in plain]  # sums in another order
    if layers == "same":
        for threads in (1, 3):
            with ThreadPoolExecutor(threads) as pool:
                assert values(run(pool)) == values(first)
    else:
        assert values(run(Backwards())) == values(first)


def test_processes(stores):
    """Workers are new processes, not forks, and get only paths, digests and options."""
    base = stores[0]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        apart = rs.compare(base, base, MEASURES[:2], layers="all", n_threads=1, executor=pool)
    assert values(apart) == values(rs.compare(base, base, MEASURES[:2], layers="all", n_threads=2, executor=AtOnce()))


def test_dask(stores):
    distributed = pytest.importorskip("distributed", reason="pip install 'pyrepsim[dask]'")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        apart = rs.compare(*stores, MEASURES, executor=distributed.Client(cluster))
    assert values(apart) == values(rs.compare(*stores, MEASURES, executor=AtOnce()))


def test_rows_are_cut_into_parts(monkeypatch):
    monkeypatch.setattr(executors, "_PART_ROWS", 65_536)
    assert executors.part_rows(1) == 65_536
    assert executors.part_rows(64 * 65_536) == 65_536
    for n_rows in (64 * 65_536 + 1, 10**7, 10**9):
        assert executors.part_rows(n_rows) % 65_536 == 0
        assert 32 <= -(-n_rows // executors.part_rows(n_rows)) <= 64


def test_tasks_sent_to_workers_are_small(stores):
    executor = AtOnce()
    rs.compare(*stores, MEASURES[0], layers=["layer.0"], executor=executor)
    assert [(part.start, part.stop) for (part,) in executor.done] == [
        (0, 500), (500, 1000), (1000, 1500), (1500, 2000), (2000, 2500), (2500, 2700),
    ]  # fmt: skip


class DiesAfter(AtOnce):
    def __init__(self, n_parts):
        super().__init__()
        self.left = n_parts

    def submit(self, function, *args):
        self.left -= 1
        if self.left < 0:
            function = broken
        return super().submit(function, *args)


def broken(_part):
    raise BrokenProcessPool("a process in the process pool was terminated abruptly")


@pytest.mark.parametrize("finished", [0, 1, 4])
def test_sums_of_finished_parts_survive_a_dead_worker(stores, tmp_path, monkeypatch, finished):
    monkeypatch.setattr(checkpoint, "SAVE_EVERY_SECONDS", 0.0)
    measures, layers = MEASURES[:2], ["layer.0"]
    with pytest.raises(BrokenProcessPool):
        rs.compare(*stores, measures, layers=layers, checkpoint=tmp_path, executor=DiesAfter(finished))
    rest = AtOnce()
    again = rs.compare(*stores, measures, layers=layers, checkpoint=tmp_path, executor=rest)
    assert len(rest.done) == 6 - finished
    assert values(again) == values(rs.compare(*stores, measures, layers=layers, executor=AtOnce()))
    with pytest.raises(StoreError, match=r"part_rows \(500 before, None now\)"):
        rs.compare(*stores, measures, layers=layers, checkpoint=tmp_path)


def die(_part):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_raises_an_error(stores, monkeypatch):
    monkeypatch.setattr(executors, "_sums_of", die)
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(BrokenProcessPool),
    ):
        rs.compare(*stores, "LinearCKA", executor=pool)


def test_bad_rows_are_named_by_their_number_among_all(tmp_path):
    x = np.random.default_rng(0).standard_normal((1700, 4)).astype(np.float32)
    x[1234] = 0
    store = rs.write_store(tmp_path / "x", {"layer.0": x})
    with pytest.raises(DegenerateError, match="row 1234 of layer.0 is all zero"):
        rs.compare(store, store, "RSA", executor=AtOnce())


def test_a_store_replaced_during_the_comparison_is_refused(tmp_path):
    def written():
        return rs.write_store(tmp_path / "x", {"layer.0": np.random.default_rng().standard_normal((900, 4))})

    class Late(AtOnce):
        def submit(self, function, *args):
            if not self.done:
                for file in sorted((tmp_path / "x").rglob("*"), reverse=True):
                    file.rmdir() if file.is_dir() else file.unlink()
                (tmp_path / "x").rmdir()
                written()
            return super().submit(function, *args)

    store = written()
    with pytest.raises(CorruptStoreError, match="must have the root digest"):
        rs.compare(store, store, "LinearCKA", executor=Late())


def test_invalid_arguments_are_refused(stores):
    with pytest.raises(OptionError, match=r"executor must have submit\(function, \*args\)"):
        rs.compare(*stores, "LinearCKA", executor=4)
    with pytest.raises(OptionError, match="executor is for stores"):
        rs.compare(np.ones((9, 2)), np.ones((9, 2)), "LinearCKA", executor=AtOnce())
    with pytest.raises(OptionError, match="executor keeps the sums of all rows, and interval needs those of blocks"):
        rs.compare(*stores, "LinearCKA", executor=AtOnce(), interval="Jackknife")


def test_measures_of_rows_are_computed_in_the_calling_process(stores):
    executor = AtOnce()
    scores = rs.compare(*stores, ["MutualKNN", "LinearCKA"], layers=["layer.1"], executor=executor)
    assert len(executor.done) == 6
    assert scores[0].value == rs.compare(*stores, "MutualKNN", layers=["layer.1"])[0].value


# Several GPUs


@pytest.fixture
def two_gpus(monkeypatch):
    """The backend "cuda" on two emulated devices."""
    machine = Machine(n_devices=2)
    libraries = devices.Libraries(QueuedKernels(emulated_kernels(), machine), machine, machine.dgemm, cublas="")
    monkeypatch.setattr(devices, "_libraries", lambda: libraries)
    monkeypatch.setitem(backends._BACKENDS, "cuda", (backends._BACKENDS["cuda"][0], lambda: None))
    monkeypatch.setattr(devices.Device, "block_rows", 512)
    devices._device_at.cache_clear()
    yield machine
    devices._device_at.cache_clear()


def test_parts_go_to_the_gpus_in_turn(stores, two_gpus, monkeypatch):
    seen, lock = [], threading.Lock()

    def on_device(index):
        with lock:
            seen.append(index)
        return devices.on_device(index)

    monkeypatch.setattr("pyrepsim.backends.cuda.on_device", on_device)
    expected = rs.compare(*stores, MEASURES)
    alone = rs.compare(*stores, MEASURES, backend="cuda", executor=AtOnce())
    with ThreadPoolExecutor(2) as pool:
        together = rs.compare(*stores, MEASURES, backend="cuda", executor=pool)
    assert values(together) == values(alone)
    np.testing.assert_allclose([s.value for s in alone], [s.value for s in expected], atol=1e-10)
    assert alone[0].provenance["backend"] == "cuda"
    assert sorted(seen) == sorted([*range(6)] * 6)
    used = {stream.device for stream in two_gpus.streams.values()}
    assert used == {0, 1}
    assert devices.current_device().index == 0
    assert two_gpus.device == 0
