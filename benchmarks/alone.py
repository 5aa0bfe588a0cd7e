"""One comparison of two .npy files in a process of its own: seconds, value and peak resident memory, as one JSON line.

python -m benchmarks.alone "RSA" x.npy y.npy
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

import pyrepsim as rs
from benchmarks.memory import peak_mb

if __name__ == "__main__":
    measure, x, y = sys.argv[1:]
    X, Y = (np.load(path, mmap_mode="r") for path in (x, y))
    start = time.perf_counter()
    value = float(rs.compare(X, Y, measure))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "value": value, "peak_mb": peak_mb()}))
