"""Other tools, and pyrepsim in their place: the time of theirs as a multiple of ours, one thread each.

    python -m benchmarks bench_clients.py                      # every tool that is installed
    python -m benchmarks bench_clients.py -k rsatoolbox        # one of them

A short call is repeated in each turn. The error is the largest difference of the two results, relative to the largest
value.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks.clients import ACTIVE, ROWS
from benchmarks.harness import report, side_by_side

TURN_SECONDS = 0.02


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("PYREPSIM_NUM_THREADS", "1")
    with ACTIVE, threadpool_limits(1), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            import torch
        except ImportError:
            yield
        else:
            before = torch.get_num_threads()
            torch.set_num_threads(1)
            yield
            torch.set_num_threads(before)


def turns_of(call: Callable[[], Any]) -> tuple[Callable[[], Any], int]:
    """Repetitions of a call that last TURN_SECONDS, or one call, and their number."""
    call()
    start = time.perf_counter()
    call()
    count = math.ceil(TURN_SECONDS / max(time.perf_counter() - start, 1e-7))

    def turn() -> None:
        for _ in range(count):
            call()

    return (call if count == 1 else turn), count


def difference(ours: Any, theirs: Any) -> float:
    a, b = (np.asarray(value, dtype=np.float64) for value in (ours, theirs))
    return float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0))


@pytest.mark.parametrize("row", ROWS)
def test_clients(benchmark, row):
    tool = row.partition(":")[0]
    try:
        ours, theirs = ROWS[row]()
    except ImportError as error:
        pytest.skip(f"{tool} is not installed: {error}")
    turn, count = turns_of(theirs)
    facts = side_by_side(benchmark, (lambda: [ours() for _ in range(count)]) if count > 1 else ours, {tool: turn})
    if ours() is not None:
        facts["error"] = difference(ours(), theirs())
    report(benchmark, calls=count, **facts)
