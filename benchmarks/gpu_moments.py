"""Moments on one GPU: products of one block, rows from memory-mapped files, and rows in device memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyrepsim.backends.cuda import rows as device_rows
from pyrepsim.backends.cuda.device import current_device
from pyrepsim.moments import MomentsSet

__all__ = ["block_products", "moments_of_layers"]

D = 768
CHUNK = 8192


def _device_seconds(body: Callable[[], Any], repeats: int = 7, n_calls: int = 20) -> float:
    """Median seconds of the work that ``body`` queues on the compute stream.

    Events are recorded around several calls, so that queueing a call overlaps with the work of the call before it.
    """
    import cupy

    device, taken = current_device(), []
    body()
    for _ in range(repeats):
        with device.work():
            start, stop = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            for _ in range(n_calls):
                body()
            stop.record()
            stop.synchronize()
            taken.append(cupy.cuda.get_elapsed_time(start, stop) / 1e3 / n_calls)
    return sorted(taken)[repeats // 2]


def block_products(fp64_tflops: float) -> dict[str, float]:
    """X^T X of 8192 x 768 rows in float64 by dgemm and dsyrk, also of two sides at once, and bandwidth of kernels."""
    import cupy
    from cupy_backends.cuda.libs import cublas

    device, facts = current_device(), {}
    with device.work():
        u = cupy.random.standard_normal((CHUNK, 2 * D))
        x, y = (cupy.ascontiguousarray(u[:, side * D : (side + 1) * D]) for side in (0, 1))
        half = x.astype(cupy.float16)
        weights = cupy.random.standard_normal((27, CHUNK))
        partial = cupy.empty(device.kernels.partial_sums(CHUNK, D, 27))
        sums = [cupy.zeros((D, D)) for _ in range(26)]
        wide, skinny = cupy.zeros((2 * D, 2 * D)), cupy.zeros((27, D))
        norms, first_bad = cupy.empty(CHUNK), cupy.full(3, np.iinfo(np.uint64).max, np.uint64)
        shift = cupy.zeros(D)
    handle, one = cupy.cuda.device.get_cublas_handle(), np.ones(1)

    def syrk(rows: Any, out: Any) -> None:
        n, k = rows.shape[1], rows.shape[0]
        cublas.dsyrk(handle, 0, 0, n, k, one.ctypes.data, rows.data.ptr, n, one.ctypes.data, out.data.ptr, n)

    def prepare() -> None:
        device.kernels.prepare_rows(
            half.data.ptr, "float16", CHUNK, D, D, "raw", shift.data.ptr, "fp64", y.data.ptr, norms.data.ptr,
            device.stream,
        )  # fmt: skip

    def weigh() -> None:
        device.kernels.add_weighted_sums(
            "fp64", x.data.ptr, CHUNK, D, weights.data.ptr, 27, CHUNK, partial.data.ptr, skinny.data.ptr, device.stream
        )

    def scan() -> None:
        device.kernels.scan_rows(half.data.ptr, "float16", CHUNK, D, D, first_bad.data.ptr, device.stream)

    flops = 2 * D * D * CHUNK
    for name, useful, body in [
        ("dgemm x y", flops, lambda: device.add_products([(x, y, sums[0])])),
        ("dgemm x x", flops, lambda: device.add_products([(x, x, sums[0])])),
        ("26 dgemm", 26 * flops, lambda: device.add_products([(x, y, out) for out in sums])),
        ("dsyrk x (useful)", flops / 2, lambda: syrk(x, sums[0])),
        ("dsyrk x y together (useful)", 2 * flops, lambda: syrk(u, wide)),
        ("weighted sums", flops * 27 / D, weigh),
    ]:
        seconds = _device_seconds(body)
        facts[f"{name} us"] = 1e6 * seconds
        facts[f"{name} of fp64 roof"] = useful / seconds / 1e12 / fp64_tflops
    facts["prepare gb_per_s"] = CHUNK * D * 10 / _device_seconds(prepare) / 1e9
    facts["scan gb_per_s (from cache)"] = CHUNK * D * 2 / _device_seconds(scan) / 1e9
    return facts


def moments_of_layers(n: int = 98_304, pairs: int = 13) -> dict[str, Any]:
    """`pairs` pairs of float16 layers with float64 products, from the page cache, compared with copying alone."""
    facts: dict[str, Any] = {}
    device = current_device()
    with tempfile.TemporaryDirectory() as folder:
        views = _files(Path(folder), n, 2 * pairs)
        total = sum(view.nbytes for view in views)

        def feed(scanned: bool) -> None:
            for part in _chunks(views):
                if scanned:
                    device_rows.stage(device, part)
                else:
                    device.take(part)
            device.read_on_copy_stream(device.largest_indices((1,)))

        def moments(sides: Sequence[Any], **options: Any) -> None:
            sums = MomentsSet([D] * 2 * pairs, [(i, pairs + i) for i in range(pairs)], backend="cuda", **options)
            for part in _chunks(sides):
                sums.update(part)
            device.synchronize()

        resident = [device.take([view])[0] for view in views]
        cases: list[tuple[str, Callable[[], None]]] = [
            ("feed", lambda: feed(False)),
            ("feed and scan", lambda: feed(True)),
            ("moments", lambda: moments(views)),
            ("moments raw and unit", lambda: moments(views, transforms=("raw", "unit"))),
            ("moments fp32", lambda: moments(views, precision="fp32")),
            ("moments of resident rows", lambda: moments([_ForeignRows(rows) for rows in resident])),
        ]
        for name, body in cases:
            body()
            taken = []
            for _ in range(3):
                start = time.perf_counter()
                body()
                taken.append(time.perf_counter() - start)
            facts[f"{name} seconds"] = sorted(taken)[1]
            facts[f"{name} gb_per_s"] = total / facts[f"{name} seconds"] / 1e9
            facts[f"{name} of feed"] = facts["feed seconds"] / facts[f"{name} seconds"]
        facts["rows_per_s"] = n / facts["moments seconds"]
    return facts


class _ForeignRows:
    """Device rows as an array of another library, which is copied on the device like a tensor of torch."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice) -> Any:
        return self._rows.values[index]


def _chunks(sides: Sequence[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(sides[0]), CHUNK):
        yield [side[begin : begin + CHUNK] for side in sides]


def _files(folder: Path, n: int, sides: int) -> list[np.ndarray]:
    import cupy

    views = []
    for side in range(sides):
        path = folder / f"{side}.f16"
        cupy.random.standard_normal((n, D), dtype=cupy.float32).astype(cupy.float16).get().tofile(path)
        views.append(np.memmap(path, np.float16, "r", shape=(n, D)))
    return views
