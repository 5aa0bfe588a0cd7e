"""One case: ours and its rivals in one run, with the error beside the time and the fraction of the roofline."""

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

__all__ = ["SETTLING", "Rival", "beside", "found_by", "pair_of_layers", "peak_mb", "report", "side_by_side"]

PATIENCE = 3.0
"""Seconds after which a rival takes no more turns."""

SETTLING = 0.1
"""Seconds of rest before each turn: threads of a BLAS go on spinning for a while after its last product."""

SETTINGS = {"": {}, "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}}
"""NumPy as installed, and with the AVX-512 kernels that its OpenBLAS has but may not choose."""

KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 62)}
"""Rivals keep the memory of one turn for the next (glibc): with gigabytes of new pages each time they take up to three
times as long, and not as long twice."""


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
    """Another way to the same result, in a process of its own that holds folder/x.npy and folder/y.npy and waits for
    its turns: ``task`` by ``library``, of a module of benchmarks/rivals.
    """

    def __init__(
        self, module: str, task: str, library: str, folder: Path, *, setting: str = "", dtype: str = "float32"
    ) -> None:
        self.name = " ".join(filter(None, [library, setting, dtype]))
        self._out = folder / f"{task}-{library}.npy"
        command = [sys.executable, "-m", f"benchmarks.rivals.{module}", task, library, "--dtype", dtype]
        command += ["--out", str(self._out), str(folder / "x.npy"), str(folder / "y.npy")]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        environment |= SETTINGS[setting] | KEPT
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.missing = self._told().get("missing")
        """Why it can take no turns."""
        if self.missing:
            self.close()

    def __call__(self) -> float:
        """Take a turn: its seconds."""
        with contextlib.suppress(BrokenPipeError):  # one that is dead tells nothing either
            self._process.stdin.write(b"go\n")
        return self._told()["seconds"]

    def end(self) -> tuple[np.ndarray, dict[str, Any]]:
        """What the last turn found, and the facts of the process: peak memory, version."""
        self._process.stdin.close()
        facts = self._told()
        self.close()
        return np.load(self._out), facts

    def close(self) -> int:
        """The status it ended with, once it has."""
        with self._process as process:
            return process.wait()

    def _told(self) -> dict[str, Any]:
        """The next line of JSON; what libraries print themselves is passed over."""
        for line in self._process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended with status {self.close()} before its turn was over.")


def found_by(module: str, task: str, library: str, folder: Path, **how: str) -> tuple[np.ndarray, dict[str, Any]]:
    """One turn of a rival: what it found, and its facts, seconds among them."""
    rival = Rival(module, task, library, folder, **how)
    seconds = rival()
    found, facts = rival.end()
    return found, {"seconds": seconds, **facts}


def beside(
    benchmark: Any,
    ours: Callable[[], Any],
    module: str,
    task: str,
    rivals: Iterable[tuple[str, dict[str, str]]],
    folder: Path,
    error: Callable[[Any, Any], float],
    exact: Any,
) -> dict[str, Any]:
    """Time ours and each rival (library, how it is called) in turns. Facts: our seconds and error; of each rival its
    time in multiples of ours, error, memory, version, or why it is missing.

    exact : what errors are against, or the name of the rival that finds it.
    """
    started = [Rival(module, task, library, folder, **how) for library, how in rivals]
    facts: dict[str, Any] = {f"{rival.name} missing": rival.missing for rival in started if rival.missing}
    there = {rival.name: rival for rival in started if not rival.missing}
    ratios = side_by_side(benchmark, ours, there)
    ends = {name: rival.end() for name, rival in there.items()}
    if isinstance(exact, str):
        exact = ends[exact][0]
    facts |= {"seconds": benchmark.stats.stats.median, "error": error(ours(), exact), **ratios}
    for name, (found, told) in ends.items():
        facts |= {f"{name} error": error(found, exact)} | {f"{name} {key}": value for key, value in told.items()}
    return facts


def peak_mb(measure: Any, folder: Path) -> float:
    """Peak resident memory of a process that makes this comparison alone, from memory-mapped files."""
    command = [sys.executable, "-m", "benchmarks.alone", str(measure), str(folder / "x.npy"), str(folder / "y.npy")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["peak_mb"]


def report(benchmark: Any, **facts: Any) -> None:
    """Keep facts beside the times in the JSON file, and say them."""
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
    """Time ours and rivals in turns, in another order every round, after a turn of each to warm up. A rival that has
    taken PATIENCE seconds takes no more turns; if warming up took it twice as long, that turn counts. Facts: each
    rival's median time in multiples of ours, and its spread (half the distance of the quartiles, in medians).

    before : done before each turn, without its time.
    """
    draw = random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    after: list[str] = []  # who has still to take a turn this round, when ours is done

    def ready() -> None:
        time.sleep(SETTLING)
        before()

    def run(names: list[str]) -> None:
        for name in names:
            ready()
            taken[name].append(_seconds(rivals[name]))

    def setup() -> None:
        run(after)
        due = [name for name in rivals if sum(taken[name]) < PATIENCE]
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
        if first > 2 * PATIENCE:
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
