"""Time pyrepsim and other libraries (rivals) in one run, in turns, and report times, errors and memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "PAUSE_SECONDS",
    "Rival",
    "pair_of_layers",
    "peak_mb",
    "report",
    "run_rival",
    "side_by_side",
    "time_with_rivals",
]

MAX_RIVAL_SECONDS = 3.0
"""A rival that has taken this many seconds in all takes no more turns."""

PAUSE_SECONDS = 0.1
"""Seconds to wait before each turn, because BLAS threads stay busy for a while after their last product."""

SETTINGS = {"": {}, "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}}
"""NumPy as installed, and with the AVX-512 kernels of its OpenBLAS, which OpenBLAS may not choose by itself."""

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 62)}
"""Settings of glibc with which rivals reuse the memory of earlier turns. With gigabytes of new pages in each turn they
would take up to three times as long, and their times would vary."""


def pair_of_layers(n: int, d: int, *, dtype: str = "float32", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two related representations with a decaying spectrum, feature means and three rogue dimensions, as in BERT."""
    rng = np.random.default_rng(seed)
    spectrum = np.geomspace(1.0, 0.05, d).astype(np.float32)
    mean = rng.standard_normal(d).astype(np.float32) * 0.3
    mean[rng.choice(d, 3, replace=False)] = 25.0
    latent = rng.standard_normal((n, d), dtype=np.float32) * spectrum
    X = latent @ np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32) + mean
    noise = rng.standard_normal((n, d), dtype=np.float32) * spectrum
    Y = (0.8 * latent + 0.6 * noise) @ np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32) + mean
    return X.astype(dtype), Y.astype(dtype)


class Rival:
    """Another library that computes the same result, in a separate process.

    The process loads folder/x.npy and folder/y.npy and waits for its turns. In each turn it calls the function
    ``<task>_<library>`` of benchmarks/rivals/<module>.py.
    """

    def __init__(
        self, module: str, task: str, library: str, folder: Path, *, setting: str = "", dtype: str = "float32"
    ) -> None:
        self.name = " ".join(filter(None, [library, setting, dtype]))
        self._out = folder / f"{task}-{library}.npy"
        command = [sys.executable, "-m", f"benchmarks.rivals.{module}", task, library, "--dtype", dtype]
        command += ["--out", str(self._out), str(folder / "x.npy"), str(folder / "y.npy")]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        environment |= SETTINGS[setting] | KEEP_MEMORY
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.missing = self._read_facts().get("missing")
        """Why this rival cannot run (its library is not installed), or None."""
        if self.missing:
            self.close()

    def __call__(self) -> float:
        """Run one turn and return its seconds."""
        with contextlib.suppress(BrokenPipeError):  # if the process has ended, the next line raises RuntimeError
            self._process.stdin.write(b"go\n")
        return self._read_facts()["seconds"]

    def end(self) -> tuple[np.ndarray, dict[str, Any]]:
        """End the process and return the result of the last turn, and peak memory and version of the library."""
        self._process.stdin.close()
        facts = self._read_facts()
        self.close()
        return np.load(self._out), facts

    def close(self) -> int:
        """Wait for the process to end and return its exit status."""
        with self._process as process:
            return process.wait()

    def _read_facts(self) -> dict[str, Any]:
        """Return the next line of JSON; other lines, which libraries print, are skipped."""
        for line in self._process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)
        raise RuntimeError(
            f"A rival must finish its turn: {self.name} ended with exit status {self.close()}. See its error above."
        )


def run_rival(module: str, task: str, library: str, folder: Path, **options: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Run one turn of a rival; return its result, and its seconds, peak memory and version."""
    rival = Rival(module, task, library, folder, **options)
    seconds = rival()
    value, facts = rival.end()
    return value, {"seconds": seconds, **facts}


def time_with_rivals(
    benchmark: Any,
    ours: Callable[[], Any],
    module: str,
    task: str,
    rivals: Iterable[tuple[str, dict[str, str]]],
    folder: Path,
    error: Callable[[Any, Any], float],
    exact: Any,
) -> dict[str, Any]:
    """Time ours and each rival, a pair (library, options of `Rival`), in turns.

    Return our seconds and error, and for each rival its time as a multiple of ours, error, memory and version, or why
    it is missing.

    exact : value that errors are computed against, or the name of the rival whose result is used.
    """
    processes = [Rival(module, task, library, folder, **options) for library, options in rivals]
    facts: dict[str, Any] = {f"{rival.name} missing": rival.missing for rival in processes if rival.missing}
    available = {rival.name: rival for rival in processes if not rival.missing}
    ratios = side_by_side(benchmark, ours, available)
    ends = {name: rival.end() for name, rival in available.items()}
    if isinstance(exact, str):
        exact = ends[exact][0]
    facts |= {"seconds": benchmark.stats.stats.median, "error": error(ours(), exact), **ratios}
    for name, (result, metadata) in ends.items():
        facts[f"{name} error"] = error(result, exact)
        facts |= {f"{name} {key}": value for key, value in metadata.items()}
    return facts


def peak_mb(measure: Any, folder: Path) -> float:
    """Peak resident memory in MB of a process that only makes this comparison, from memory-mapped files."""
    command = [sys.executable, "-m", "benchmarks.alone", str(measure), str(folder / "x.npy"), str(folder / "y.npy")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["peak_mb"]


def report(benchmark: Any, **facts: Any) -> None:
    """Save facts beside the times in the JSON file, and print them."""
    benchmark.extra_info.update(facts)
    print(
        "\n  "
        + "  ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in facts.items()
        )
    )


def side_by_side(
    benchmark: Any,
    ours: Callable[[], Any],
    rivals: Mapping[str, Rival | Callable[[], Any]],
    *,
    rounds: int = 7,
    before: Callable[[], Any] = lambda: None,
) -> dict[str, float]:
    """Time ours and rivals in turns, in another order in every round, after one turn of each to warm up.

    A rival that has taken MAX_RIVAL_SECONDS in all takes no more turns; if its warm-up took more than twice as long,
    the warm-up counts as its turn. Return for each rival its median time as a multiple of ours, and its spread (half
    the interquartile range, divided by the median).

    before : called before each turn, outside the measured time.
    """
    draw = random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    after: list[str] = []  # rivals whose turn in this round comes after ours

    def ready() -> None:
        time.sleep(PAUSE_SECONDS)
        before()

    def run(names: list[str]) -> None:
        for name in names:
            ready()
            taken[name].append(_seconds(rivals[name]))

    def setup() -> None:
        run(after)
        due = [name for name in rivals if sum(taken[name]) < MAX_RIVAL_SECONDS]
        order = draw.sample(due, len(due))
        cut = draw.randint(0, len(order))
        run(order[:cut])
        after[:] = order[cut:]
        ready()

    before()
    ours()
    for name, rival in rivals.items():
        before()
        first = _seconds(rival)
        if first > 2 * MAX_RIVAL_SECONDS:
            taken[name].append(first)
    benchmark.pedantic(ours, setup=setup, rounds=rounds)
    run(after)
    facts = {}
    for name, seconds in taken.items():
        low, middle, high = map(float, np.quantile(seconds, [0.25, 0.5, 0.75]))
        facts[f"{name} ratio"] = middle / benchmark.stats.stats.median
        facts[f"{name} spread"] = (high - low) / 2 / middle
    return facts


def _seconds(turn: Rival | Callable[[], Any]) -> float:
    if isinstance(turn, Rival):
        return turn()
    start = time.perf_counter()
    turn()
    return time.perf_counter() - start
