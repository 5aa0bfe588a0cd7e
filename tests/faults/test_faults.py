"""A sample of `make faults`: every commit of write_store, extract and compare, a few steps of the other commands."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    ("verbs", "trials"),
    [
        ("write_store,extract,compare", ["--all-commits", "--pairs=6", "--full-disks=3"]),
        ("compare_revisions", ["--kills=4", "--pairs=2", "--full-disks=1"]),
        ("finetune,ablate", ["--kills=6", "--pairs=4", "--full-disks=2"]),
        ("probe_edge,probe_structural,probe_mdl", ["--kills=9", "--pairs=6", "--full-disks=3"]),
        ("study", ["--kills=3", "--pairs=2", "--full-disks=1"]),
    ],
)
def test_interrupted_commands_are_resumed_to_the_same_result(verbs: str, trials: list[str]):
    if verbs == "study":
        pytest.importorskip("pyrepsim.studies")
    command = [sys.executable, "-m", "tests.faults", f"--verbs={verbs}", *trials]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
