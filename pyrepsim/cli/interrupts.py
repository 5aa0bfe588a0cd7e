"""Ctrl-C during a command."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Remember, for the length of a with-block, whether SIGINT came.

    It raises KeyboardInterrupt as always. But it may come while a function of any library cleans up, which then ends
    with another error: that error is a consequence of the interrupt, and no fault to report.

    Attributes
    ----------
    came : bool
        Whether SIGINT came.

    Examples
    --------
    >>> import signal
    >>> from pyrepsim.cli.interrupts import Interrupts
    >>> with Interrupts() as interrupts:
    ...     try:
    ...         signal.raise_signal(signal.SIGINT)
    ...     except KeyboardInterrupt:
    ...         print(interrupts.came)
    True
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)
