"""What a command does, written on stderr as the Python that does the same, and then done."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

__all__ = ["Transcript", "first_process"]


def first_process() -> bool:
    """Whether this is the process that speaks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


class Transcript:
    """Calls of public functions, each printed as it is made: what is said can't differ from what is done."""

    def __init__(self, config: str = "") -> None:
        self._names: list[tuple[Any, str]] = []
        self._imported: set[str] = set()
        for line in config.splitlines():
            if line.strip() not in ("", "{}"):
                _write(f"# {line}")

    def __call__(self, name: str, function: str, *arguments: Any, **options: Any) -> Any:
        """Call `function` or `room.function` of pyrepsim, name the value `name`, and return it.

        Options that have their default are neither printed nor passed.
        """
        room, _, last = function.rpartition(".")
        self._import(f"from pyrepsim.{room} import {last}" if room else "import pyrepsim as rs")
        target = getattr(importlib.import_module(f"pyrepsim.{room}" if room else "pyrepsim"), last)
        known = inspect.signature(target).parameters
        chosen = {key: item for key, item in options.items() if item != known[key].default}
        written = [self._name(item) for item in arguments]
        written += [f"{key}={self._name(item)}" for key, item in chosen.items()]
        _write(f"{name} = {'' if room else 'rs.'}{last}({', '.join(written)})")
        value = target(*arguments, **chosen)
        self._names.append((value, name))
        return value

    def _import(self, line: str) -> None:
        if line not in self._imported:
            self._imported.add(line)
            _write(line)

    def _name(self, value: Any) -> str:
        for known, name in self._names:
            if known is value:
                return name
        return repr(value)


def _write(text: str) -> None:
    if first_process():
        print(text, file=sys.stderr, flush=True)
