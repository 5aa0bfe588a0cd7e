"""One rival in a process of its own: seconds, version and peak memory as one JSON line, what it found into a file.

A library that is not installed is no failure: the line then says which it is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.memory import peak_mb

__all__ = ["Way", "main"]

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main(ways: Mapping[str, Way], packages: Mapping[str, str]) -> None:
    """``ways``: functions called task_library; ``packages``: what a library is called where it is installed from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("library")
    parser.add_argument("x")
    parser.add_argument("y")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", help="keeps what was computed, for its error")
    options = parser.parse_args()
    X, Y = (np.load(path).astype(options.dtype) for path in (options.x, options.y))
    seconds, found = [], np.zeros(0)
    try:
        version = importlib.metadata.version(packages.get(options.library, options.library))
        way = ways[f"{options.task}_{options.library}"]
        if options.library == "keops":
            way(X[:100], Y[:100])  # compiles its formulas
        for _ in range(options.repeats):
            start = time.perf_counter()
            found = way(X, Y)
            seconds.append(time.perf_counter() - start)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    if options.out:
        np.save(options.out, found)
    print(json.dumps({"seconds": float(np.median(seconds)), "version": version, "peak_mb": peak_mb()}))
