"""Fuzz, guided by coverage: `python -m tests.fuzz [--minutes 10] [--keep FOLDER] [TARGET ...]`.

Readers are fuzzed with atheris; the engine (targets `engine-*`) with clang, whose sanitizers also see wrong memory
accesses. The minutes are shared by the targets, which run one after another, each in a process. Inputs that are faults
are written to `--keep`, and those that reached new code to its folder `found`, for the next run. With `--input FILE
TARGET`, one input is read again. Exit status 1: a fault was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.engine import build as engine
from tests.fuzz.running import CORPUS, MOST_SECONDS, TARGETS, corpus, run_one, workplace


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS, *engine.TARGETS], default=[], metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"))
    parser.add_argument("--input", type=Path)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.targets or [*TARGETS, *engine.TARGETS]
    if any(name in engine.TARGETS for name in names):
        if why := engine.why_not():
            print(f"C++ fuzzing: not run, {why}")
            names = [name for name in names if name not in engine.TARGETS]
        else:
            engine.build()
    if not names:
        return 0
    seconds = max(1, round(60 * chosen.minutes / len(names)))
    if chosen.input is not None:
        if names[0] in engine.TARGETS:
            return subprocess.run([engine.program(names[0]), chosen.input], check=False).returncode
        run_one(names[0], chosen.input.read_bytes())
        return 0
    if chosen.in_process:
        _fuzz(names[0], seconds, chosen.keep)
    chosen.keep.mkdir(parents=True, exist_ok=True)
    faults = 0
    for name in names:
        print(f"{name}: {seconds} s", flush=True)
        if name in engine.TARGETS:
            faults += _fuzz_engine(name, seconds, chosen.keep) != 0
            continue
        options = ["--in-process", "--minutes", str(seconds / 60), "--keep", str(chosen.keep), name]
        faults += subprocess.run([sys.executable, "-m", "tests.fuzz", *options], check=False).returncode != 0
    print(f"{faults} of {len(names)} targets have faults" + (f": {chosen.keep}" if faults else ""))
    return int(faults > 0)


def _fuzz(name: str, seconds: int, keep: Path) -> None:
    """Fuzz one target in this process, which ends then."""
    import atheris

    with atheris.instrument_imports(include=["pyrepsim"]):
        inputs = corpus(name)
        for data in inputs:
            run_one(name, data)  # imports what readers import when they are called
    found, begun = keep / "found" / name, workplace() / "begun"
    found.mkdir(parents=True, exist_ok=True)
    begun.mkdir()
    for number, data in enumerate(inputs):
        (begun / f"{number:04d}").write_bytes(data)
    options = [*_options(name, seconds, keep), "-max_len=65536", str(found), str(begun)]
    atheris.Setup([name, *options], lambda data: run_one(name, data))
    atheris.Fuzz()


def _fuzz_engine(name: str, seconds: int, keep: Path) -> int:
    """Fuzz one target of the engine; return the exit status of its process. Small inputs make many rows."""
    found = keep / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    options = [*_options(name, seconds, keep), "-max_len=2048", "-len_control=0"]
    return subprocess.run([engine.program(name), *options, found, CORPUS / name], check=False).returncode


def _options(name: str, seconds: int, keep: Path) -> list[str]:
    """Options of libFuzzer for every target."""
    limits = [f"-max_total_time={seconds}", f"-timeout={round(5 * MOST_SECONDS)}", "-rss_limit_mb=4096"]
    return [*limits, f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1", "-verbosity=0"]


if __name__ == "__main__":
    sys.exit(main())
