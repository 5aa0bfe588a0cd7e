"""``python -m benchmarks [pytest options]``: every bench_*.py, alone on the machine; JSON into benchmarks/results/.

Prints the table of what ran, and what fell behind the results that were there before by more than a fifth.
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import pytest

from benchmarks.roofline import roofline
from benchmarks.table import markdown, newest, results_of, worse
from pyrepsim import _core
from pyrepsim.backends import default_threads

HERE = Path(__file__).parent

if __name__ == "__main__":
    print(
        f"{platform.processor() or platform.machine()}, {default_threads()} threads, "
        f"ISA {_core.available_isas()[-1]}, roofline {roofline()}"
    )
    chosen = sys.argv[1:] or sorted(map(str, HERE.glob("bench_*.py")))
    named = [Path(name).stem.removeprefix("bench_") for name in sys.argv[1:] if name.endswith(".py")]
    names = "-".join(named) or "all"
    out = HERE / "results" / f"{time.strftime('%Y-%m-%d')}-{names}.json"
    options = [
        "-q",
        "-s",
        "-c",
        str(HERE / "pytest.ini"),
        f"--benchmark-json={out}",
        "--benchmark-columns=median,iqr,rounds",
    ]
    before = newest()
    status = pytest.main([*options, *chosen])
    now = results_of(out) if out.exists() else {}
    print(markdown(now))
    print("\n".join(worse(before, now, 0.2)) or "Nothing fell behind the earlier results by more than a fifth.")
    sys.exit(status)
