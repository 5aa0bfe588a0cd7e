"""Forward passes: the hidden states of a batch, reduced to the planned rows on the device, and buffers for a shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import torch

from ..core.errors import NonFiniteError, check_choice
from ..data.documents import Corpus
from ..models import Encoder
from ..store.layout import DTYPES
from .layout import Batch, ShardLayout
from .options import ReadingPolicy

if TYPE_CHECKING:
    from tqdm import tqdm


class Selector:
    """Runs batches through an encoder and keeps the planned rows of the chosen layers and hook points.

    Rows are selected on the device, once per layer: (sequences, tokens, width) -> (rows, width). Padding is never
    copied to the host.
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str], policy: ReadingPolicy) -> None:
        self.encoder = encoder
        self._layers = tuple(layers)
        self._pool = _MeanOfTokens if policy.words == "mean" else _FirstToken
        self._pool = _MeanOfDocument if policy.by_document else self._pool

    def rows(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The rows of a batch, one (rows, width) tensor per layer on the device, in the order of ``batch.rows``."""
        device = self.encoder.device
        ids = torch.from_numpy(batch.ids).to(device)
        mask = ids >= 0
        read = ids.masked_fill(~mask, self.encoder.pad_id)
        types = None if batch.types is None else torch.from_numpy(batch.types).to(device)
        states = self.encoder.hidden_states(read, mask.long(), self._layers, types)
        with torch.inference_mode():
            pool = self._pool(batch, device)
            return {layer: pool(state.flatten(0, 1)) for layer, state in zip(self._layers, states, strict=True)}


class _FirstToken:
    """The first token of each row."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._picks = torch.from_numpy(batch.picks[_starts(batch)]).to(device)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.index_select(0, self._picks)


class _MeanOfTokens:
    """The mean of each row's tokens, added in float32 in reading order, so that every run gives the same bits."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._counts = torch.from_numpy(batch.counts).to(device, torch.float32).unsqueeze(1)
        self._steps = []
        starts = _starts(batch)
        for step in range(int(batch.counts.max(initial=1))):
            rows = np.flatnonzero(batch.counts > step)
            picks = batch.picks[starts[rows] + step]
            self._steps.append((torch.from_numpy(rows).to(device), torch.from_numpy(picks).to(device)))

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        total = tokens.index_select(0, self._steps[0][1]).float()
        for rows, picks in self._steps[1:]:  # a row appears once per step, so the order of additions is fixed
            total.index_add_(0, rows, tokens.index_select(0, picks).float())
        return total.div_(self._counts)


class _MeanOfDocument:
    """The mean of each row's tokens in float64. Neighbours are added, then their sums, and so on.

    So the order of additions depends on the row alone, not on the rows beside it: beyond its end zeros are added.
    """

    def __init__(self, batch: Batch, device: torch.device) -> None:
        inside = np.arange(int(batch.counts.max(initial=1))) < batch.counts[:, None]
        picks = np.zeros(inside.shape, np.int64)
        picks[inside] = batch.picks
        self._picks, self._beyond = torch.from_numpy(picks).to(device), torch.from_numpy(~inside).to(device)
        self._counts = torch.from_numpy(batch.counts).to(device, torch.float64).unsqueeze(1)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        values = tokens.index_select(0, self._picks.flatten()).unflatten(0, self._picks.shape).double()
        values.masked_fill_(self._beyond.unsqueeze(2), 0.0)
        while values.shape[1] > 1:
            if values.shape[1] % 2:
                values = torch.nn.functional.pad(values, (0, 0, 0, 1))
            values = values[:, 0::2] + values[:, 1::2]
        return values[:, 0].add(0.0).div_(self._counts)  # + 0.0: a sum of -0.0 and zeros is 0.0


def _starts(batch: Batch) -> np.ndarray:
    """Where the tokens of each row begin in the picks of a batch."""
    return np.cumsum(batch.counts) - batch.counts


def largest(rows: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The largest magnitude of each layer, NaN if it holds one; a single transfer from the device for all layers."""
    extremes = [torch.stack(torch.aminmax(values)).float() for values in rows.values()]
    return torch.stack(extremes).abs().amax(dim=1).cpu()


def check_finite(
    rows: Mapping[str, torch.Tensor],
    magnitudes: torch.Tensor,
    doc_id: np.ndarray,
    describe: Callable[[int], str],
    name: str,
) -> None:
    """Raise NonFiniteError with layer and document of the first NaN or infinity."""
    if bool(torch.isfinite(magnitudes).all()):
        return
    layer = list(rows)[int((~torch.isfinite(magnitudes)).nonzero()[0, 0])]
    bad = ~torch.isfinite(rows[layer].float()).all(dim=1).cpu().numpy()  # in float32, as the magnitudes
    raise NonFiniteError(
        f"Activations must be finite: {name!r} gives NaN or infinity in layer {layer!r} for "
        f"{describe(int(doc_id[bad].min()))}. Check its weights, or leave that out."
    )


def described(corpus: Corpus) -> Callable[[int], str]:
    """Return a function that names a document of a corpus by its index."""
    return lambda index: f"document {corpus[index].key!r} ({corpus[index].text[:40]!r})"


class OverflowingLayersError(Exception):
    """Values of these layers overflow the buffers' type; fill the shard again with float32 buffers."""

    def __init__(self, layers: list[str]) -> None:
        super().__init__(", ".join(layers))
        self.layers = layers


class ShardBuffers:
    """One (rows, width) buffer per layer in the store's type, reused from shard to shard.

    If the model is on a CUDA device with enough free memory, so are the buffers, and a finished shard is copied to
    pinned host memory in one piece per layer.

    A layer that overflowed once keeps a float32 buffer. The store chooses the type of each shard from its values, so
    its bytes do not depend on whether an earlier shard overflowed.
    """

    def __init__(self, widths: Mapping[str, int], rows: int, dtype: str, device: torch.device | str = "cpu") -> None:
        self._dtype = torch_dtype(dtype)
        device = _buffer_device(torch.device(device), rows * sum(widths.values()) * self._dtype.itemsize)
        self._data = {
            layer: torch.empty((rows, width), dtype=self._dtype, device=device) for layer, width in widths.items()
        }
        self._pinned: dict[str, torch.Tensor] = {}

    def place(self, positions: np.ndarray, rows: Mapping[str, torch.Tensor], magnitudes: torch.Tensor) -> None:
        """Convert rows on the model's device and copy them to these positions of the shard.

        Raises
        ------
        OverflowingLayersError
            If a finite value becomes infinite in a buffer's type; `magnitudes` are the largest of each layer.
        """
        overflow = [
            layer
            for layer, magnitude in zip(rows, magnitudes, strict=True)
            if not bool(torch.isfinite(magnitude.to(self._data[layer].dtype)))
        ]
        if overflow:
            raise OverflowingLayersError(overflow)
        index = torch.from_numpy(positions)
        for layer, values in rows.items():
            buffer = self._data[layer]
            index = index.to(buffer.device)
            buffer.index_copy_(0, index, values.to(buffer.dtype).to(buffer.device))

    def widen(self, layers: list[str]) -> None:
        """Give these layers float32 buffers; NonFiniteError for a layer that overflows float32."""
        for layer in layers:
            if self._data[layer].dtype == torch.float32:
                raise NonFiniteError(
                    f"Activations must fit in float32: layer {layer!r} overflows it. Check the model's weights."
                )
            self._data[layer] = torch.empty_like(self._data[layer], dtype=torch.float32)

    def arrays(self, n_rows: int) -> dict[str, np.ndarray]:
        """The first rows of every layer as NumPy arrays, valid until the buffers are filled again."""
        for layer, buffer in self._data.items():
            if buffer.device.type == "cuda":
                host = self._pinned.get(layer)
                if host is None or host.dtype != buffer.dtype:
                    host = self._pinned[layer] = torch.empty_like(buffer, device="cpu", pin_memory=True)
                host[:n_rows].copy_(buffer[:n_rows], non_blocking=True)
        if self._pinned:
            torch.cuda.synchronize()
        return {layer: as_numpy(self._pinned.get(layer, buffer)[:n_rows]) for layer, buffer in self._data.items()}


def fill(selector: Selector, layout: ShardLayout, buffers: ShardBuffers, corpus: Corpus, bar: tqdm | None) -> None:
    """Compute all rows of a shard. If a layer overflows, give it a float32 buffer and compute the shard again."""
    while True:
        done = 0
        parts: dict[str, torch.Tensor] = {}  # of rows whose tokens are in several sequences
        try:
            for batch in layout.batches():
                rows, places = selector.rows(batch), layout.rows_of(batch)
                magnitudes = largest(rows)
                doc_id = layout.columns["doc_id"][places]
                check_finite(rows, magnitudes, doc_id, described(corpus), selector.encoder.name)
                if layout.pieces is None or layout.pieces.are_rows:
                    buffers.place(places, rows, magnitudes)
                else:
                    _keep(parts, batch.rows, rows, len(layout.pieces.row))
                done += batch.n_tokens
                if bar is not None:
                    bar.update(batch.n_tokens)
            if parts and layout.pieces is not None:
                rows = {layer: layout.pieces.joined(means) for layer, means in parts.items()}
                buffers.place(np.arange(layout.n_rows), rows, largest(rows))
            return
        except OverflowingLayersError as overflow:
            buffers.widen(overflow.layers)
            if bar is not None:
                bar.update(-done)


def _keep(parts: dict[str, torch.Tensor], places: np.ndarray, rows: Mapping[str, torch.Tensor], n: int) -> None:
    """Put rows of a batch into tensors of `n` rows on the CPU."""
    for layer, values in rows.items():
        if layer not in parts:
            parts[layer] = torch.empty((n, values.shape[1]), dtype=values.dtype)
        parts[layer][torch.from_numpy(places)] = values.cpu()


def _buffer_device(device: torch.device, n_bytes: int) -> torch.device:
    """``device`` if it is a GPU and the buffers take less than an eighth of its free memory, else the CPU."""
    if device.type == "cuda" and 8 * n_bytes < torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")


def torch_dtype(dtype: str) -> torch.dtype:
    """The torch type of a store's type name; OptionError for another name."""
    check_choice("dtype", dtype, DTYPES)
    return getattr(torch, dtype)


def as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A NumPy view of a CPU tensor. torch cannot export bfloat16, so its bits are viewed as uint16 in between."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
