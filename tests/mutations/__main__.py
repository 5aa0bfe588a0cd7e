"""Change single tokens, chosen at random, and count how often the tests notice.

    python -m tests.mutations                       # 120 changes: of the rules of the claims, and of inference
    python -m tests.mutations inference -n 30 --seed 1

Each change is made in a copy of the code, and the exact tests of its package run until one fails. A change that none
notices is printed with its line: it needs a test, or makes no difference.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutations.changes import Change, changed, changes_of

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "inference": ("pyrepsim/inference", ["tests/inference", "tests/comparison/test_intervals.py"]),
    "claims": (
        "pyrepsim/studies/merchant2020/claims",
        ["tests/studies/test_claim*.py", "tests/studies/test_planted_truth.py"],
    ),
}
"""Where the code is, and the tests that should notice: exact ones. Of the claims' rules, simulations take a minute."""
EXPLAINED = {
    ('sign = 1.0 if self.weakest == "low" else -1.0', "1.0 -> 2.0"): "only the order of effects counts",
    ("if q < 0:", "< -> <="): "the ends that are exchanged are multiplied by q, which is 0",
    (
        "below = math.hypot(below, centre.value - centre.ends[0])",
        "below -> above",
    ): "the interval over seeds reaches as far to both sides",
    (
        "if not top or changes[-1].value < LEAST_CHANGE:",
        "< -> <=",
    ): "near 1 the change 1 - s is a multiple of 2^-53, and 1e-6 is not: they are never equal",
    (
        "end = estimate.ends[1] if distance > 0 else estimate.ends[0]",
        "> -> >=",
    ): "a distance of 0 has returned before",
    ("return 1.0", "1.0 -> 2.0"): "a p-value of 1 or more comes last in Holm's order, and is cut at 1",
    (
        'depth = max((row["k"] for row in select(rows, experiment=_TRAININGS) if row.get("k") is not None), default=0)',
        "0 -> 1",
    ): "without rows of any k nothing is judged",
}
"""Changes that cannot change any result, by line, and why. They count as missed."""
LEAST = 0.9
"""Of the changes, those that tests should notice."""
_LONGEST = 600  # seconds; a change that makes a loop endless is noticed too


def chosen(folder: str, n: int, seed: int) -> list[tuple[str, Change]]:
    """Return n changes of the modules of a folder, drawn at random without repetition."""
    files = sorted(ROOT.joinpath(folder).glob("*.py"))
    every = [(str(path.relative_to(ROOT)), one) for path in files for one in changes_of(path.read_text())]
    return random.Random(seed).sample(every, min(n, len(every)))


def is_noticed(copy: Path, path: str, change: Change, tests: list[str]) -> bool:
    """Whether a test fails with the change."""
    source = ROOT.joinpath(path).read_text()
    copy.joinpath(path).write_text(changed(source, change))
    try:
        return not tests_pass(copy, tests)
    finally:
        copy.joinpath(path).write_text(source)


def tests_pass(copy: Path, tests: list[str]) -> bool:
    """Whether all tests pass in time."""
    files = [str(file) for pattern in tests for file in sorted(copy.glob(pattern))]
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(words, cwd=copy, env=environment, capture_output=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("packages", nargs="*", default=[], metavar="PACKAGE", help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("-n", type=int, default=60, help="changes of each package (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    n_noticed = n_all = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        for part in ("pyrepsim", "tests", "benchmarks"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
        for file in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / file, copy)
        for name in options.packages or PACKAGES:
            where, tests = PACKAGES[name]
            if not tests_pass(copy, tests):
                sys.exit(f"The tests of {name} fail without a change: every change would count as noticed.")
            for path, change in chosen(where, options.n, options.seed):
                noticed = is_noticed(copy, path, change, tests)
                n_noticed, n_all = n_noticed + noticed, n_all + 1
                print(f"{'noticed' if noticed else 'MISSED '}  {path} {change}", flush=True)
                if not noticed:
                    line = ROOT.joinpath(path).read_text().splitlines()[change.line - 1].strip()
                    why = EXPLAINED.get((line, f"{change.old} -> {change.new}"), "not explained")
                    print(f"         {line}\n         {why}", flush=True)
    print(f"{n_noticed} of {n_all} changes were noticed ({n_noticed / n_all:.0%})")
    return 0 if n_noticed >= LEAST * n_all else 1


if __name__ == "__main__":
    sys.exit(main())
