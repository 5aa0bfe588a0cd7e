"""Result files record the processor and the Python version of a machine, not its name."""

from __future__ import annotations

from typing import Any


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    for name in ("node", "release"):
        machine_info.pop(name, None)
