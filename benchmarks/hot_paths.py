"""Profile the hot paths with perf: share of time by function.

    python -m benchmarks.hot_paths [moments-fp64 ...]      # without names, all of them; needs perf (linux-tools)

perf samples by the clock, so virtual machines without hardware counters work too. To see names of functions, build with
CMAKE_ARGS='-DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O3 -DNDEBUG -g1"' (the default is
stripped). benchmarks/engine-timings.md has the results.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyrepsim as rs
from benchmarks.harness import pair_of_layers
from pyrepsim.core.blas import one_blas_thread
from pyrepsim.moments import PairedMoments

SECONDS = 8.0


def _moments(dtype: str, precision: str) -> Callable[[], object]:
    X, Y = pair_of_layers(20_000, 768, dtype=dtype)

    def once() -> None:
        moments = PairedMoments(768, 768, precision=precision)
        moments.update(X, Y)
        moments.state()

    return once


def _compared(measure: rs.Measure, n: int) -> Callable[[], object]:
    X, Y = pair_of_layers(n, 768)
    return lambda: rs.compare(X, Y, measure)


def _finished(*measures: rs.Measure) -> Callable[[], object]:
    moments = PairedMoments(768, 768)
    moments.update(*pair_of_layers(4000, 768))
    state = moments.state()

    def once() -> None:
        fresh = PairedMoments(768, 768)
        fresh.add_states({"raw": state})
        with one_blas_thread():
            for measure in measures:
                measure.score(fresh)

    return once


def _written() -> Callable[[], object]:
    rows = {"layer.0": pair_of_layers(65_536, 768)[0]}
    folder = tempfile.TemporaryDirectory()  # removed when the returned function is freed
    return lambda: rs.write_store(Path(folder.name) / "store", rows, overwrite=True)


PATHS: dict[str, Callable[[], Callable[[], object]]] = {
    "moments-fp64": lambda: _moments("float16", "fp64"),
    "moments-fp32": lambda: _moments("float16", "fp32"),
    "tiles-pearson": lambda: _compared(rs.RSA(metric="euclidean"), 5000),
    "tiles-spearman": lambda: _compared(rs.RSA(metric="euclidean", compare="spearman"), 5000),
    "tiles-manhattan": lambda: _compared(rs.RSA(metric="manhattan"), 3000),
    "neighbours": lambda: _compared(rs.MutualKNN(k=10), 10_000),
    "algebra-pwcca": lambda: _finished(rs.PWCCA()),
    "algebra-others": lambda: _finished(rs.LinearCKA(debiased=True), rs.SVCCA(), rs.Procrustes()),
    "store-write": _written,
}


def run(name: str) -> None:
    """Prepare the path, print "ready", and repeat the path for SECONDS."""
    once = PATHS[name]()
    once()
    print("ready", flush=True)
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        once()


def profile(name: str) -> str:
    """Return the functions with at least 1 % of the samples, most samples first."""
    command = [sys.executable, "-m", "benchmarks.hot_paths", "--run", name]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as path:
        assert path.stdout is not None
        path.stdout.readline()
        samples = f"{folder}/perf.data"
        recorder = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "-o", samples, "-p", str(path.pid)]
        subprocess.run([*recorder, "--", "sleep", str(SECONDS - 1)], check=True, capture_output=True)
        path.wait()
        reporter = ["perf", "report", "-i", samples, "--stdio", "--sort", "dso,symbol", "--percent-limit", "1"]
        report = subprocess.run(reporter, check=True, capture_output=True, text=True).stdout
    lines = [line for line in report.splitlines() if re.match(r"\s+\d+\.\d+%", line)]
    return "\n".join(re.sub(r"\s+-\s+-\s*$|\.cpython\S+|(?<=\S) {2,}", " ", line)[:140].rstrip() for line in lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2])
    else:
        for chosen in sys.argv[1:] or PATHS:
            print(f"## {chosen}\n{profile(chosen)}\n", flush=True)
