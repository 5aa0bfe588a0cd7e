"""Streams, pinned buffers and devices of the CUDA backend, with work delayed as long as CUDA allows.

One test breaks each rule on purpose and checks that some schedule detects it.
"""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends.cuda import device as devices
from pyrepsim.backends.cuda import moments, pairwise, staging
from pyrepsim.backends.cuda.rows import stage
from pyrepsim.core.errors import DTypeError, ShapeError
from tests.cuda_emulation import backend
from tests.cuda_emulation.backend import EmulatedDevice
from tests.cuda_emulation.cupy_on_numpy import Array, Event, Machine, Stream
from tests.helpers.backends import EMULATED
from tests.helpers.data import cast

SCHEDULES = {
    "all late": lambda _number: False,
    "all at once": lambda _number: True,
    "even streams at once": lambda number: number % 2 == 0,
    "odd streams at once": lambda number: number % 2 == 1,
}
N, D = 1000, 17


@pytest.fixture(autouse=True)
def small_slots(monkeypatch):
    """A chunk that needs the ring of buffers several times."""
    monkeypatch.setattr(staging, "_SLOT_BYTES", 1024)
    monkeypatch.setattr(staging, "_SLOTS", 3)


@pytest.fixture(params=SCHEDULES)
def device(request):
    return EmulatedDevice(Machine(eager=SCHEDULES[request.param]))


def rows(dtype="float32", seed=0):
    return cast(np.random.default_rng(seed).standard_normal((N, D)) + 3, dtype)


def scatter(device, chunks, precision="fp64"):
    """Sums of u u^T over the rows of all chunks, and the shift."""
    made = moments.Moments(device, [D], [], transform="raw", precision=precision)
    for chunk in chunks:
        made.update(stage(device, [chunk]))
    state = made.get_state(complete=True)
    return state["products"][0], state["shift"][0]


def expected(x, shift):
    u = np.asarray(x, np.float64) - shift
    return u.T @ u


def is_right(device) -> bool:
    x = rows()
    sums, shift = scatter(device, np.split(x, 10))
    return np.allclose(sums, expected(x, shift), rtol=1e-10)


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_rows_of_the_host(device, dtype, precision):
    x = rows(dtype)
    sums, shift = scatter(device, np.split(x, [1, 257, 300, 812]), precision)
    np.testing.assert_allclose(sums, expected(x, shift), rtol=1e-10 if precision == "fp64" else 1e-4, atol=1e-3)


def test_tiles(device):
    x, blocks = rows(), np.array([0, N])
    packed = [
        pairwise.Panels(device, side, transform="raw", shift=None, precision="fp64", blocks=blocks)
        for side in (x, rows(seed=1))
    ]
    sweep = pairwise.SumSweep(packed, [(0, 1)], metric="dot", maps=[None, None], origins=[0, 0], row_sums=True)
    sweep.run(0, sweep.n_tasks)
    above = np.triu_indices(N, 1)
    a, b = (np.asarray(side, np.float64) @ np.asarray(side, np.float64).T for side in (x, rows(seed=1)))
    assert sweep.result()["cross"][0, 0, 0] == pytest.approx(np.sum(a[above] * b[above]), rel=1e-12)


# Rows of other libraries, made on their own streams


class Tensor:
    """As torch's: DLPack for every type but bfloat16's name, detach(), and a stream that it is made on."""

    def __init__(self, values: Array, stream: Stream, dtype: str, index: int = 0) -> None:
        self.values, self.stream, self.index = values, stream, index
        self.dtype = f"torch.{dtype}"
        self.given: list[int] = []

    def __getitem__(self, part: slice) -> Tensor:
        return Tensor(self.values[part], self.stream, self.dtype.removeprefix("torch."), self.index)

    def detach(self) -> Tensor:
        return self

    def view(self, dtype: str) -> Tensor:
        return Tensor(self.values.view(dtype), self.stream, dtype, self.index)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.index)

    def __dlpack__(self, *, stream: int) -> Array:
        machine = self.values.machine
        machine.stream_at(stream).wait_event(self.stream.record())
        return self.values


class Exposed:
    """As Numba's: the interface of version 3, which names the stream to wait for."""

    def __init__(self, values: Array, stream: Stream) -> None:
        self.values, self.dtype = values, values.dtype
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": values.shape,
            "typestr": values.dtype.str,
            "strides": values.strides,
            "data": (values.data.ptr, False),
            "stream": stream.ptr,
        }


def made_late(device, x, dtype):
    """Rows that are written later by a stream of another library."""
    machine = device._cupy
    stream = machine.cuda.Stream(non_blocking=True)
    with stream:
        return machine.asarray(x.view(np.uint16) if dtype == "bfloat16" else x), stream


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_are_read_when_they_are_made(device, dtype):
    x = rows(dtype)
    tensor = Tensor(*made_late(device, x, dtype), dtype)
    sums, shift = scatter(device, [device.foreign(tensor[part], "X") for part in (slice(0, 600), slice(600, N))])
    np.testing.assert_allclose(sums, expected(x, shift), rtol=1e-10)


def test_arrays_with_the_cuda_array_interface(device):
    x = rows()
    values, stream = made_late(device, x, "float32")
    sums, shift = scatter(device, [device.foreign(Exposed(values, stream), "X")])
    np.testing.assert_allclose(sums, expected(x, shift), rtol=1e-10)


def test_arrays_of_cupy_wait_for_the_callers_stream(device):
    x = rows()
    values, stream = made_late(device, x, "float32")
    with stream:
        on_device = device.foreign(values, "X")
    sums, shift = scatter(device, [on_device])
    np.testing.assert_allclose(sums, expected(x, shift), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["tensor", "exposed", "cupy"])
def test_distances_into_an_array_on_the_device(device, dtype, kind, monkeypatch):
    monkeypatch.setattr(backend, "device", lambda: device)
    x = rows()
    values, stream = made_late(device, np.full(N * (N - 1) // 2, -1, dtype), dtype)
    out = {"tensor": Tensor(values, stream, dtype), "exposed": Exposed(values, stream), "cupy": values}[kind]
    with stream:
        assert rs.pdist(x, "euclidean", out=out, backend=EMULATED) is out
    stream.synchronize()  # work that the caller had queued ran first
    np.testing.assert_allclose(values.values, rs.pdist(x, "euclidean"), rtol=1e-5)
    between, stream = made_late(device, np.zeros((N, 9), dtype), dtype)
    with stream:
        rs.cdist(x, x[:9], out=between, backend=EMULATED)
    np.testing.assert_allclose(between.values, rs.cdist(x, x[:9]), atol=1e-6)  # complete: no call waited


def test_invalid_out_on_the_device(device, monkeypatch):
    monkeypatch.setattr(backend, "device", lambda: device)
    machine, x = device._cupy, rows()
    with pytest.raises(ShapeError, match=r"of shape \(1000, 2\): got shape \(1000, 2\), strided"):
        rs.cdist(x, x[:2], out=machine.empty((2, N), np.float32).T, backend=EMULATED)
    with pytest.raises(ShapeError, match="must be writeable, contiguous and of shape"):
        rs.pdist(x, out=machine.empty((3,), np.float32), backend=EMULATED)
    with pytest.raises(DTypeError, match="got float16"):
        rs.cdist(x, x[:2], out=machine.empty((N, 2), np.float16), backend=EMULATED)
    with pytest.raises(DTypeError, match="or one on the backend's GPU: got Array"):
        rs.cdist(x, x[:2], out=machine.empty((N, 2), np.float32), backend="cpu")


def test_arrays_on_no_device_are_read_by_the_host_backend(device):
    assert device.foreign(rows(), "X") is None
    assert device.foreign([[1.0]], "X") is None
    whole, stream = made_late(device, np.ones((3, 2), np.complex64), "complex64")
    with pytest.raises(DTypeError, match=r"X must hold numbers, float16.*got complex64"):
        device.foreign(Tensor(whole, stream, "complex64"), "X")
    whole, stream = made_late(device, np.ones((3, 2), np.int32), "int32")
    assert device.foreign(Tensor(whole, stream, "int32"), "X").dtype == np.float64


# Each rule, broken


@pytest.mark.parametrize("rule", ["nothing", "copies wait for readers", "a slot is free when it is sent", "readers"])
def test_the_emulation_detects_each_broken_rule(rule, monkeypatch):
    if rule == "copies wait for readers":
        monkeypatch.setattr(Stream, "wait_event", lambda _stream, _event: None)
    if rule == "a slot is free when it is sent":
        monkeypatch.setattr(Event, "synchronize", lambda _event: None)
    if rule == "readers":
        monkeypatch.setattr(devices.Device, "rows_were_read", lambda _device: None)
    right = [is_right(EmulatedDevice(Machine(eager=eager))) for eager in SCHEDULES.values()]
    assert all(right) == (rule == "nothing")


# Several devices


def test_the_second_device(device):
    machine = Machine(n_devices=2)
    second = EmulatedDevice(machine, 1)
    assert machine.device == 0  # the current device is unchanged
    assert is_right(second)
    values, stream = made_late(second, rows(), "float32")
    assert second.foreign(Tensor(values, stream, "float32", index=0), "X") is None  # on the first one
    assert device.name == "emulated 0"
    assert second.name == "emulated 1"


def test_the_current_device_does_not_matter():
    """As after torch.cuda.set_device(1)."""
    machine = Machine(n_devices=2)
    first, x = EmulatedDevice(machine, 0), rows()
    with machine.cuda.Device(1):
        assert is_right(first)
        blocks = np.array([0, N])
        panels = pairwise.Panels(first, x, transform="raw", shift=None, precision="fp32", blocks=blocks)
        sweep = pairwise.SumSweep([panels], [], metric="dot", maps=[None], origins=[0], row_sums=False)
        sweep.run(0, sweep.n_tasks)
        assert np.isfinite(sweep.result()["first"]).all()
