"""Measured limits of this GPU and its connection to the host, on random data.

GPU results are also reported as fractions of these limits.

    python -m benchmarks.gpu_roofline --out roofline.json

Matrix products of 8192^3 (bf16, fp16, tf32, fp32, fp64) and device copies with torch; products of single tiles with
inner dimension 768 and float32 results that stay in the L2 cache, with cuBLAS through CuPy; copies from pinned memory
to the device and from the page cache to pinned memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["device_name", "events", "roofline"]

GB, TERA = 1e9, 1e12
TILES = [(1024, 1024), (1536, 1536), (2048, 2048), (2048, 4096), (4096, 4096)]


def events(body: Callable[[], Any], *, repeats: int = 9, warmup: int = 2) -> float:
    """Median seconds of ``body`` on the current stream, from device events, after ``warmup`` calls."""
    import torch

    for _ in range(warmup):
        body()
    seconds = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        body()
        stop.record()
        stop.synchronize()
        seconds.append(start.elapsed_time(stop) / 1e3)
    return statistics.median(seconds)


def device_name() -> str:
    import torch

    return torch.cuda.get_device_name()


def products(size: int = 8192) -> dict[str, float]:
    """TFLOP/s of square matrix products with torch."""
    import torch

    rates = {}
    for name, dtype, tf32 in [
        ("bf16", torch.bfloat16, False),
        ("fp16", torch.float16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
        ("fp64", torch.float64, False),
    ]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(size, size, device="cuda", dtype=torch.float32).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        rates[f"{name}_tflops"] = 2 * size**3 / events(lambda: torch.mm(a, b, out=out)) / TERA  # noqa: B023
    return rates


def tile_products(depth: int = 768, rows: int = 65_536) -> dict[str, float]:
    """TFLOP/s of fp16 tiles with float32 results; operands come from ``rows`` rows, all results go to one buffer."""
    import cupy
    from cupy_backends.cuda.libs import cublas

    u = cupy.random.standard_normal((rows, depth), dtype=cupy.float32).astype(cupy.float16)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    handle, half, single, compute = cupy.cuda.device.get_cublas_handle(), 2, 0, 68
    rates = {}
    for m, n in TILES:
        out = cupy.empty((m, n), cupy.float32)
        starts = [(i % (rows // m) * m, (7 * i + 3) % (rows // n) * n) for i in range(64)]
        operands = [(u.data.ptr + 2 * depth * i, u.data.ptr + 2 * depth * j) for i, j in starts]

        def sweep(m=m, n=n, out=out, operands=operands):
            for left, right in operands:
                cublas.gemmEx(
                    handle, 1, 0, n, m, depth, one.ctypes.data,
                    right, half, depth, left, half, depth,
                    zero.ctypes.data, out.data.ptr, single, n, compute, -1,
                )  # fmt: skip

        with cupy.cuda.Stream.null:
            seconds = events(sweep)
        rates[f"tile_{m}x{n}_tflops"] = len(starts) * 2 * m * n * depth / seconds / TERA
    return rates


def copies(size: int = 2 << 30) -> dict[str, float]:
    """GB/s: device copy (bytes read and written), pinned memory to the device and back."""
    import torch

    a, b = (torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda") for _ in range(2))
    host = torch.randint(0, 255, (size // 4,), dtype=torch.uint8).pin_memory()
    part = a[: size // 4]
    return {
        "device_copy_gb_per_s": 2 * size / events(lambda: b.copy_(a)) / GB,
        "pinned_to_device_gb_per_s": len(host) / events(lambda: part.copy_(host, non_blocking=True)) / GB,
        "device_to_pinned_gb_per_s": len(host) / events(lambda: host.copy_(part, non_blocking=True)) / GB,
    }


def page_cache(size: int = 1 << 30) -> dict[str, float]:
    """GB/s from a memory-mapped file in the page cache to pinned memory, by 1, 4 and 8 threads."""
    import torch

    rates = {}
    with tempfile.NamedTemporaryFile() as file:
        np.random.default_rng(0).integers(0, 255, size, np.uint8).tofile(file.name)
        source = np.memmap(file.name, np.uint8, "r")
        target = torch.empty(size, dtype=torch.uint8).pin_memory().numpy()
        for threads in (1, 4, 8):
            cuts = np.linspace(0, size, threads + 1).astype(int)
            with ThreadPoolExecutor(threads) as pool:
                seconds = []
                for _ in range(5):
                    start = time.perf_counter()
                    list(pool.map(lambda a, b: np.copyto(target[a:b], source[a:b]), cuts[:-1], cuts[1:]))
                    seconds.append(time.perf_counter() - start)
            rates[f"page_cache_to_pinned_{threads}_gb_per_s"] = size / statistics.median(seconds) / GB
    return rates


def roofline() -> dict[str, float | str]:
    """All limits; for a part that cannot be measured on this machine, the reason instead of numbers."""
    facts: dict[str, float | str] = {"device": device_name(), "date": time.strftime("%Y-%m-%d")}
    for part in (products, tile_products, copies, page_cache):
        try:
            facts |= part()
        except Exception as error:  # continue with the other limits
            facts[part.__name__] = f"not measured: {error!r}"
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    facts = roofline()
    for name, value in facts.items():
        print(f"{name:32} {value:.5g}" if isinstance(value, float) else f"{name:32} {value}")
    if options.out:
        options.out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
