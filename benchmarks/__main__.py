"""``python -m benchmarks [bench_x.py ...] [pytest options]``: alone on the machine; JSON into benchmarks/results/.

Each bench_*.py in a process of its own, with a result file of its own. Prints the table of what ran, how long it took,
and what fell behind the results that were there before by more than a fifth.
"""

from __future__ import annotations

import itertools
import platform
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.roofline import roofline
from benchmarks.table import latest_day, markdown, results_of, worse
from pyrepsim import _core
from pyrepsim.backends import default_threads

HERE = Path(__file__).parent


def unused(folder: Path, stem: str) -> Path:
    """``stem.json``, or for a later run of the day ``stem-2.json`` and so on."""
    names = itertools.chain([stem], (f"{stem}-{run}" for run in itertools.count(2)))
    return next(path for name in names if not (path := folder / f"{name}.json").exists())


def run(file: Path, options: list[str]) -> tuple[int, Path]:
    """The exit status of pytest, and where its results are."""
    out = unused(HERE / "results", f"{time.strftime('%Y-%m-%d')}-{file.stem.removeprefix('bench_')}")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-c", str(HERE / "pytest.ini"), f"--benchmark-json={out}"]
    return subprocess.run([*command, "--benchmark-columns=median,iqr,rounds", *options, str(file)]).returncode, out


if __name__ == "__main__":
    print(
        f"{platform.processor() or platform.machine()}, {default_threads()} threads, "
        f"ISA {_core.available_isas()[-1]}, roofline {roofline()}",
        flush=True,
    )
    named = [Path(word) for word in sys.argv[1:] if word.endswith(".py")]
    others = [word for word in sys.argv[1:] if not word.endswith(".py")]
    files = named or sorted(set(HERE.glob("bench_*.py")) - {HERE / "bench_gpu.py"})  # that one is a program
    before, now, failed, start = latest_day(), {}, [], time.monotonic()
    for file in files:
        began = time.monotonic()
        status, out = run(file, others)
        now |= results_of(out) if status == 0 else {}
        failed += [file.name] if status else []
        print(f"{file.name}: {time.monotonic() - began:.0f} s", flush=True)
    print(markdown(now))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes")
    print("\n".join(worse(before, now, 0.2)) or "Nothing fell behind the earlier results by more than a fifth.")
    if failed:
        print(f"failed: {', '.join(failed)}")
    sys.exit(bool(failed))
