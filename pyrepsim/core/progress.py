"""Progress: a bar on a terminal and in a notebook; in a log, a line with the time that is left, now and then."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .text import printable

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress_bar"]

_DELAY_SECONDS = 0.5
_FIRST_LINE_SECONDS, _MOST_SECONDS = 30.0, 600.0


class _NoBar:
    """A progress bar that is not shown: making one of tqdm takes as long as comparing small arrays."""

    disable = True

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def update(self, *_args: object, **_options: object) -> None:
        """Do nothing, as every method of this class."""

    set_description = set_postfix = set_postfix_str = close = update


class _Lines:
    """For a log: a line on stderr after half a minute, then at intervals that double up to ten minutes."""

    disable = False

    def __init__(self, total: int, desc: str, unit: str) -> None:
        self.n, self.total = 0, total
        self._what, self._unit, self._postfix = desc, unit, ""
        self._start = time.monotonic()
        self._wait = _FIRST_LINE_SECONDS
        self._due = self._start + self._wait

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        self.n += n
        now = time.monotonic()
        if now < self._due:
            return
        self._wait = min(2 * self._wait, _MOST_SECONDS)
        self._due = now + self._wait
        passed = now - self._start
        left = f", about {_minutes(passed * (self.total / self.n - 1))} left" if 0 < self.n < self.total else ""
        done = f"{self.n:,} of {self.total:,}{self._unit} ({self.n / max(self.total, 1):.0%})"
        line = f"{self._what}: {done} in {_minutes(passed)}{left}{self._postfix}"
        print(printable(line), file=sys.stderr, flush=True)

    def set_description(self, desc: str, refresh: bool = True) -> None:  # noqa: ARG002 - as of tqdm
        self._what = desc

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:  # noqa: ARG002
        self._postfix = f", {text}" if text else ""

    def set_postfix(self, values: dict[str, Any] | None = None, **more: Any) -> None:
        self.set_postfix_str(", ".join(f"{name}={value}" for name, value in {**(values or {}), **more}.items()))

    def close(self) -> None:
        """There is nothing to close."""


def progress_bar(
    total: int, progress: bool | None, *, desc: str, unit: str = " rows", transient: bool = False
) -> tqdm | _NoBar | _Lines:
    """Return a progress bar.

    Parameters
    ----------
    total : int
        The number of units of work.
    progress : bool or None
        Whether to show the bar. None: a bar on a terminal and in a notebook, and in a log a line now and then.
    desc, unit : str
        What is done, and what is counted.
    transient : bool
        Show the bar after half a second only, and remove it at the end. For one of many short tasks.
    """
    if progress is False:
        return _NoBar()
    notebook = _in_notebook()
    if progress is None and not notebook and not (sys.stderr is not None and sys.stderr.isatty()):
        return _Lines(total, desc, unit) if sys.stderr is not None else _NoBar()
    if notebook and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=True,
        desc=printable(desc),
        leave=not transient,
        delay=_DELAY_SECONDS if transient else 0,
    )


def _in_notebook() -> bool:
    """Whether this is a kernel of Jupyter."""
    ipython: Any = sys.modules.get("IPython") if "ipykernel" in sys.modules else None
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
