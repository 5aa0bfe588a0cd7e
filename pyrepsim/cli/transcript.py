"""Commands call public functions only, and print on stderr the Python that does the same."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from ..core.text import printable

__all__ = ["Transcript", "is_main_process"]


def is_main_process() -> bool:
    """Whether this process prints, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


class Transcript:
    """Call a public function and print the call: what is printed is what is run."""

    def __init__(self, config: str = "") -> None:
        self._names: list[tuple[Any, str]] = []
        self._imported: set[str] = set()
        for line in config.splitlines():
            if line.strip() not in ("", "{}"):
                _write(f"# {line}")

    def __call__(self, name: str, function: str, *arguments: Any, **options: Any) -> Any:
        """Call `function` or `package.function` of pyrepsim, assign the value to `name`, and return it.

        Options that have their default value are neither printed nor passed.
        """
        package, _, last = function.rpartition(".")
        self._import(f"from pyrepsim.{package} import {last}" if package else "import pyrepsim as rs")
        target = getattr(importlib.import_module(f"pyrepsim.{package}" if package else "pyrepsim"), last)
        known = inspect.signature(target).parameters
        chosen = {key: item for key, item in options.items() if item != known[key].default}
        written = [self._name(item) for item in arguments]
        written += [f"{key}={self._name(item)}" for key, item in chosen.items()]
        _write(f"{name} = {'' if package else 'rs.'}{last}({', '.join(written)})")
        value = target(*arguments, **chosen)
        self._names.append((value, name))
        return value

    def _import(self, line: str) -> None:
        if line not in self._imported:
            self._imported.add(line)
            _write(line)

    def _name(self, value: Any) -> str:
        return next((name for known, name in self._names if known is value), None) or repr(value)


def _write(text: str) -> None:
    if is_main_process():
        print(printable(text), file=sys.stderr, flush=True)
