"""One case: ours and its rivals in one run, with the error beside the time and the fraction of the roofline."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "MACHINE_SETTINGS",
    "numpy_rival",
    "pair_of_layers",
    "peak_mb",
    "report",
    "rival",
    "rivals_beside",
    "side_by_side",
]

MACHINE_SETTINGS = {"numpy": {}, "numpy SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}}
"""NumPy as installed, and with the AVX-512 kernels that its OpenBLAS has but may not choose."""


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


def numpy_rival(name: str, folder: Path, *, dtype: str, setting: str, repeats: int = 3) -> dict[str, float]:
    """Seconds (median), value and peak memory of benchmarks/rivals/numpy_way.py on folder/x.npy and folder/y.npy."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")} | MACHINE_SETTINGS[setting]
    command = [
        sys.executable,
        "-m",
        "benchmarks.rivals.numpy_way",
        name,
        str(folder / "x.npy"),
        str(folder / "y.npy"),
    ]
    command += ["--dtype", dtype, "--repeats", str(repeats)]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(printed.stdout)


def rival(module, task, library, folder, *, dtype="float32", setting="numpy", repeats=1) -> dict[str, Any]:
    """What a module of benchmarks/rivals prints of folder/x.npy and folder/y.npy, and its result as ``found``;
    {"missing": why} without the library.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")} | MACHINE_SETTINGS[setting]
    out = folder / f"{task}-{library}.npy"
    command = [sys.executable, "-m", f"benchmarks.rivals.{module}", task, library]
    command += [str(folder / "x.npy"), str(folder / "y.npy"), "--dtype", dtype, "--repeats", str(repeats)]
    printed = subprocess.run(
        [*command, "--out", str(out)], env=environment, check=False, capture_output=True, text=True
    )
    if printed.returncode:
        return {"missing": (printed.stderr.strip().splitlines() or ["no word of why"])[-1]}
    found = json.loads(printed.stdout.strip().splitlines()[-1])
    return found if "missing" in found else {**found, "found": np.load(out)}


def rivals_beside(module, task, rivals, folder, seconds, error) -> dict[str, Any]:
    """Facts of each rival (library, how it is called): its time in multiples of ``seconds``, error, memory, version."""
    facts: dict[str, Any] = {}
    for library, how in rivals:
        label = " ".join([library, *how.values()])
        theirs = rival(module, task, library, folder, **how)
        if "missing" in theirs:
            facts[f"{label} missing"] = theirs["missing"]
            continue
        facts |= {f"{label} ratio": theirs["seconds"] / seconds, f"{label} error": error(theirs["found"])}
        facts |= {f"{label} peak_mb": theirs["peak_mb"], f"{label} version": theirs["version"]}
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
    rivals: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 7,
    before: Callable[[], Any] = lambda: None,
) -> dict[str, float]:
    """Time all of them in this process, in another order every round. Facts: each rival's median time in multiples of
    ours, and its spread (half the distance of the quartiles, in medians).

    before : done before each, without its time.
    """
    draw = random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    after: list[str] = []  # what this round has still to run when ours is done

    def run(names: list[str]) -> None:
        for name in names:
            before()
            start = time.perf_counter()
            rivals[name]()
            taken[name].append(time.perf_counter() - start)

    def setup() -> None:
        run(after)
        order = draw.sample(list(rivals), len(rivals))
        cut = draw.randint(0, len(order))
        run(order[:cut])
        after[:] = order[cut:]
        before()

    benchmark.pedantic(ours, setup=setup, rounds=rounds)
    run(after)
    facts = {}
    for name, seconds in taken.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        facts[f"{name} ratio"] = statistics.median(seconds) / benchmark.stats.stats.median
        facts[f"{name} spread"] = (high - low) / 2 / middle
    return facts
