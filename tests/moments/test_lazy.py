"""Lazy attributes are computed once, and instances do not wait for each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from pyrepsim.core.lazy import lazy


class Slow:
    met = threading.Barrier(2, timeout=10)
    times = 0

    @lazy
    def value(self) -> int:
        """What it is."""
        self.met.wait()
        self.times += 1
        return 7


def test_instances_do_not_wait_for_each_other():
    first, second = Slow(), Slow()
    with ThreadPoolExecutor(2) as pool:  # the barrier breaks unless both compute at once
        assert list(pool.map(lambda one: one.value, (first, second))) == [7, 7]
    assert first.value == 7
    assert first.times == 1
    assert Slow.value.__doc__ == "What it is."
