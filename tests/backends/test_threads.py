"""The threads of the engine do not change the CPU affinity of the process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from pyrepsim import LinearCKA, compare

TASKS = Path("/proc/self/task")


@pytest.mark.skipif(not TASKS.exists(), reason="threads are listed by Linux alone")
def test_threads_keep_their_cpu_affinity(rng):
    X, Y = rng.standard_normal((2, 600, 64))
    allowed = os.sched_getaffinity(0)
    for _ in range(50):
        compare(X, Y, LinearCKA(), n_threads=4)
    affinities = []
    for task in TASKS.iterdir():
        with suppress(ProcessLookupError):  # a thread of something else has ended; those of the engine do not end
            affinities.append(os.sched_getaffinity(int(task.name)))
    assert len(affinities) > 3
    assert all(affinity == allowed for affinity in affinities)
