"""Copies from host memory to the device, through a ring of pinned buffers that threads fill and a copy stream sends.

While one buffer is sent, the next one is filled and the device computes with the rows of the previous call. Rows are
sent in their own type, so half precision needs half the bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from .rows import DeviceRows

__all__ = ["Staging"]

_SLOTS = 8
_SLOT_BYTES = 8 << 20
_FILLERS = 4


class Staging:
    """Copies rows to the device on ``stream``."""

    def __init__(self, cupy: Any, device: int) -> None:
        self._cupy, self._device = cupy, device
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self._slots: deque[_Slot] = deque()
        self._fillers: ThreadPoolExecutor | None = None

    def take(self, views: Sequence[np.ndarray | DeviceRows], readers: Any) -> list[DeviceRows]:
        """Dense device copies of ``views``, written after the event ``readers``."""
        cp = self._cupy
        with cp.cuda.Device(self._device), self.stream:
            self.stream.wait_event(readers)
            taken = []
            for view in views:
                if isinstance(view, DeviceRows):
                    taken.append(DeviceRows(cp.array(view.values, order="C"), view.dtype, ours=True))
                else:
                    bits = _as_known(view)
                    taken.append(DeviceRows(cp.empty(bits.shape, bits.dtype), view.dtype, ours=True))
            jobs = [
                job
                for view, rows in zip(views, taken, strict=True)
                if not isinstance(view, DeviceRows)
                for job in _pieces(_as_known(view), int(rows.values.data.ptr))
            ]
            self._send(jobs)
        return taken

    def _send(self, jobs: Sequence[tuple[np.ndarray, int]]) -> None:
        if not self._slots and jobs:
            self._slots.extend(_Slot(self._cupy) for _ in range(_SLOTS))
            self._fillers = ThreadPoolExecutor(_FILLERS, thread_name_prefix="pyrepsim-staging")
        filling: deque[tuple[Future, _Slot, int]] = deque()

        def send_oldest() -> None:
            filled, slot, address = filling.popleft()
            slot.send(filled.result(), address, self.stream)

        for piece, address in jobs:
            if len(filling) == _SLOTS:
                send_oldest()
            slot = self._slots[0]
            self._slots.rotate(-1)
            slot.sent.synchronize()
            assert self._fillers is not None
            filling.append((self._fillers.submit(slot.fill, piece), slot, address))
        while filling:
            send_oldest()


class _Slot:
    """One pinned buffer, and the event after which it can be written again."""

    def __init__(self, cupy: Any) -> None:
        self._memory = cupy.cuda.alloc_pinned_memory(_SLOT_BYTES)
        self._bytes = np.frombuffer(self._memory, np.uint8, _SLOT_BYTES)
        self._runtime = cupy.cuda.runtime
        self.sent = cupy.cuda.Event(disable_timing=True)

    def fill(self, piece: np.ndarray) -> int:
        """Copy a piece into the buffer, dense; returns its size in bytes. Runs in a filler thread; NumPy releases the
        GIL.
        """
        held = self._bytes[: piece.nbytes].view(piece.dtype).reshape(piece.shape)
        np.copyto(held, piece)
        return piece.nbytes

    def send(self, n_bytes: int, address: int, stream: Any) -> None:
        kind = self._runtime.memcpyHostToDevice
        self._runtime.memcpyAsync(address, self._memory.ptr, n_bytes, kind, stream.ptr)
        self.sent.record(stream)


def _as_known(view: np.ndarray) -> np.ndarray:
    """bfloat16 as uint16, which every library can copy; other types unchanged."""
    return view.view(np.uint16) if view.dtype.name == "bfloat16" else view


def _pieces(view: np.ndarray, address: int) -> Iterator[tuple[np.ndarray, int]]:
    """Runs of rows (or parts of a row) that fit in a buffer, each with its device address."""
    row_bytes = view.shape[1] * view.itemsize
    if row_bytes > _SLOT_BYTES:
        step = _SLOT_BYTES // view.itemsize
        for r in range(len(view)):
            for begin in range(0, view.shape[1], step):
                yield view[r, begin : begin + step], address + r * row_bytes + begin * view.itemsize
        return
    step = _SLOT_BYTES // row_bytes
    for begin in range(0, len(view), step):
        yield view[begin : begin + step], address + begin * row_bytes
