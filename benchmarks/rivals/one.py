"""One rival in a separate process: it runs one turn for each line of its input.

Prints JSON lines: {} when its rows are loaded, or which library is missing; the seconds of each turn; version and peak
memory at the end. The result is saved to a file.
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
    """``ways``: functions by name, <task>_<library>; ``packages``: names of packages that differ from the library."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("library")
    parser.add_argument("x")
    parser.add_argument("y")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", required=True, help="file for the result")
    options = parser.parse_args()
    X, Y = (np.load(path).astype(options.dtype) for path in (options.x, options.y))
    way = ways[f"{options.task}_{options.library}"]
    try:
        version = importlib.metadata.version(packages.get(options.library, options.library))
        way(X[:1000], Y[:1000])  # imports and compiles before the first turn
    except ImportError as error:
        print_facts(missing=str(error))
        return
    print_facts()
    result: Any = np.zeros(0)
    for _ in sys.stdin:
        start = time.perf_counter()
        result = way(X, Y)
        print_facts(seconds=time.perf_counter() - start)
    np.save(options.out, result)
    print_facts(version=version, peak_mb=peak_mb())


def print_facts(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)
