"""A plug-in of pytest: runs a session with the compiled engine, patched if PYREPSIM_CLIENT names an integration.

It counts the tests in which pyrepsim was called. Without the engine, pyrepsim computes with plain NumPy: a session that
passes then says nothing about the engine, so it is refused.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pyrepsim.backends import available_backends
from pyrepsim.integrations import calls, fallbacks

if reason := available_backends()["cpu"]:
    raise pytest.UsageError(f"{reason}: run make build")
if name := os.environ["PYREPSIM_CLIENT"]:
    _patch = importlib.import_module(f"pyrepsim.integrations.{name}").patched()
    _patch.__enter__()
_touched: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    before = sum(calls.values())
    try:
        return (yield)
    finally:
        if sum(calls.values()) > before:
            _touched.add(item.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    n_calls, n_fallbacks = sum(calls.values()), sum(fallbacks.values())
    terminalreporter.write_line(f"touched {len(_touched)} ({n_calls} calls, {n_fallbacks} answered by the library)")
