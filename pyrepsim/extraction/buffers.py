"""Room for the activations of one shard, filled in any order, handed to the store in one piece."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import torch

from ..errors import NonFiniteError
from ..store.layout import DTYPES, check_choice


class DoesNotFit(Exception):
    """Values of these layers overflow the store's type; fill the shard again with wider buffers."""

    def __init__(self, layers: list[str]) -> None:
        super().__init__(", ".join(layers))
        self.layers = layers


class ShardBuffers:
    """One (rows, width) buffer per layer in the store's type, reused from shard to shard.

    Beside a CUDA model, buffers lie on its device while there is room for them: rows find their places there, and a
    shard crosses to pinned memory in one piece per layer.

    A layer that once overflowed gets a float32 buffer from then on: the store decides by the values of each
    shard, and float32 converted there is the same as float32 converted here, so nothing depends on what came
    before.
    """

    def __init__(self, widths: Mapping[str, int], rows: int, dtype: str, device: torch.device | str = "cpu") -> None:
        self._dtype = torch_dtype(dtype)
        device = _with_room(torch.device(device), rows * sum(widths.values()) * self._dtype.itemsize)
        self._data = {
            layer: torch.empty((rows, width), dtype=self._dtype, device=device) for layer, width in widths.items()
        }
        self._pinned: dict[str, torch.Tensor] = {}

    def place(self, at: np.ndarray, rows: Mapping[str, torch.Tensor], magnitudes: torch.Tensor) -> None:
        """Copy rows to their places, converted on the model's device.

        Raises
        ------
        DoesNotFit
            If a finite value becomes infinite in a buffer's type; `magnitudes` are the largest of each layer.
        """
        overflow = [
            layer
            for layer, top in zip(rows, magnitudes, strict=True)
            if not bool(torch.isfinite(top.to(self._data[layer].dtype)))
        ]
        if overflow:
            raise DoesNotFit(overflow)
        where = torch.from_numpy(at)
        for layer, values in rows.items():
            buffer = self._data[layer]
            where = where.to(buffer.device)
            buffer.index_copy_(0, where, values.to(buffer.dtype).to(buffer.device))

    def widen(self, layers: list[str]) -> None:
        """Give layers float32 buffers; NonFiniteError for one that has one already, since nothing is wider."""
        for layer in layers:
            if self._data[layer].dtype == torch.float32:
                raise NonFiniteError(
                    f"Activations must fit in float32: layer {layer!r} goes beyond. Check the model's weights."
                )
            self._data[layer] = torch.empty_like(self._data[layer], dtype=torch.float32)

    def arrays(self, n_rows: int) -> dict[str, np.ndarray]:
        """The first rows of every layer as NumPy sees them, valid until the buffers are filled again."""
        for layer, buffer in self._data.items():
            if buffer.device.type == "cuda":
                host = self._pinned.get(layer)
                if host is None or host.dtype != buffer.dtype:
                    host = self._pinned[layer] = torch.empty_like(buffer, device="cpu", pin_memory=True)
                host[:n_rows].copy_(buffer[:n_rows], non_blocking=True)
        if self._pinned:
            torch.cuda.synchronize()
        return {layer: as_numpy(self._pinned.get(layer, buffer)[:n_rows]) for layer, buffer in self._data.items()}


def _with_room(device: torch.device, n_bytes: int) -> torch.device:
    """``device`` if it is a GPU on which the buffers leave most of the free memory to the model, else the host."""
    if device.type == "cuda" and 8 * n_bytes < torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")


def torch_dtype(dtype: str) -> torch.dtype:
    check_choice("dtype", dtype, DTYPES)
    return getattr(torch, dtype)


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A view; torch has no NumPy name for bfloat16, so its bits are handed over."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
