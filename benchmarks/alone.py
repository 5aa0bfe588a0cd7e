"""One comparison in a process of its own: seconds, value and peak resident memory, as one JSON line.

python -m benchmarks.alone "RSA" x.npy y.npy                          # of two arrays, memory-mapped
python -m benchmarks.alone "RSA, PWCCA" base tuned --stores same      # of two stores; `all` pairs every layer
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

import pyrepsim as rs
from benchmarks.memory import peak_mb
from pyrepsim.cli.options import split_measures

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("measures")
    parser.add_argument("x")
    parser.add_argument("y")
    parser.add_argument("--stores", choices=["same", "all"])
    options = parser.parse_args()
    measures = split_measures(options.measures)
    if options.stores:
        sides = [rs.open_store(path) for path in (options.x, options.y)]
        how = {"layers": options.stores, "progress": False}
    else:
        sides = [np.load(path, mmap_mode="r") for path in (options.x, options.y)]
        how = {}
    start = time.perf_counter()
    scores = rs.compare(*sides, measures, **how)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "value": scores[0].value, "peak_mb": peak_mb()}))
