"""One CUDA device: memory by CuPy, products by cuBLAS, kernels from pyrepsim._cuda, and overlapping copies.

The libraries are an argument (`Libraries`), so that the tests can replace them by emulated kernels on NumPy arrays
(tests/cuda_emulation).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ...core.arrays import FLOAT_NAMES, as_floats
from ...core.errors import BackendError, DTypeError
from .rows import DeviceRows
from .staging import Staging

__all__ = ["Device", "Libraries", "current_device", "on_device", "reason_without"]


def reason_without() -> str | None:
    """The reason why the CUDA backend cannot be used, or None. Does not import CuPy or create a context."""
    try:
        kernels = importlib.import_module("pyrepsim._cuda")
    except ImportError as error:
        return f"its kernels are not built ({error}); install nvcc 12 or newer and build pyrepsim again"
    try:
        if kernels.device_count() == 0:
            return "there is no CUDA device"
    except RuntimeError as error:
        return f"there is no usable CUDA device: {error}"
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install 'pyrepsim[cuda]'"
    return None


@dataclass(frozen=True)
class Libraries:
    """The libraries that a device uses.

    kernels : the compiled module; its functions take addresses (`Device.address`) and a stream (`Device.stream`).
    cupy : the module CuPy.
    dgemm : the function of cuBLAS, as CuPy calls it.
    cublas : path of the cuBLAS library that CuPy has loaded, which the kernels use too.
    """

    kernels: Any
    cupy: Any
    dgemm: Any
    cublas: str


@cache
def _libraries() -> Libraries:
    if reason := reason_without():
        raise BackendError(f"backend 'cuda' needs a CUDA device, its driver and CuPy: {reason}. Use backend='cpu'.")
    kernels, cupy = importlib.import_module("pyrepsim._cuda"), importlib.import_module("cupy")
    dgemm = importlib.import_module("cupy_backends.cuda.libs.cublas").dgemm  # loads cuBLAS
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "/libcublas.so" in line}
    if not paths:
        raise BackendError("cuBLAS must be loaded with CuPy: this process has no libcublas.so. Reinstall CuPy.")
    return Libraries(kernels, cupy, dgemm, sorted(paths)[0])


@cache
def _device_at(index: int) -> Device:
    return Device(_libraries(), index)


_chosen = threading.local()


def current_device() -> Device:
    """The device of this thread: that of `on_device`, otherwise the first visible one (see CUDA_VISIBLE_DEVICES)."""
    return _device_at(getattr(_chosen, "index", 0))


@contextmanager
def on_device(index: int) -> Iterator[None]:
    """A context in which this thread alone uses visible device ``index``, modulo the number of devices."""
    device = _device_at(index % _libraries().kernels.device_count())
    before = getattr(_chosen, "index", 0)
    with device.alone():
        _chosen.index = device.index
        try:
            yield
        finally:
            _chosen.index = before


class Device:
    """A CUDA device. Its arrays are C-ordered, and work is queued on one compute stream, in order.

    block_rows : number of rows in one product, a multiple of 256; the bits of sums depend on it.
    """

    block_rows = 8192

    def __init__(self, libraries: Libraries, index: int = 0) -> None:
        cupy: Any = libraries.cupy
        self.kernels = _Kernels(libraries.kernels, self)
        self.cublas, self.index = libraries.cublas, index
        self._cupy, self._dgemm = cupy, libraries.dgemm
        self._one = np.ones(1)
        self._lock = threading.RLock()
        with self.here():
            self._compute = cupy.cuda.Stream(non_blocking=True)
            self._rows_read = self._compute.record()
            self._staging = Staging(cupy, index)
        properties = cupy.cuda.runtime.getDeviceProperties(index)
        self.name = properties["name"].decode()

    def here(self) -> Any:
        """A context in which the CUDA calls of this thread use this device."""
        return self._cupy.cuda.Device(self.index)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A context in which no other thread uses this device through `on_device`."""
        with self._lock:
            yield

    # --- memory and streams

    @property
    def stream(self) -> int:
        """Address of the compute stream."""
        return self._compute.ptr

    @contextmanager
    def work(self) -> Iterator[Any]:
        """A context in which CuPy uses this device and the compute stream; its value is the CuPy module."""
        with self.here(), self._compute:
            yield self._cupy

    def empty(self, shape: tuple[int, ...] | int, dtype: Any) -> Any:
        with self.work() as cp:
            return cp.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...] | int, dtype: Any) -> Any:
        with self.work() as cp:
            return cp.zeros(shape, dtype)

    def to_device(self, array: np.ndarray) -> Any:
        """A device copy of a small NumPy array."""
        with self.work() as cp:
            return cp.asarray(array)

    def to_host(self, array: Any) -> np.ndarray:
        """A NumPy copy of a device array; waits for the work queued before."""
        with self.work():
            return array.get()

    def read_together(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """NumPy copies of float64 arrays on the device, in one copy."""
        if not arrays:
            return []
        with self.work() as cp:
            joined = cp.concatenate([array.ravel() for array in arrays]).get()
        ends = np.cumsum([array.size for array in arrays])[:-1]
        return [part.reshape(array.shape) for part, array in zip(np.split(joined, ends), arrays, strict=True)]

    def centre(
        self,
        products: Sequence[Any],
        cross: Sequence[Any],
        pairs: Sequence[tuple[int, int]],
        sums: Sequence[Any],
        n_samples: float,
        _n_threads: int = 1,
    ) -> tuple[list[tuple[float, float]], list[float]]:
        """`reference.centre` of arrays on the device: in place, and one copy brings the sums of squares and traces."""
        with self.work() as cp:
            scaled = [math.sqrt(n_samples) * (u / n_samples) for u in sums]
            numbers = []
            for matrix, (i, j) in zip(
                [*products, *cross], [*((s, s) for s in range(len(products))), *pairs], strict=True
            ):
                matrix -= scaled[i][:, None] * scaled[j]
                numbers.append(cp.square(matrix).sum(axis=1).sum())
            read = self.read_together([*numbers, *(matrix.trace() for matrix in products)])
        squares, traces = [float(value) for value in read[: len(numbers)]], read[len(numbers) :]
        return list(zip(squares, map(float, traces), strict=False)), squares[len(products) :]

    @staticmethod
    def dot(a: Any, b: Any) -> Any:
        """a^T b, a number on the device."""
        return a @ b

    @staticmethod
    def vector_matrix(a: Any, matrix: Any) -> Any:
        """a^T M."""
        return a @ matrix

    @staticmethod
    def address(array: Any) -> int:
        return int(array.data.ptr)

    def synchronize(self) -> None:
        self._compute.synchronize()

    # --- products

    def add_products(self, jobs: Iterable[tuple[Any, Any, Any]]) -> None:
        """out += left^T right for each job (left, right, out): float64 arrays (k, m), (k, n) and a dense (m, n).

        left and right may be transposed or strided along rows; nothing is copied.
        """
        with self.work() as cp:
            handle = cp.cuda.device.get_cublas_handle()  # each thread has its own
            for left, right, out in jobs:
                (k, m), n = left.shape, right.shape[1]
                along, right_stride = _layout(right)
                across, left_stride = _layout(left)
                # cuBLAS is column-major and sees our rows as columns: out^T += right^T left
                self._dgemm(
                    handle, 1 - along, across, n, m, k, self._one.ctypes.data,
                    right.data.ptr, right_stride, left.data.ptr, left_stride,
                    self._one.ctypes.data, out.data.ptr, n,
                )  # fmt: skip

    def products(self, left: Any, right: Any) -> Any:
        """left[b]^T right[b] for each b of (B, k, m) and (B, k, n) arrays, in their own precision: (B, m, n)."""
        with self.work() as cp:
            return cp.matmul(left.transpose(0, 2, 1), right)

    # --- rows

    def foreign(self, array: Any, name: str) -> DeviceRows | None:
        """Rows that are already on this device (torch, CuPy, JAX, Numba), without a copy; None for anything else."""
        kind, index = _dlpack_device(array)
        if kind is None and not hasattr(array, "__cuda_array_interface__"):
            return None
        if kind is not None and (kind != _KDL_CUDA or index != self.index):
            return None
        cp = self._cupy
        detached = array.detach() if hasattr(array, "detach") else array
        bfloat16 = str(getattr(array, "dtype", "")).removeprefix("torch.") == "bfloat16"
        if bfloat16:
            detached = detached.view(_int16_like(detached))
        # arrays of CuPy are complete when the caller's stream is; other libraries synchronise themselves
        self._staging.stream.wait_event(cp.cuda.get_current_stream().record())
        with self.here(), self._staging.stream:
            try:
                values = cp.asarray(detached) if kind is None else cp.from_dlpack(detached)
            except (BufferError, RuntimeError, TypeError, ValueError):
                return None  # for example not dense: the host backend reads it, or reports the reason
        if bfloat16:
            import ml_dtypes

            return DeviceRows(values.view("uint16"), np.dtype(ml_dtypes.bfloat16))
        values = as_floats(values)
        if values.dtype.name not in FLOAT_NAMES:
            raise DTypeError(
                f"{name} must hold numbers, {', '.join(FLOAT_NAMES)} or integers: got {values.dtype}. Convert it "
                f"first, e.g. {name}.float()."
            )
        return DeviceRows(values, np.dtype(values.dtype))

    def writable(self, array: Any, name: str) -> Any:
        """The memory of `foreign` rows, for results of work that is queued after this; the caller waits for that
        work.
        """
        rows = self.foreign(array, name)
        if rows is None:
            return None
        with self.here():
            self._compute.wait_event(self._staging.stream.record())  # pending work of its library
        return rows.values

    def take(self, views: Sequence[np.ndarray | DeviceRows]) -> list[DeviceRows]:
        """Dense device copies of these rows, queued on the copy stream."""
        return self._staging.take(views, self._rows_read)

    def rows_were_read(self) -> None:
        """Call this after queueing work that reads taken rows; their memory is not reused before that work is done."""
        with self.here():
            self._rows_read = self._compute.record()

    def largest_indices(self, shape: tuple[int, ...]) -> Any:
        """An array filled with the largest uint64, made on the copy stream."""
        with self.here(), self._staging.stream:
            return self._cupy.full(shape, np.iinfo(np.uint64).max, np.uint64)

    @property
    def copy_stream(self) -> int:
        return self._staging.stream.ptr

    def read_on_copy_stream(self, array: Any) -> np.ndarray:
        """A NumPy copy of a small array that is written on the copy stream."""
        with self.here(), self._staging.stream:
            return array.get()


class _Kernels:
    """The compiled module, always called on one device, even if torch.cuda.set_device has chosen another."""

    def __init__(self, module: Any, device: Device) -> None:
        self._module, self._device = module, device

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._module, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._device.here():
                return attribute(*args, **kwargs)

        return call


_KDL_CUDA = 2


def _layout(array: Any) -> tuple[int, int]:
    """(1, elements from row to row) if rows are contiguous, (0, elements from column to column) if columns are."""
    down, along = (stride // array.itemsize for stride in array.strides)
    return (1, max(down, array.shape[1])) if along == 1 else (0, max(along, array.shape[0]))


def _dlpack_device(array: Any) -> tuple[int | None, int]:
    if isinstance(array, np.ndarray) or not hasattr(array, "__dlpack_device__"):
        return None, 0
    try:
        kind, index = array.__dlpack_device__()
    except (BufferError, RuntimeError, TypeError, ValueError):
        return None, 0  # a device that DLPack does not know
    return int(kind), int(index)


def _int16_like(tensor: Any) -> Any:
    """torch.int16, from a tensor whose library is imported already."""
    torch = sys.modules.get("torch")
    return torch.int16 if torch is not None and isinstance(tensor, torch.Tensor) else "int16"
