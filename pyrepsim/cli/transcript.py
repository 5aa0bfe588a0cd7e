"""What a command does, written on stderr as the Python that does the same, and then done."""

from __future__ import annotations

import inspect
import sys
from operator import attrgetter
from typing import Any

__all__ = ["Transcript"]


class Transcript:
    """Calls of public functions, each printed as it is made: what is said can't differ from what is done."""

    def __init__(self, config: str = "") -> None:
        self._names: list[tuple[Any, str]] = []
        lines = [f"# {line}" for line in config.strip().splitlines() if line.strip() not in ("", "{}")]
        self._write("\n".join([*lines, "import pyrepsim as rs"]))

    def __call__(self, name: str, function: str, *arguments: Any, **options: Any) -> Any:
        """Call `pyrepsim.<function>`, call the value `name` from here on, and return it."""
        import pyrepsim

        target = attrgetter(function)(pyrepsim)
        known = inspect.signature(target).parameters
        chosen = {key: item for key, item in options.items() if item != known[key].default}
        written = [self._write_value(item) for item in arguments]
        written += [f"{key}={self._write_value(item)}" for key, item in chosen.items()]
        self._write(f"{name} = rs.{function}({', '.join(written)})")
        value = target(*arguments, **chosen)
        self._names.append((value, name))
        return value

    def _write_value(self, value: Any) -> str:
        for known, name in self._names:
            if known is value:
                return name
        return repr(value)

    @staticmethod
    def _write(text: str) -> None:
        print(text, file=sys.stderr, flush=True)
