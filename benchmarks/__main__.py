"""``python -m benchmarks [pytest options]``: every bench_*.py, alone on the machine; JSON into benchmarks/results/."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import pytest

from benchmarks.roofline import roofline
from pyrepsim import _core
from pyrepsim.backends import default_threads

HERE = Path(__file__).parent

if __name__ == "__main__":
    print(
        f"{platform.processor() or platform.machine()}, {default_threads()} threads, "
        f"ISA {_core.available_isas()[-1]}, roofline {roofline()}"
    )
    chosen = sys.argv[1:] or sorted(map(str, HERE.glob("bench_*.py")))
    names = "-".join(Path(name).stem.removeprefix("bench_") for name in chosen if name.endswith(".py"))
    out = HERE / "results" / f"{time.strftime('%Y-%m-%d')}-{names}.json"
    options = [
        "-q",
        "-s",
        "-c",
        str(HERE / "pytest.ini"),
        f"--benchmark-json={out}",
        "--benchmark-columns=median,iqr,rounds",
    ]
    sys.exit(pytest.main([*options, *chosen]))
