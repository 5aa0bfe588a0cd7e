"""Streaming moments on a device: the sums of moments/state.py, with products by cuBLAS.

Rows are cut into blocks of `device.block_rows` (8192) from the start of the stream, whatever the chunks. The rows of a
block are converted, transformed and shifted into a buffer as they come; when it is full its products are added to
float64 sums, by calls whose shapes never differ. So the bits depend on the rows and the kind of device alone.

``precision="fp32"`` multiplies shifted rows of float32 in float32 over 256 rows at a time and adds those products in
float64, as the CPU engine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import reference
from .rows import DeviceRows, stage

__all__ = ["Moments"]

_SINGLE_ROWS = 256
"""Rows of a float32 product, and of the first block, which gives the shift: the block size of the CPU engine."""
_PRODUCT_BYTES = 256 << 20


class _Sums:
    """The float64 sums, on the device."""

    def __init__(self, products: list[Any], cross: list[Any], weighted: list[Any], norms: Any) -> None:
        self.products, self.cross, self.weighted, self.norms = products, cross, weighted, norms

    def copy(self) -> _Sums:
        products, cross, weighted = ([one.copy() for one in s] for s in (self.products, self.cross, self.weighted))
        return _Sums(products, cross, weighted, self.norms.copy())


class Moments:
    """Sums over rows u = t(x) - c on `device`: moments/state.py has their names and formulas."""

    def __init__(
        self, device: Any, widths: Sequence[int], pairs: Sequence[tuple[int, int]], *, transform: str, precision: str
    ) -> None:
        self.widths, self.pairs, self.transform, self.precision = list(widths), list(pairs), transform, precision
        self._device, self._block_rows = device, device.block_rows
        sides = len(self.widths)
        self._sums = _Sums(
            [device.zeros((w, w), np.float64) for w in self.widths],
            [device.zeros((self.widths[i], self.widths[j]), np.float64) for i, j in self.pairs],
            [device.zeros((1 + sides, w), np.float64) for w in self.widths],
            device.zeros((1 + sides, sides), np.float64),
        )
        single = np.float32 if precision == "fp32" else np.float64
        self._block = [device.empty((self._block_rows, w), single) for w in self.widths]
        # row 0: ones; row 1 + s: squared norms of side s
        self._weights = device.to_device(np.ones((1 + sides, self._block_rows)))
        widest = device.kernels.partial_sums(self._block_rows, max(self.widths), 1 + sides)
        self._partial = device.empty(widest, np.float64)
        self._shift: list[np.ndarray] | None = None  # known once there are _SINGLE_ROWS rows
        self._shift_on_device: list[Any] = []
        self._pending: list[list[DeviceRows]] = []  # the rows of the unfinished block, for saving
        self._n_done = self._n_pending = self._n_prepared = 0

    @property
    def device(self) -> Any:
        """The device that has the sums."""
        return self._device

    @property
    def n_samples(self) -> int:
        return self._n_done + self._n_pending

    def update(self, chunk: Sequence[np.ndarray | DeviceRows], _n_threads: int = 1) -> None:
        """Queue the rows of a chunk; the device adds them later."""
        ours = all(isinstance(rows, DeviceRows) and rows.ours for rows in chunk)
        taken = chunk if ours else stage(self._device, chunk)
        n_rows, start = len(taken[0]), 0
        while start < n_rows:
            stop = min(n_rows, start + self._block_rows - self._n_pending)
            self._pending.append([rows[start:stop] for rows in taken])  # type: ignore[misc]
            self._n_pending += stop - start
            start = stop
            if self._shift is None and self._n_pending >= _SINGLE_ROWS:
                self._shift = self._shift_of_first_rows()
                self._shift_on_device = [self._device.to_device(c) for c in self._shift]
            if self._shift is not None:
                self._prepare(self._shift_on_device)
                self._n_prepared = self._n_pending
            if self._n_pending == self._block_rows:
                self._add(self._sums, self._block_rows)
                self._n_done += self._block_rows
                self._n_pending = self._n_prepared = 0
                self._pending.clear()

    def _shift_of_first_rows(self) -> list[np.ndarray]:
        """The shift that the CPU engine would choose, from the first rows of the stream."""
        shifts = []
        for side in range(len(self.widths)):
            parts, wanted = [], min(self._n_pending, _SINGLE_ROWS)
            for chunk in self._pending:
                parts.append(np.asarray(chunk[side][:wanted], dtype=np.float64))
                wanted -= len(parts[-1])
                if wanted == 0:
                    break
            shifts.append(reference.shift_for(reference.transformed(np.concatenate(parts), self.transform)))
        return shifts

    def _prepare(self, shift: Sequence[Any]) -> None:
        """Copy pending rows into the block buffers, with their squared norms."""
        device, first = self._device, 0
        for chunk in self._pending:
            n_rows = len(chunk[0])
            if first >= self._n_prepared:
                for side, rows in enumerate(chunk):
                    width, block = rows.shape[1], self._block[side]
                    entry = (1 + side) * self._block_rows + first
                    device.kernels.prepare_rows(
                        data=device.address(rows.values),
                        dtype=rows.dtype.name,
                        rows=n_rows,
                        cols=width,
                        stride=width,
                        transform=self.transform,
                        shift=device.address(shift[side]),
                        precision=self.precision,
                        out=device.address(block) + first * width * block.itemsize,
                        norms=device.address(self._weights) + entry * self._weights.itemsize,
                        stream=device.stream,
                    )
            first += n_rows
        device.rows_were_read()

    def _add(self, sums: _Sums, n_rows: int) -> None:
        """Add the products of the first `n_rows` rows of the block."""
        device, weights = self._device, self._weights.T[:n_rows]
        block = [rows[:n_rows] for rows in self._block]
        jobs = [(weights, weights[:, 1:], sums.norms)]
        if self.precision == "fp64":
            jobs += [(u, u, out) for u, out in zip(block, sums.products, strict=True)]
            jobs += [(block[i], block[j], out) for (i, j), out in zip(self.pairs, sums.cross, strict=True)]
        with device.work():
            device.add_products(jobs)
            if self.precision == "fp32":
                self._add_single(sums, n_rows)
        for u, out in zip(block, sums.weighted, strict=True):
            device.kernels.add_weighted_sums(
                precision=self.precision,
                u=device.address(u),
                rows=n_rows,
                cols=u.shape[1],
                weights=device.address(self._weights),
                n_weights=len(self._weights),
                weights_stride=self._block_rows,
                partial=device.address(self._partial),
                out=device.address(out),
                stream=device.stream,
            )

    def _add_single(self, sums: _Sums, n_rows: int) -> None:
        """Matrix products in float32 of `_SINGLE_ROWS` rows each; the last one is padded with rows of zeros."""
        parts = -(-n_rows // _SINGLE_ROWS)
        for rows in self._block:
            rows[n_rows : parts * _SINGLE_ROWS] = 0
        blocks = [rows.reshape(-1, _SINGLE_ROWS, rows.shape[1])[:parts] for rows in self._block]
        for u, out in zip(blocks, sums.products, strict=True):
            self._add_parts(u, u, out)
        for (i, j), out in zip(self.pairs, sums.cross, strict=True):
            self._add_parts(blocks[i], blocks[j], out)

    def _add_parts(self, left: Any, right: Any, out: Any) -> None:
        """out += sum over parts of left^T right; products are float32, a few at a time, added in order."""
        device, together = self._device, max(1, _PRODUCT_BYTES // (4 * out.size))
        for begin in range(0, len(left), together):
            parts = device.products(left[begin : begin + together], right[begin : begin + together])
            device.kernels.add_products(
                products=device.address(parts),
                n_products=len(parts),
                size=out.size,
                out=device.address(out),
                stream=device.stream,
            )

    def get_state(self, complete: bool, _n_threads: int = 1) -> dict[str, Any]:
        """The sums as NumPy arrays; with ``complete`` they include the rows of the unfinished block."""
        device = self._device
        sums, shift = self._complete() if complete else (self._sums, self._shift)
        if shift is None:
            shift = [np.zeros(w) for w in self.widths]
        unsaved = [] if complete else self._pending
        return {
            "n_samples": self.n_samples,
            "shift": [c.copy() for c in shift],
            "products": [device.to_host(one) for one in sums.products],
            "cross": [device.to_host(one) for one in sums.cross],
            "weighted": [device.to_host(one) for one in sums.weighted],
            "norms": device.to_host(sums.norms),
            "pending": [
                np.concatenate([np.zeros((0, w)), *(np.asarray(c[side], np.float64) for c in unsaved)])
                for side, w in enumerate(self.widths)
            ],
        }

    def state_on_device(self) -> dict[str, Any]:
        """The sums of all rows as arrays on the device that may be overwritten; norms and shifts as NumPy arrays."""
        sums, shift = self._complete()
        with self._device.work():
            sums = sums.copy() if sums is self._sums else sums
        return {
            "n_samples": self.n_samples,
            "shift": shift or [np.zeros(w) for w in self.widths],
            "products": sums.products,
            "cross": sums.cross,
            "weighted": sums.weighted,
            "norms": self._device.to_host(sums.norms),
        }

    def _complete(self) -> tuple[_Sums, list[np.ndarray] | None]:
        """The sums with the rows of the unfinished block, and the shift."""
        device, sums, shift = self._device, self._sums, self._shift
        if self._n_pending:
            with device.work():
                if shift is None:
                    shift = self._shift_of_first_rows()
                    self._prepare([device.to_device(c) for c in shift])
                sums = sums.copy()
                self._add(sums, self._n_pending)
        return sums, shift

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of ``get_state(complete=False)``."""
        device, n_pending = self._device, len(state["pending"][0])
        names = ("products", "cross", "weighted")
        products, cross, weighted = ([device.to_device(np.array(one)) for one in state[name]] for name in names)
        self._sums = _Sums(products, cross, weighted, device.to_device(np.array(state["norms"])))
        self._pending.clear()
        self._n_pending = self._n_prepared = 0
        self._n_done = int(state["n_samples"]) - n_pending
        self._shift = [np.array(c) for c in state["shift"]] if self._n_done else None
        self._shift_on_device = [device.to_device(c) for c in self._shift or ()]
        if n_pending:
            self.update(state["pending"])
