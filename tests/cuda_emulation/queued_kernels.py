"""The emulated kernels on emulated streams: a call that names a stream is queued there, as a launch is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests.cuda_emulation.cupy_on_numpy import Machine

__all__ = ["QueuedKernels"]


class QueuedKernels:
    """The interface of `module`; functions and sweeps take their stream as the last argument."""

    def __init__(self, module: ModuleType, machine: Machine) -> None:
        self._module, self._machine = module, machine

    def device_count(self) -> int:
        return self._machine.n_devices

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._module, name)
        if isinstance(thing, type):
            return lambda *args, **kwargs: _QueuedSweep(thing(*args, **kwargs), self._machine)
        if "stream:" not in (thing.__doc__ or ""):
            return thing

        def launch(*args: Any, **kwargs: Any) -> None:
            stream = kwargs.get("stream", args[-1] if args else None)
            self._machine.stream_at(stream).queue(_alone(lambda: thing(*args, **kwargs)))

        return launch


class _QueuedSweep:
    def __init__(self, sweep: Any, machine: Machine) -> None:
        self._sweep, self._machine = sweep, machine
        self.n_tasks = sweep.n_tasks

    def run(self, *args: Any) -> None:
        self._machine.stream_at(args[-1]).queue(_alone(lambda: self._sweep.run(*args)))


_emulator = threading.Lock()


def _alone(work: Callable[[], None]) -> Callable[[], None]:
    """Threads of Python take turns: the emulator's fibers are the process's."""

    def run() -> None:
        with _emulator:
            work()

    return run
