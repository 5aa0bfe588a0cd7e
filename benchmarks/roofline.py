"""Measured limits of this processor, which results are compared with."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path

from pyrepsim.backends import default_threads

__all__ = ["roofline"]


@functools.cache
def roofline(n_threads: int | None = None) -> dict[str, float]:
    """Measure the limits on ``n_threads`` threads.

    Keys: fp32_gflops and fp64_gflops (fused multiply-adds in registers), read_gb_per_s; where the processor has them,
    bf16_gflops and int8_gops of dot products in vectors, and amx_bf16_gflops and amx_int8_gops of the matrix unit.
    """
    source = Path(__file__).with_name("roofline.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "roofline"
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-std=c++20", "-pthread"]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, str(source), "-o", str(program)], check=True)
        printed = subprocess.run(
            [str(program), str(n_threads or default_threads())], check=True, capture_output=True, text=True
        )
    return {name: float(value) for name, value in (line.split() for line in printed.stdout.splitlines())}


if __name__ == "__main__":
    print(roofline())
