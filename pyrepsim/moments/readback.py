"""Values that formulas read from sums on a device: one copy brings those of all pairs to the host.

A formula needs numbers on the host to decide (a rank, a guard) and to return. If each of them were waited for, every
pair would cost several copies. Within `evaluated_together` a formula that reads a value which is not there yet stops
(`Awaited`) after its computation is queued on the device. When all formulas have stopped, one copy brings everything
that they wait for, and they are called again: what was read is known then and is not computed again. So the number of
copies is that of successive decisions of the longest formula, whatever the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

__all__ = ["Awaited", "Readback", "Reader", "evaluated_together", "read_now"]

_MOST_BYTES = 1 << 30
"""Values that wait on the device, at most, before they are copied."""

T = TypeVar("T")


class Reader(Protocol):
    """``read(name, compute)``: what ``compute()`` returns, with vectors and numbers on the host, where they can be
    looked at. Matrices stay where they are.
    """

    def __call__(self, name: str, compute: Callable[[], Any], /) -> Any: ...


def read_now(_name: str, compute: Callable[[], Any]) -> Any:
    """The `Reader` of arrays in host memory."""
    return compute()


class Awaited(BaseException):
    """A formula reads a value that comes with the next copy. Not an Exception, which a measure might catch."""


class _Noted:
    """Arrays that were computed on the device and are not read yet."""

    def __init__(self, found: Any) -> None:
        self.single = not isinstance(found, tuple)
        self.arrays: list[Any] = [found] if self.single else list(found)
        self.places = [k for k, array in enumerate(self.arrays) if array.ndim < 2]

    def read(self, values: Iterator[Any]) -> Any:
        for k in self.places:
            self.arrays[k] = next(values)
        return self.arrays[0] if self.single else tuple(self.arrays)


class Readback:
    """Reads values of one device. For one thread at a time.

    Parameters
    ----------
    device : object
        With ``work()``, ``to_device(array)`` and ``read_together(arrays)``: backends/cuda/device.py.
    """

    def __init__(self, device: Any) -> None:
        self.device = device
        self._noted: list[tuple[dict[Any, Any], tuple, _Noted]] = []
        self._together = False
        self.n_bytes = 0

    def to_device(self, array: Any) -> Any:
        """A copy of an array of the host on the device."""
        return self.device.to_device(array)

    def read(self, known: dict[Any, Any], of: tuple, name: str, compute: Callable[[], Any]) -> Any:
        """Return what ``compute()`` gives, vectors and numbers on the host, from ``known[(*of, name)]`` if it is there.

        Raises
        ------
        Awaited
            Within `together`, if the values are not on the host yet.
        """
        key = (*of, name)
        if key not in known:
            noted = _Noted(compute())  # it may read other values first, whose keys begin with this one
            for nested in [other for other in known if isinstance(other, tuple) and other[: len(key)] == key]:
                del known[nested]
            known[key] = noted
            self._noted.append((known, key, noted))
            self.n_bytes += sum([noted.arrays[k].nbytes for k in noted.places])
            if not self._together:
                self.fetch()
        found = known[key]
        if isinstance(found, _Noted):
            raise Awaited
        return found

    def fetch(self) -> None:
        """Copy all values that were noted to the host, in one copy."""
        waiting, self._noted, self.n_bytes = self._noted, [], 0
        wanted = [noted.arrays[k] for _, _, noted in waiting for k in noted.places]
        values = iter(self.device.read_together(wanted))
        for known, key, noted in waiting:
            known[key] = noted.read(values)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A context in which values are noted, and copied by `fetch` only."""
        self._together = True
        try:
            with self.device.work():
                yield
        finally:
            self._together = False
            for known, key, _ in self._noted:  # after an error
                known.pop(key, None)
            self._noted, self.n_bytes = [], 0


def evaluated_together(readback: Readback, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return the results of all calls, whose values on the device come to the host together.

    A call may run several times: see the module.
    """
    results: dict[int, T] = {}
    waiting = range(len(calls))
    with readback.together():
        while waiting:
            stopped = []
            for k in waiting:
                try:
                    results[k] = calls[k]()
                except Awaited:
                    stopped.append(k)
                if readback.n_bytes > _MOST_BYTES:
                    readback.fetch()
            if stopped:
                readback.fetch()
            waiting = stopped
    return [results[k] for k in range(len(calls))]
