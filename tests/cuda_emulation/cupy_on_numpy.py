"""The parts of CuPy that the CUDA backend uses, on host memory, with streams whose work is as late as CUDA allows.

Work queued on a stream is done when something waits for it; on an eager stream it is done at once, and first what it
waits for. Freed memory goes back to the stream it was taken on and is overwritten when that stream gets to its next
use. So a wait that is missing shows as wrong numbers under one schedule or another: `Machine(eager=...)`.
"""

from __future__ import annotations

import ctypes
import threading
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda_emulation.streams import Event, Stream

__all__ = ["Array", "Event", "Machine", "Stream"]


class Machine:
    """The module ``cupy``, of its own memory and `n_devices` devices.

    eager : which streams do their work at once, by their number in the order that they were made, from 0.
    """

    def __init__(self, *, eager: Callable[[int], bool] = lambda _number: False, n_devices: int = 1) -> None:
        self.eager, self.n_devices = eager, n_devices
        self.n_copies = 0
        """Copies between host and device."""
        self.streams: dict[int, Stream] = {}
        self.free: dict[tuple[int, int, int], list[np.ndarray]] = defaultdict(list)  # by device, stream and size
        self._here = _Here()
        self._null = [Stream(self, device=device, null=True) for device in range(n_devices)]
        self.cuda = SimpleNamespace(
            Device=lambda index: _Within(self, device=index),
            Stream=lambda non_blocking: Stream(self, non_blocking=non_blocking),
            Event=lambda disable_timing=False: Event(self.device, disable_timing=disable_timing),
            get_current_stream=lambda: self.current,
            alloc_pinned_memory=_pinned,
            device=SimpleNamespace(get_cublas_handle=lambda: self.current.ptr),
            runtime=SimpleNamespace(
                memcpyHostToDevice=1,
                memcpyAsync=self._copy,
                getDeviceProperties=lambda index: {"name": f"emulated {index}".encode()},
            ),
        )

    # --- where we are: each thread has its device and its stream

    @property
    def device(self) -> int:
        return self._here.device

    @property
    def current(self) -> Stream:
        return self._here.streams.get(self.device) or self._null[self.device]

    def use(self, *, device: int | None = None, stream: Stream | None = None) -> tuple[int, dict[int, Stream]]:
        """Use these from now on; returns the previous ones, for `back`."""
        here = self._here
        before = (here.device, dict(here.streams))
        here.device = here.device if device is None else device
        if stream is not None:
            here.streams[stream.device] = stream
        return before

    def back(self, before: tuple[int, dict[int, Stream]]) -> None:
        self._here.device, self._here.streams = before

    def stream_at(self, address: int) -> Stream:
        """The stream with this address, on the device in use: CUDA refuses any other."""
        stream = self.streams[address] if address else self._null[self.device]
        if stream.device != self.device:
            raise RuntimeError(f"invalid resource handle: a stream of device {stream.device} on device {self.device}")
        return stream

    # --- arrays

    def empty(self, shape: Any, dtype: Any = np.float64) -> Array:
        """Filled with NaN, so that what is read before it is written shows; aligned like device memory."""
        memory = _Memory(self, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return Array(self, memory.bytes.view(dtype).reshape(shape), memory)

    def zeros(self, shape: Any, dtype: Any = np.float64) -> Array:
        return self.full(shape, 0, dtype)

    def full(self, shape: Any, value: Any, dtype: Any) -> Array:
        return self._made(shape, dtype, lambda out: out.fill(value))

    def array(self, source: Any, order: str = "C") -> Array:
        assert order == "C"
        source = self.asarray(source)
        values = self.read(source)
        return self._made(source.shape, source.dtype, lambda out: np.copyto(out, values))

    def asarray(self, source: Any) -> Array:
        """Arrays as they are; others with ``__cuda_array_interface__`` when their stream is done; NumPy's copied."""
        if isinstance(source, Array):
            return source
        if hasattr(source, "__cuda_array_interface__"):
            face = source.__cuda_array_interface__
            self.stream_at(face.get("stream") or 0).synchronize()
            address, dtype = face["data"][0], np.dtype(face["typestr"])
            return Array(self, _at(address, dtype, face["shape"], face.get("strides")), source)
        copied = np.array(source)
        self.n_copies += 1
        return self._made(copied.shape, copied.dtype, lambda out: np.copyto(out, copied))

    def from_dlpack(self, source: Any) -> Array:
        """The producer lets the stream that it is given wait for its own."""
        capsule: Array = source.__dlpack__(stream=self.current.ptr)
        return capsule

    def matmul(self, left: Array, right: Array) -> Array:
        shape = (len(left), left.shape[1], right.shape[2])
        a, b = self.read(left), self.read(right)
        return self._made(shape, left.dtype, lambda out: np.matmul(a, b, out=out))

    def computed(self, function: Callable[..., Any], inputs: Any, options: Any) -> Any:
        """What a function of NumPy gives, on the current stream; its work is done at once, for its shape."""
        self.current.synchronize()
        found = function(*self._unwrapped(inputs), **dict(zip(options, self._unwrapped(options.values()), strict=True)))
        return tuple(map(self._wrapped, found)) if isinstance(found, tuple) else self._wrapped(found)

    def _unwrapped(self, values: Any) -> list[Any]:
        def one(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                raise TypeError("Unsupported type numpy.ndarray: an array of the host among those of the device")
            if isinstance(value, list):
                return self._unwrapped(value)
            return self.read(value) if isinstance(value, Array) else value

        return [one(value) for value in values]

    def _wrapped(self, found: Any) -> Array:
        values = np.asarray(found)
        return self._made(values.shape, values.dtype, lambda out: np.copyto(out, values))

    def concatenate(self, arrays: Any) -> Array:
        return self.computed(np.concatenate, (arrays,), {})

    def square(self, array: Array) -> Array:
        return self.computed(np.square, (array,), {})

    def read(self, array: Array) -> np.ndarray:
        """The memory of an array that work on the device in use may touch: CuPy refuses any other's."""
        if array.device != self.device:
            raise ValueError(f"Array device must be the current one: array of {array.device}, current {self.device}")
        return array.values

    def _made(self, shape: Any, dtype: Any, work: Callable[[np.ndarray], Any]) -> Array:
        made = self.empty(shape, dtype)
        out = made.values
        self.current.queue(lambda: work(out))
        return made

    # --- the runtime and cuBLAS, over addresses

    def _copy(self, to: int, source: int, n_bytes: int, _kind: int, stream: int) -> None:
        self.n_copies += 1
        self.stream_at(stream).queue(lambda: ctypes.memmove(to, source, n_bytes))

    def dgemm(
        self, handle: int, a_op: int, b_op: int, m: int, n: int, k: int, alpha: int, a: int, lda: int, b: int, ldb: int,
        beta: int, c: int, ldc: int,
    ) -> None:  # fmt: skip
        """C = alpha op(A) op(B) + beta C, columns first."""
        times, keep = (float(_at(address, np.dtype(float), (1,), None)[0]) for address in (alpha, beta))

        def work() -> None:
            left, right = (_columns(at, ld, op, rows, cols) for at, ld, op, rows, cols in sides)
            out = _columns(c, ldc, 0, m, n)
            out[...] = times * (left @ right) + keep * out

        sides = ((a, lda, a_op, m, k), (b, ldb, b_op, k, n))
        self.stream_at(handle).queue(work)


class _Here(threading.local):
    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Stream] = {}


_IN_CUPY = frozenset(
    {
        np.abs, np.concatenate, np.einsum, np.linalg.eigh, np.linalg.eigvalsh, np.linalg.svd, np.pad, np.square,
        np.sum, np.where,
    }
)  # fmt: skip
"""NumPy's functions that tests hand to this module, all of which CuPy has."""


class Array(np.lib.mixins.NDArrayOperatorsMixin):
    """A dense or strided array on a device. Like CuPy's it does not turn into NumPy's unless asked.

    Functions of NumPy compute on the current stream. Like CuPy's they refuse to mix arrays of the host with those of
    the device, and numbers are arrays without dimensions.
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        made = self.machine.computed(getattr(ufunc, method), inputs, options)
        if not out:
            return made
        out[0][...] = made
        return out[0]

    def __array_function__(self, function: Any, _types: Any, inputs: Any, options: Any) -> Any:
        if function not in _IN_CUPY:
            raise TypeError(f"{function} is not known to be in CuPy")
        return self.machine.computed(function, inputs, options)

    def __init__(self, machine: Machine, values: np.ndarray, owner: Any) -> None:
        self.machine, self.values, self._owner = machine, values, owner
        self.shape, self.strides, self.dtype = values.shape, values.strides, values.dtype
        self.itemsize, self.size, self.nbytes, self.ndim = values.itemsize, values.size, values.nbytes, values.ndim
        self.flags = SimpleNamespace(c_contiguous=values.flags.c_contiguous)
        self.data = SimpleNamespace(ptr=values.ctypes.data)

    @property
    def device(self) -> int:
        return self._owner.device if isinstance(self._owner, _Memory) else 0

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __len__(self) -> int:
        return len(self.values)

    # --- views

    @property
    def T(self) -> Array:
        return self.transpose()

    def __getitem__(self, index: Any) -> Array:
        return self._view(self.values[_whole(index)])

    def transpose(self, *axes: int) -> Array:
        return self._view(self.values.transpose(*axes))

    def view(self, dtype: Any) -> Array:
        return self._view(self.values.view(dtype))

    def reshape(self, *shape: Any) -> Array:
        made = self.values.reshape(*shape)
        assert np.shares_memory(made, self.values) or not made.size
        return self._view(made)

    def _view(self, values: np.ndarray) -> Array:
        return Array(self.machine, values, self._owner)

    # --- work

    def __setitem__(self, index: Any, value: Any) -> None:
        part = self.machine.read(self)[_whole(index)]
        source = self.machine.read(value) if isinstance(value, Array) else value
        self.machine.current.queue(lambda: np.copyto(part, source))

    def copy(self) -> Array:
        return self.machine.array(self)

    def astype(self, dtype: Any) -> Array:
        values = self.machine.read(self)
        return self.machine._made(self.shape, dtype, lambda out: np.copyto(out, values, casting="unsafe"))

    def diagonal(self) -> Array:
        return self._view(self.values.diagonal())

    def trace(self) -> Array:
        return self.machine.computed(np.trace, (self,), {})

    def ravel(self) -> Array:
        return self._view(self.values.reshape(-1)) if self.flags.c_contiguous else self.copy().ravel()

    def sum(self, axis: int | None = None, dtype: Any = None) -> Array:
        shape = () if axis is None else self.shape[:axis] + self.shape[axis + 1 :]
        values = self.machine.read(self)
        return self.machine._made(shape, dtype or self.dtype, lambda out: values.sum(axis, out=out, dtype=dtype))

    def max(self) -> Array:
        values = self.machine.read(self)
        return self.machine._made((), self.dtype, lambda out: values.max(out=out))

    def get(self) -> np.ndarray:
        """A NumPy copy, after the work of the current stream."""
        self.machine.n_copies += 1
        self.machine.current.synchronize()
        return self.values.copy()

    def __float__(self) -> float:
        return float(self.get())

    # --- to other libraries

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device)

    def __dlpack__(self, *, stream: int) -> Array:
        assert stream is not None
        return self


class _Memory:
    """Bytes on the device, of the current stream; when nothing refers to them the stream may use them again."""

    def __init__(self, machine: Machine, n_bytes: int) -> None:
        stream = machine.current
        self.device = machine.device
        self._pool = machine.free[self.device, stream.ptr, n_bytes]
        if self._pool:
            self.bytes = self._pool.pop()
            old = self.bytes
            stream.queue(lambda: old.fill(0xFF))
        else:
            held = np.full(n_bytes + 256, 0xFF, np.uint8)
            begin = -held.ctypes.data % 256
            self.bytes = held[begin : begin + n_bytes]

    def __del__(self) -> None:
        self._pool.append(self.bytes)


class _Pinned(np.ndarray):
    """Page-locked memory: a buffer with an address."""

    @property
    def ptr(self) -> int:
        return self.ctypes.data


def _pinned(n_bytes: int) -> np.ndarray:
    return np.full(n_bytes, 0xFF, np.uint8).view(_Pinned)


class _Within:
    """``with cupy.cuda.Device(index):``"""

    def __init__(self, machine: Machine, *, device: int) -> None:
        assert 0 <= device < machine.n_devices
        self._machine, self._device = machine, device

    def __enter__(self) -> None:
        self._before = self._machine.use(device=self._device)

    def __exit__(self, *_: object) -> None:
        self._machine.back(self._before)


def _at(address: int, dtype: np.dtype, shape: Any, strides: Any) -> np.ndarray:
    """NumPy's view of memory at an address."""
    strides = strides or np.empty(shape, dtype).strides
    extent = sum((length - 1) * step for length, step in zip(shape, strides, strict=True)) + dtype.itemsize
    memory = (ctypes.c_char * extent).from_address(address)
    return np.ndarray(shape, dtype, memory, strides=strides)


def _columns(address: int, leading: int, op: int, rows: int, cols: int) -> np.ndarray:
    """op(matrix), (rows, cols), of float64 that lie column after column."""
    down, along = (cols, rows) if op else (rows, cols)
    stored = _at(address, np.dtype(float), (down, along), (8, 8 * leading))
    return stored.T if op else stored


def _whole(index: Any) -> tuple:
    """An index whose result is an array even where it is one entry."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(part is ... for part in parts) else (*parts, ...)
