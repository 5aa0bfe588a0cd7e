"""Kill every command at many steps, resume it, and compare what it leaves with an uninterrupted run.

``python -m tests.faults [--kills N] [--pairs N] [--full-disks N] [--interrupts N] [--verbs a,b] [--seed N]``; the
numbers are sums over the commands. The exit status is 1 if a result differs, and if a command that was interrupted
(SIGINT) runs for another second. `make faults` runs 1,000 kills, 200 pairs, 200 full disks and 200 interrupts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.processes import FOREIGN, INTERRUPTED, OURS, arm, restarted_with_library, run, start, steps, wait

SECONDS_TO_STOP = 1.0
COMMITS = "rsul"
"""The kinds of steps at which something becomes visible, durable or is removed."""


class Trials:
    """All trials of one command."""

    def __init__(self, name: str, folder: Path, rng: random.Random) -> None:
        from tests.faults.verbs import VERBS, contents

        self.name, self.verb, self.folder, self.rng = name, VERBS[name], folder / name, rng
        self.inputs, self.log = folder / "inputs", folder / "log.txt"
        self.out, self.failures = self.folder / "out", Counter()
        self._contents = contents
        self.folder.mkdir()
        self.expected = [self._uninterrupted(variant) for variant in (1, 0)][::-1]
        self._uninterrupted(0)  # everything is imported now: for the time it takes

    def _uninterrupted(self, variant: int) -> dict[str, str]:
        notes = self.folder.parent / "notes.json"

        def counted() -> None:
            arm(self.out, -1)
            self.verb.call(self.inputs, self.out, variant)
            notes.write_text(json.dumps([steps(), sorted(sys.modules)]))

        self._clean()
        started = time.monotonic()
        code = run(counted, self.log)
        self.seconds = time.monotonic() - started
        if code != 0:
            sys.exit(f"{self.name}: an uninterrupted run ends with {code}: {self._last_words()}")
        self.kinds, modules = json.loads(notes.read_text())
        for module in modules:  # so that the next child need not import them
            with suppress(Exception):
                importlib.import_module(module)
        return self.contents()

    def contents(self) -> dict[str, str]:
        return self._contents(self.out, self.verb.same_bytes)

    def interrupted(self, *points: int, action: str = "kill") -> str:
        """Interrupt a command at these steps of its calls, one after the other, and finish it: what went wrong."""
        self._clean()
        for point in points:

            def armed(point: int = point) -> None:
                arm(self.out, point, action)
                self.verb.call(self.inputs, self.out, 0)

            code = run(armed, self.log)
            if code == FOREIGN or (code == OURS and action == "kill"):
                return f"ends with {self._last_words()}"
        return self._finished()

    def stopped(self, share: float) -> str:
        """Send SIGINT after this share of the time of an uninterrupted run, and finish: what went wrong."""
        self._clean()
        child = start(lambda: self.verb.call(self.inputs, self.out, 0), self.log)
        time.sleep(share * self.seconds)
        os.kill(child, signal.SIGINT)
        sent = time.monotonic()
        code = wait(child)
        seconds = time.monotonic() - sent
        if code not in (0, INTERRUPTED):
            return f"ends with {code}: {self._last_words()}"
        if code == INTERRUPTED and seconds > SECONDS_TO_STOP:
            return f"runs for {seconds:.1f} s after SIGINT"
        return self._finished()

    def _finished(self) -> str:
        code = run(lambda: self.verb.call(self.inputs, self.out, 0), self.log)
        return self.difference(0) if code == 0 else f"cannot be resumed: {self._last_words()}"

    def pair(self, other: int, delay: float) -> str:
        """Run two calls at once in one folder, of the same request or of another one."""
        self._clean()
        children = []
        for variant in (0, other):
            children.append(start(lambda variant=variant: self.verb.call(self.inputs, self.out, variant), self.log))
            time.sleep(delay)
        codes = [wait(child) for child in children]
        if not set(codes) <= {0, OURS} or 0 not in codes:
            return f"two at once end with {codes}: {self._last_words()}"
        if other == 0 or codes == [0, OURS]:
            return self.difference(0)
        if codes == [OURS, 0]:
            return self.difference(1)
        if self.verb.shared:
            either = self.expected[0].items() | self.expected[1].items()
            strange = sorted(name for name, digest in self.contents().items() if (name, digest) not in either)
            return f"differs in {', '.join(strange[:4])}" if strange else ""
        return min(self.difference(0), self.difference(1), key=len)  # one after the other: a store is overwritten

    def difference(self, variant: int) -> str:
        got, expected = self.contents(), self.expected[variant]
        names = sorted(name for name in got.keys() | expected.keys() if got.get(name) != expected.get(name))
        return f"differs in {', '.join(names[:4])}" if names else ""

    def commits(self) -> list[int]:
        return [k for k, kind in enumerate(self.kinds) if kind in COMMITS]

    def points(self, n: int) -> list[int]:
        """Steps to kill at: all commits if there is room for them, then others."""
        commits = self.commits()
        others = [k for k, kind in enumerate(self.kinds) if kind not in COMMITS]
        chosen = self.rng.sample(commits, min(n, len(commits)))
        chosen += self.rng.sample(others, min(n - len(chosen), len(others)))
        return chosen + [self.rng.randrange(len(self.kinds)) for _ in range(n - len(chosen))]

    def _clean(self) -> None:
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.log.unlink(missing_ok=True)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:300] if lines else "no message"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="SIGKILL at a step, in all")
    parser.add_argument("--all-commits", action="store_true", help="SIGKILL once at each rename, sync and removal")
    parser.add_argument("--pairs", type=int, default=0, help="pairs of processes in one folder, in all")
    parser.add_argument("--full-disks", type=int, default=0, help="disks that become full at a step, in all")
    parser.add_argument("--interrupts", type=int, default=0, help="SIGINT at any time, in all")
    parser.add_argument("--verbs", help="names, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    code = restarted_with_library("tests.faults", sys.argv[1:])
    if code is not None:
        return code
    logging.disable(logging.WARNING)
    from tests.faults.verbs import VERBS, configure, prepare

    configure()
    names = options.verbs.split(",") if options.verbs else list(VERBS)
    failed, started = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pyrepsim-faults-") as temporary:
        folder = Path(temporary)
        (folder / "inputs").mkdir()
        if run(lambda: prepare(folder / "inputs"), folder / "log.txt") != 0:
            print((folder / "log.txt").read_text())
            return 2
        for name in names:
            failed += _try(Trials(name, folder, random.Random(f"{options.seed} {name}")), options, len(names))
    print(f"{failed} failures, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def _try(trials: Trials, options: argparse.Namespace, n_verbs: int) -> int:
    """Run all trials of a command, and print a line about each kind of trial."""
    rng = trials.rng
    kinds: dict[str, Callable[[int, int], str]] = {  # half of the killed are killed twice
        "kills": lambda k, point: trials.interrupted(point, *[rng.randrange(len(trials.kinds))] * (k % 2)),
        "commits": lambda _, point: trials.interrupted(point),
        "full disks": lambda _, point: trials.interrupted(point, action="full disk"),
        "interrupts": lambda _k, _point: trials.stopped(rng.random()),
        "pairs": lambda k, _: trials.pair(k % 2, rng.choice([0.0, 0.0, 0.01, 0.1])),
    }
    failed = 0
    for title, attempt in kinds.items():
        n = -(-getattr(options, title.replace(" ", "_"), 0) // n_verbs)
        if title == "commits":
            points = trials.commits() if options.all_commits else []
        elif title == "full disks":  # every step counts alike: a disk may become full at any write
            points = [rng.randrange(len(trials.kinds)) for _ in range(n)]
        else:
            points = trials.points(n)
        n, started = len(points), time.monotonic()
        failures = Counter(attempt(k, point) for k, point in enumerate(points))
        good = failures.pop("", 0)
        if n:
            print(
                f"{trials.name}: {good} of {n} {title} change nothing, {time.monotonic() - started:.0f} s", flush=True
            )
        for failure, times in failures.most_common():
            print(f"  {times} x {failure}", flush=True)
        failed += n - good
    return failed


if __name__ == "__main__":
    sys.exit(main())
