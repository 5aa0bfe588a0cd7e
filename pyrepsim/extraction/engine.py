"""The loop of an extraction: shard after shard, batch after batch, with writing behind computing.

FOLDED: From hidden states to rows: gather on the device, pool subwords, refuse what is not finite.
FOLDED: Room for the activations of one shard, filled in any order, handed to the store in one piece.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import torch

from ..core.errors import LayerError, NonFiniteError, OptionError
from ..core.progress import progress_bar
from ..data.documents import Corpus
from ..models import Encoder
from ..store import StoreWriter
from ..store.layout import DTYPES, check_choice
from .layout import Batch, ShardLayout
from .plan import ExtractionPlan

if TYPE_CHECKING:
    from tqdm import tqdm


class Selector:
    """Runs batches through an encoder and keeps the planned rows of the chosen layers.

    Padding never leaves the device: each layer is gathered once, (sequences, tokens, width) -> (rows, width).
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str], *, pooling: str | None) -> None:
        names = list(encoder.layers)
        self._encoder = encoder
        self._layers = {layer: names.index(layer) for layer in layers}
        self._pooling = pooling

    def rows(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The batch's rows, (rows, width) per layer, in the order of ``batch.rows``, on the device."""
        device = self._encoder.device
        ids = torch.from_numpy(batch.ids).to(device)
        mask = ids >= 0
        states = self._encoder.hidden_states(ids.masked_fill(~mask, self._encoder.pad_id), mask.long())
        with torch.inference_mode():
            if self._pooling == "mean":
                pool = _MeanPool(batch, device)
            else:
                pool = _Pick(batch, device)
            return {layer: pool(states[index].flatten(0, 1)) for layer, index in self._layers.items()}


class _Pick:
    """The first token of each row."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._picks = torch.from_numpy(batch.picks).to(device)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.index_select(0, self._picks)


class _MeanPool:
    """The mean of each row's tokens, in float32, summed in reading order: the same bits on every run."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._counts = torch.from_numpy(batch.counts).to(device, torch.float32).unsqueeze(1)
        self._steps = []
        for step in range(int(batch.counts.max(initial=1))):
            rows = np.flatnonzero(batch.counts > step)
            self._steps.append(
                (torch.from_numpy(rows).to(device), torch.from_numpy(batch.picks[rows] + step).to(device))
            )

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        total = tokens.index_select(0, self._steps[0][1]).float()
        for rows, picks in self._steps[1:]:  # a row appears once per step, so the order of additions is fixed
            total.index_add_(0, rows, tokens.index_select(0, picks).float())
        return total.div_(self._counts)


def largest(rows: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The largest magnitude per layer, NaN if there is one; one transfer from the device for all layers."""
    extremes = [torch.stack(torch.aminmax(values)).float() for values in rows.values()]
    return torch.stack(extremes).abs().amax(dim=1).cpu()


def check_finite(
    rows: Mapping[str, torch.Tensor], magnitudes: torch.Tensor, doc_id: np.ndarray, corpus: Corpus, name: str
) -> None:
    """Raise NonFiniteError naming layer and document of the first NaN or infinity."""
    if bool(torch.isfinite(magnitudes).all()):
        return
    layer = list(rows)[int((~torch.isfinite(magnitudes)).nonzero()[0, 0])]
    bad = ~torch.isfinite(rows[layer].float()).all(dim=1).cpu().numpy()  # in float32, as the magnitudes
    document = corpus[int(doc_id[bad].min())]
    raise NonFiniteError(
        f"Activations must be finite: {name!r} gives NaN or infinity in layer {layer!r} for document "
        f"{document.key!r} ({document.text[:40]!r}). Check its weights, or leave that document out."
    )


def choose_layers(encoder: Encoder, layers: str | Sequence[str | int]) -> list[str]:
    """Names of the layers asked for, in the model's order; "all", names, or (negative) indices."""
    known = list(encoder.layers)
    if isinstance(layers, str):
        if layers == "all":
            return known
        layers = [layers]
    chosen = set()
    for layer in layers:
        if isinstance(layer, (int, np.integer)) and -len(known) <= layer < len(known):
            chosen.add(known[layer])
        elif layer in known:
            chosen.add(layer)
        else:
            raise LayerError(f"layers must be of {encoder.name!r}: it has {', '.join(known)}; got {layer!r}.")
    if not chosen:
        raise OptionError("layers must name at least one layer: got none. Use layers='all'.")
    return [layer for layer in known if layer in chosen]


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


log = logging.getLogger("pyrepsim.extraction")


def extract_shards(
    encoder: Encoder,
    plan: ExtractionPlan,
    writer: StoreWriter,
    shards: Sequence[int],
    widths: Mapping[str, int],
    dtype: str,
    progress: bool | None,
) -> None:
    """Fill and commit shards; one shard is written and synced by a thread while the next is computed."""
    rows = max(plan.shard_rows[shard] for shard in shards)
    spare = [ShardBuffers(widths, rows, dtype, encoder.device) for _ in range(min(2, len(shards)))]
    selector = Selector(encoder, list(widths), pooling=plan.policy.words)
    started, done = time.perf_counter(), 0
    n_tokens = plan.n_tokens * len(shards) // plan.n_shards  # about, for a share of the shards
    with (
        progress_bar(n_tokens, progress, desc="extract", unit=" tokens") as bar,
        ThreadPoolExecutor(1) as committer,
    ):
        pending: Future[bool] | None = None
        for shard in shards:
            layout, buffers = plan.shard(shard), spare[0]
            fill(selector, layout, buffers, plan.corpus, encoder.name, bar)
            if pending is not None:
                pending.result()
            pending = committer.submit(writer.commit, shard, layout.columns, buffers.arrays(layout.n_rows))
            spare.reverse()
            done += layout.n_tokens
        if pending is not None:
            pending.result()
    seconds = time.perf_counter() - started
    log.info(
        "%s: %d tokens in %.1f s, %.0f tokens/s, %.0f %% of what the model read was not padding",
        encoder.name, done, seconds, done / seconds, 100 * plan.useful_frac,
    )  # fmt: skip


def fill(selector: Selector, layout: ShardLayout, buffers: ShardBuffers, corpus: Corpus, name: str, bar: tqdm) -> None:
    """Compute all rows of a shard; start again with a float32 buffer, once a layer, if one turns out not to fit."""
    while True:
        counted = 0
        try:
            for batch in layout.batches():
                _place(selector, batch, layout, buffers, corpus, name)
                bar.update(batch.n_tokens)
                counted += batch.n_tokens
            return
        except DoesNotFit as overflow:
            buffers.widen(overflow.layers)
            bar.update(-counted)


def _place(
    selector: Selector, batch: Batch, layout: ShardLayout, buffers: ShardBuffers, corpus: Corpus, name: str
) -> None:
    rows = selector.rows(batch)
    magnitudes = largest(rows)
    check_finite(rows, magnitudes, layout.columns["doc_id"][batch.rows], corpus, name)
    buffers.place(batch.rows, rows, magnitudes)
