"""Ctrl-C during a command."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupts"]

SECONDS_BETWEEN = 0.05


class Interrupts:
    """Remember, for the length of a with-block, whether SIGINT came.

    It raises KeyboardInterrupt as always. But it may come while a function of any library cleans up, which then ends
    with another error: that error is a consequence of the interrupt, and no fault to report. Or it may come in a
    callback whose errors Python ignores, such as that of a weak reference: then it is raised again soon after.

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
        self._report_ignored: Any = None

    def __enter__(self) -> Interrupts:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
            self._report_ignored, sys.unraisablehook = sys.unraisablehook, self._after_callback
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._report_ignored

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)

    def _after_callback(self, ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            again = threading.Timer(SECONDS_BETWEEN, self._interrupt)  # when the callback has ended
            again.daemon = True
            again.start()
        else:
            self._report_ignored(ignored)

    def _interrupt(self) -> None:
        if sys.unraisablehook == self._after_callback:  # inside the with-block
            os.kill(os.getpid(), signal.SIGINT)
