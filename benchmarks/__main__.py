"""``python -m benchmarks [bench_x.py ...] [pytest options]``. Nothing else should run on the machine.

Each bench_*.py runs in a separate process and writes ``benchmarks/results/<machine>/<name>.json``. Results of this file
that did not run again (``-k``, or a library that is not installed here) stay as they were. Prints the table of
the benchmarks that ran, how long they took, and which ratios are worse than the earlier results of this machine by more
than 20 %.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.roofline import roofline
from benchmarks.table import RESULTS, markdown, read_results, worse
from pyrepsim.backends import default_threads
from pyrepsim.backends.environment import environment

HERE = Path(__file__).parent


def machine() -> str:
    """A folder name for this kind of processor: vendor, family and model, such as ``amd-epyc-25-17``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    parts = [info.get("model name", platform.processor() or platform.machine())]
    parts += [info[key] for key in ("cpu family", "model") if key in info]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def run(file: Path, folder: Path, options: list[str]) -> int:
    """Run one file with pytest-benchmark and return pytest's exit status."""
    out = folder / f"{file.stem.removeprefix('bench_')}.json"
    earlier = json.loads(out.read_text(encoding="utf-8"))["benchmarks"] if out.exists() else []
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-c", str(HERE / "pytest.ini"), f"--benchmark-json={out}"]
    status = subprocess.run([*command, "--benchmark-columns=median,iqr,rounds", *options, str(file)]).returncode
    if out.exists() and out.stat().st_size:
        results = json.loads(out.read_text(encoding="utf-8"))
        ran = {benchmark["name"] for benchmark in results["benchmarks"]}
        results["benchmarks"] += [benchmark for benchmark in earlier if benchmark["name"] not in ran]
        out.write_text(json.dumps(results, indent=4), encoding="utf-8")
    return status


def main() -> int:
    instructions = environment().get("instructions", "unknown").partition(" ")[0]
    print(f"{machine()}, {default_threads()} threads, {instructions}, roofline {roofline()}", flush=True)
    named = [HERE / Path(word).name for word in sys.argv[1:] if word.endswith(".py")]
    options = [word for word in sys.argv[1:] if not word.endswith(".py")]
    files = named or sorted(set(HERE.glob("bench_*.py")) - {HERE / "bench_gpu.py"})  # needs a GPU
    folder = RESULTS / machine()
    folder.mkdir(parents=True, exist_ok=True)
    before, failed, start = read_results(folder), [], time.monotonic()
    for file in files:
        began = time.monotonic()
        failed += [file.name] if run(file, folder, options) else []
        print(f"{file.name}: {time.monotonic() - began:.0f} s", flush=True)
    results = read_results(folder)
    print(markdown(results))
    print(f"{(time.monotonic() - start) / 60:.1f} minutes")
    print("\n".join(worse(before, results, 0.2)) or "No ratio is worse than before by more than 20 %.")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
