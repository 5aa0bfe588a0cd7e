"""One comparison in a separate process: prints seconds, value and peak resident memory as one line of JSON.

python -m benchmarks.alone "RSA" x.npy y.npy                          # two memory-mapped arrays
python -m benchmarks.alone "RSA, PWCCA" base tuned --stores same      # two stores; `all` pairs all layers
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
        arguments = {"layers": options.stores, "progress": False}
    else:
        sides = [np.load(path, mmap_mode="r") for path in (options.x, options.y)]
        arguments = {}
    start = time.perf_counter()
    scores = rs.compare(*sides, measures, **arguments)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "value": scores[0].value, "peak_mb": peak_mb()}))
