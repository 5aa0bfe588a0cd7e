"""`extract` and `compare_models` over batches of items."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from ..comparison import StreamingComparison
from ..comparison.layers import layer_pairs
from ..core.errors import ModelError, OptionError, RowMismatchError
from ..core.functions import function_name
from ..core.memory import format_bytes
from ..core.progress import progress_bar
from ..core.workers import Worker
from ..models.restoring import random_state_kept, undisturbed
from ..results import Scores
from ..store import ActivationStore, StoreWriter
from ..store.columns import word_hashes
from .batches import Batches, number_of_items
from .forward import ShardBuffers, check_finite, largest, torch_dtype
from .item_rows import RowRule
from .items import Forward, ItemReader
from .plan import SHARD_BYTES, SHARD_TOKENS
from .writing import check_overwrite, commit_in_turn, environment, missing_shards, planned_sizes, write_shards

__all__ = ["ItemPlan", "compare_items", "extract_items", "loading_of", "of_side", "plan_items"]

log = logging.getLogger("pyrepsim.extraction")


@dataclass(frozen=True, repr=False)
class ItemPlan:
    """What an extraction of batches will compute; see `plan_extraction`.

    Attributes
    ----------
    n_items, n_rows, n_shards : int
        Numbers of items, rows and parts that the store is written in.
    n_bytes, n_bytes_left : int
        Size of the store, and of the part that this worker still has to write.
    estimated_seconds : float
        Time for this worker's remaining forward passes, from that of the first batch, without reading the data.

    Examples
    --------
    >>> import torch
    >>> import pyrepsim as rs
    >>> batches = [torch.ones(5, 4), torch.ones(3, 4)]
    >>> plan = rs.plan_extraction(torch.nn.Linear(4, 3), batches, forward=lambda module, batch: {"out": module(batch)})
    >>> plan.n_items, plan.n_rows
    (8, 8)
    """

    n_items: int
    n_rows: int
    n_shards: int
    n_bytes: int
    n_bytes_left: int
    estimated_seconds: float

    def __repr__(self) -> str:
        parts = [f"{self.n_items:,} items", f"{self.n_rows:,} rows", f"{self.n_shards:,} shards"]
        parts += [format_bytes(self.n_bytes), f"about {self.estimated_seconds:.0f} s"]
        return f"ItemPlan({', '.join(parts)})"


@dataclass(frozen=True)
class _Plan:
    """Items and rows of each batch, and the first batch of each shard."""

    sizes: tuple[int, ...]
    counts: np.ndarray
    bounds: tuple[int, ...]

    @property
    def first_items(self) -> np.ndarray:
        """The first item of each batch, and the number of items."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @property
    def shard_rows(self) -> list[int]:
        ends = self.first_items[list(self.bounds)]
        return [int(self.counts[start:end].sum()) for start, end in pairwise(ends)]


@random_state_kept()
def extract_items(
    model: Any,
    data: Any,
    out: str | os.PathLike[str],
    *,
    rows: RowRule | None,
    forward: Forward | None,
    ids: Sequence[Any] | None,
    layers: str | Sequence[str | int],
    dtype: str,
    share: Worker,
    overwrite: bool,
    wait: float | None,
    progress: bool | None,
    **loading: Any,
) -> ActivationStore | None:
    """Write the rows of batches to a store: see `extract`."""
    torch_dtype(dtype)
    check_overwrite(out, share, overwrite=overwrite)
    batches, rule = Batches(data, ids), "item" if rows is None else rows
    reader = ItemReader(model, batches, forward=forward, layers=layers, rows=rule, **loading)
    plan = _plan(reader, batches)
    rows_of = plan.shard_rows

    def compute(writer: StoreWriter, shards: list[int]) -> None:
        _extract_shards(reader, batches, plan, writer, shards, progress)

    def documents() -> Iterator[dict[str, Any]]:
        for item, count in enumerate(plan.counts.tolist()):
            yield {"doc_id": item, "key": batches.ids[item] if batches.ids else str(item), "n_tokens": count}

    return write_shards(
        out,
        _record(reader, batches, plan, rule, forward),
        reader.widths,
        rows_of,
        dtype=dtype,
        share=share,
        overwrite=overwrite,
        wait=wait,
        compute=compute,
        documents=documents,
    )


@random_state_kept()
def plan_items(
    model: Any,
    data: Any,
    *,
    rows: RowRule | None,
    forward: Forward | None,
    ids: Sequence[Any] | None,
    layers: str | Sequence[str | int],
    dtype: str,
    out: str | os.PathLike[str] | None,
    share: Worker,
    **loading: Any,
) -> ItemPlan:
    """Say what `extract_items` would do: see `plan_extraction`."""
    torch_dtype(dtype)
    batches, rule = Batches(data, ids), "item" if rows is None else rows
    reader = ItemReader(model, batches, forward=forward, layers=layers, rows=rule, **loading)
    plan = _plan(reader, batches)
    record = _record(reader, batches, plan, rule, forward)
    sizes = planned_sizes(plan.shard_rows, reader.widths, dtype)
    left = missing_shards(out, record, reader.widths, len(sizes), dtype=dtype, share=share)
    ends = plan.first_items[list(plan.bounds)]
    n_left = sum(int(ends[shard + 1] - ends[shard]) for shard in left)
    started = time.perf_counter()
    largest(reader.rows(batches.first)[0])  # the reader has run this batch before
    seconds = (time.perf_counter() - started) * n_left / number_of_items(batches.first)
    n_bytes_left = sum(sizes[shard] for shard in left)
    return ItemPlan(len(plan.counts), int(plan.counts.sum()), len(sizes), sum(sizes), n_bytes_left, seconds)


def _plan(reader: ItemReader, batches: Batches) -> _Plan:
    """Count items and rows; the data are read for it only if neither they nor the first batch say how many."""
    if reader.per_item is not None:
        sizes = batches.sizes()
        counts = np.full(sum(sizes), reader.per_item, np.int64)
    else:
        found = [reader.counts(batch) for batch in batches]
        sizes, counts = [len(one) for one in found], np.concatenate(found)
    batches.check_ids(len(counts))
    row_bytes = 4 * sum(reader.widths.values())
    most = max(1, min(SHARD_TOKENS, SHARD_BYTES // row_bytes))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    totals = np.concatenate([[0], np.cumsum(counts)])[ends]
    bounds = [0]
    while bounds[-1] < len(sizes):
        end = int(np.searchsorted(totals, totals[bounds[-1]] + most, side="right")) - 1
        bounds.append(max(end, bounds[-1] + 1))
    return _Plan(tuple(sizes), counts, tuple(bounds))


def _extract_shards(
    reader: ItemReader,
    batches: Batches,
    plan: _Plan,
    writer: StoreWriter,
    shards: Sequence[int],
    progress: bool | None,
) -> None:
    """Compute and commit shards in float32; the store converts them. Batches of other shards are read and dropped."""
    most = max(plan.shard_rows[shard] for shard in shards)
    spare = [ShardBuffers(reader.widths, most, "float32", reader.device) for _ in range(min(2, len(shards)))]
    numbered = enumerate(batches)
    first_items = plan.first_items
    n_items = sum(int(first_items[plan.bounds[s + 1]] - first_items[plan.bounds[s]]) for s in shards)
    with undisturbed(reader.module), progress_bar(n_items, progress, desc="extract", unit=" items") as bar:

        def compute(shard: int, buffers: ShardBuffers) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
            low, high = plan.bounds[shard], plan.bounds[shard + 1]
            start = 0
            for index, batch in numbered:
                if index < low:
                    continue
                items = slice(int(first_items[index]), int(first_items[index + 1]))
                start += _place(reader, batches, batch, plan.counts[items], items.start, buffers, start)
                bar.update(items.stop - items.start)
                if index + 1 == high:
                    break
            own = slice(int(first_items[low]), int(first_items[high]))
            if start != plan.shard_rows[shard]:
                raise ModelError(_ENDED.format(reader.name, int(first_items[low])))
            return _columns(plan.counts[own], own.start, batches.ids), buffers.arrays(start)

        commit_in_turn(writer, shards, spare, compute)


_ENDED = "Batches must be the same each time they are read: those for {!r} ended early, after item {}. Check the data."


def _place(
    reader: ItemReader,
    batches: Batches,
    batch: Any,
    counts: np.ndarray,
    first_item: int,
    buffers: ShardBuffers,
    start: int,
) -> int:
    """Put the rows of a batch into the buffers from row `start` on; return their number."""
    found, own = reader.rows(batch)
    if not np.array_equal(own, counts):
        raise ModelError(
            f"Every item must have the number of rows that was counted: the batch of {batches.described(first_item)} "
            f"has {len(own)} items with {own.tolist()[:4]} rows, counted were {len(counts)} with "
            f"{counts.tolist()[:4]}. Use rows='item', or give a mask of the padding (attention_mask); a DataLoader "
            "whose collate_fn leaves items out needs a list of batches in its place."
        )
    magnitudes = largest(found)
    item_of = first_item + np.repeat(np.arange(len(own)), own)
    check_finite(found, magnitudes, item_of, batches.described, reader.name)
    n = int(own.sum())
    buffers.place(np.arange(start, start + n), found, magnitudes)
    return n


def _columns(counts: np.ndarray, first_item: int, ids: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Item, position in it, and hash of its id: the identity of each row."""
    item = np.repeat(np.arange(len(counts)), counts)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    position = np.arange(len(item)) - starts[item]
    hashes = np.full(len(counts), -1) if ids is None else word_hashes(ids[first_item : first_item + len(counts)])
    return {"doc_id": first_item + item, "position": position, "token_id": hashes[item]}


def _record(
    reader: ItemReader, batches: Batches, plan: _Plan, rule: RowRule, forward: Forward | None
) -> dict[str, Any]:
    """The request that the store records. Stores of other models over the same items have equal ``"rows"``."""
    unit = rule if isinstance(rule, str) else function_name(rule)
    ids = None if batches.ids is None else xxhash.xxh3_128("\n".join(batches.ids).encode()).hexdigest()
    sizes = xxhash.xxh3_128(np.array(plan.sizes, "<i8").tobytes()).hexdigest()
    return {
        "rows": {"items": len(plan.counts), "ids": ids},
        "policy": {"rows": unit, "forward": None if forward is None else function_name(forward)},
        "batches": {"sizes": sizes, "first": batches.digest},
        "model": {"id": reader.name, "revision": reader.revision, "weights": reader.weights, **reader.settings},
        "environment": environment(reader.device.type),
    }


@random_state_kept()
def compare_items(
    models: tuple[Any, Any],
    data: Any,
    measures: Any,
    *,
    rows: RowRule | None,
    forward: Any,
    layers: Any,
    progress: bool | None,
    loading: Mapping[str, Any],
    **options: Any,
) -> Scores:
    """Compare two models on the same batches without storing anything: see `compare_models`."""
    batches, rule = Batches(data), "item" if rows is None else rows
    listed = layers if isinstance(layers, str) or not isinstance(layers, Iterable) else list(layers)
    readers = []
    for side, model in enumerate(models):
        one = {name: value[side] if isinstance(value, tuple | list) else value for name, value in loading.items()}
        function = forward[side] if isinstance(forward, tuple | list) else forward
        names = "all" if not isinstance(listed, list) else [of_side(entry, side) for entry in listed]
        readers.append(ItemReader(model, batches, forward=function, layers=names, rows=rule, **one))
    known = [(*reader.own, *(name for name in reader.widths if name not in reader.own)) for reader in readers]
    pairs = layer_pairs(known[0], known[1], listed)
    unit = rule if isinstance(rule, str) else function_name(rule)
    provenance: dict[str, Any] = {"rows": unit, "first_batch": batches.digest}
    for side, reader in zip("xy", readers, strict=True):
        provenance |= {f"model_{side}": reader.name, f"weights_{side}": reader.weights}
        provenance |= {f"{name}_{side}": value for name, value in reader.settings.items()}
    widths = [
        {name: reader.widths[name] for name in dict.fromkeys(pair[side] for pair in pairs)}
        for side, reader in enumerate(readers)
    ]
    chosen = "best" if listed == "best" else pairs
    comparison = StreamingComparison(widths[0], widths[1], measures, layers=chosen, provenance=provenance, **options)
    for chunk_x, chunk_y in _chunks(readers, batches, progress):
        comparison.update(chunk_x, chunk_y)
    return comparison.scores()


def of_side(entry: Any, side: int) -> Any:
    """Return what an entry of the `layers` of `compare` names on one side: a pair its half, a name itself."""
    return entry[side] if isinstance(entry, tuple | list) and len(entry) == 2 else entry


def _chunks(
    readers: Sequence[ItemReader], batches: Batches, progress: bool | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the float32 rows of two models, batch by batch."""
    first_item = 0
    with (
        undisturbed(readers[0].module),
        undisturbed(readers[1].module),
        progress_bar(sum(batches.sizes()), progress, desc="compare", unit=" items") as bar,
    ):
        for batch in batches:
            chunks: list[dict[str, Any]] = []
            counts: list[np.ndarray] = []
            for reader in readers:
                found, own = reader.rows(batch)
                item_of = first_item + np.repeat(np.arange(len(own)), own)
                check_finite(found, largest(found), item_of, batches.described, reader.name)
                chunks.append({name: values.float().cpu().numpy() for name, values in found.items()})
                counts.append(own)
            if not np.array_equal(*counts):
                item = int((counts[0] != counts[1]).argmax())
                raise RowMismatchError(
                    f"Both models must give the same rows: for {batches.described(first_item + item)} "
                    f"{readers[0].name!r} gives {counts[0][item]} and {readers[1].name!r} {counts[1][item]}. Use "
                    "rows='item'."
                )
            yield chunks[0], chunks[1]
            first_item += number_of_items(batch)
            bar.update(number_of_items(batch))


def loading_of(options: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `load_module` from those of a call, of which others are refused if they are given.

    Parameters
    ----------
    options : dataclass
        All options; those of texts must have their defaults.
    extra : mapping
        Other options of texts that were given, by name.
    """
    loading = {name: value for name, value in options.loading().items() if name != "adapter"}
    used = ("layers", "dtype", "rows", *loading)
    changed = [f.name for f in fields(options) if f.name not in used and getattr(options, f.name) != f.default]
    if changed or extra:
        raise OptionError(
            f"{', '.join([*changed, *extra])} is an option for texts: batches of tensors were given. Leave it out; for "
            "an adapter give the model that load_encoder returns."
        )
    return loading
