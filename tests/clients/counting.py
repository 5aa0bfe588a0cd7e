"""A plug-in of pytest: runs a whole session patched, and counts the tests in which pyrepsim was called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pyrepsim.integrations import calls, fallbacks

_patch = importlib.import_module(f"pyrepsim.integrations.{os.environ['PYREPSIM_CLIENT']}").patched()
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
    terminalreporter.write_line(f"touched {len(_touched)} ({n_calls} calls, {n_fallbacks} left to the library)")
