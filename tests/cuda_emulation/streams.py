"""Streams and events of the emulated CuPy: work is done when something waits for it (cupy_on_numpy.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cuda_emulation.cupy_on_numpy import Machine

__all__ = ["Event", "Stream"]


class Stream:
    """Work in the order that it was queued. Inside ``with stream:`` arrays are made and computed on it."""

    def __init__(
        self, machine: Machine, *, non_blocking: bool = True, device: int | None = None, null: bool = False
    ) -> None:
        assert non_blocking  # others wait for the null stream, and it for them: not emulated
        self.machine, self.device = machine, machine.device if device is None else device
        self._queue: list[Callable[[], Any]] = []
        self._done = 0
        number = len(machine.streams)
        self.ptr = 0 if null else 1000 + number
        self._eager = null or machine.eager(number)
        self._before: list[Any] = []
        if not null:
            machine.streams[self.ptr] = self

    def queue(self, work: Callable[[], Any]) -> None:
        self._queue.append(work)
        if self._eager:
            self.synchronize()

    def reach(self, position: int) -> None:
        """Do what was queued before this position."""
        while self._done < position:
            work, self._done = self._queue[self._done], self._done + 1
            self._queue[self._done - 1] = _nothing
            work()

    def synchronize(self) -> None:
        self.reach(len(self._queue))

    def record(self, event: Event | None = None) -> Event:
        event = event or Event(self.machine.device)
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        stream, position = event.stream, event.position
        if stream is not None:
            self.queue(lambda: stream.reach(position))

    def __enter__(self) -> Stream:
        self._before.append(self.machine.use(stream=self))
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.back(self._before.pop())


class Event:
    """A position in a stream of the device that the event was made on: CUDA refuses any other."""

    def __init__(self, device: int, *, disable_timing: bool = False) -> None:
        assert isinstance(disable_timing, bool)
        self.device = device
        self.stream: Stream | None = None
        self.position = 0

    def record(self, stream: Stream) -> None:
        if stream.device != self.device:
            raise RuntimeError(f"invalid resource handle: event of device {self.device}, stream of {stream.device}")
        self.stream, self.position = stream, len(stream._queue)

    def synchronize(self) -> None:
        if self.stream is not None:
            self.stream.reach(self.position)


def _nothing() -> None:
    pass
