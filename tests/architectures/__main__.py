"""Check every family of docs/architectures.md: `python -m tests.architectures [--write]`.

With `--write`, the table of the page is written if all checks pass. The exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from .page import PAGE, replace_table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.architectures", description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "tests/architectures"]
    command += ["--deselect", "tests/architectures/test_architectures.py::test_the_page_is_current"] * options.write
    root = PAGE.parents[1]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYREPSIM_FAMILIES": "all"}, check=False)
    if options.write and done.returncode == 0:
        PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
