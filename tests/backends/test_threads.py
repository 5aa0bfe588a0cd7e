"""The threads of the engine do not change the CPU affinity of the process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from pyrepsim import LinearCKA, compare
from pyrepsim.backends import default_threads

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


@pytest.mark.parametrize(
    ("own", "shared", "threads"),
    [("3", "5", 3), ("", "5", 5), ("", "5,2", 5), ("", " 1 ", 1), ("", "many", None), ("", "0", None), ("", "", None)],
)
def test_threads_by_default(monkeypatch, own: str, shared: str, threads: int | None):
    monkeypatch.setenv("PYREPSIM_NUM_THREADS", own)
    monkeypatch.setenv("OMP_NUM_THREADS", shared)
    assert default_threads() == threads or (threads is None and default_threads() <= len(os.sched_getaffinity(0)))
