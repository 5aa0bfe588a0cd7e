"""One rival in a process of its own, that takes a turn for each line it is sent.

Prints JSON lines: {} when it has its rows, or which library is missing; the seconds of each turn; version and peak
memory at the end. What it found goes into a file.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.memory import peak_mb

__all__ = ["Way", "main"]

Way = Callable[[np.ndarray, np.ndarray], Any]


def main(ways: Mapping[str, Way], packages: Mapping[str, str]) -> None:
    """``ways``: functions called task_library; ``packages``: what a library is called where it is installed from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("library")
    parser.add_argument("x")
    parser.add_argument("y")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", required=True, help="keeps what was computed, for its error")
    options = parser.parse_args()
    X, Y = (np.load(path).astype(options.dtype) for path in (options.x, options.y))
    way = ways[f"{options.task}_{options.library}"]
    try:
        version = importlib.metadata.version(packages.get(options.library, options.library))
        way(X[:1000], Y[:1000])  # imports, and compiles
    except ImportError as error:
        tell(missing=str(error))
        return
    tell()
    found: Any = np.zeros(0)
    for _ in sys.stdin:
        start = time.perf_counter()
        found = way(X, Y)
        tell(seconds=time.perf_counter() - start)
    np.save(options.out, found)
    tell(version=version, peak_mb=peak_mb())


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)
