"""Batches of anything a module reads: images, sound, several inputs; how many items they hold, and what one is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xxhash
from torch.utils.data import DataLoader, SubsetRandomSampler, WeightedRandomSampler
from torch.utils.data.sampler import RandomSampler

from ..core.errors import OptionError, TextError
from ..data.documents import Corpus

__all__ = ["Batches", "first_items", "number_of_items", "reads_batches", "to_device"]

_REMEDY = "Give a list of batches, a DataLoader, or an object whose __iter__ starts again."
_FOR_BATCHES = (
    "rows=, forward= and ids= are for batches of tensors: got {} in their place. Give texts without these options (or "
    "with rows='document'), or a list of batches, or a DataLoader."
)


def reads_batches(rows: Any, data: Any) -> bool:
    """Return whether data are batches of tensors, and not texts, by the data or by what their rows are to be."""
    return not (rows is None or (isinstance(rows, str) and rows == "document")) or _are_batches(data)


def _are_batches(data: Any) -> bool:
    if isinstance(data, DataLoader) or _is_one_batch(data):
        return True
    if isinstance(data, str | np.ndarray | Mapping | Corpus) or not hasattr(data, "__iter__"):
        return False
    if hasattr(data, "__next__") or hasattr(data, "columns") or hasattr(data, "column_names"):
        return False  # a table, or what can be read once only
    return bool(_tensors(next(iter(data), None)))


class Batches:
    """Batches that are read several times, in one order.

    Parameters
    ----------
    data : DataLoader, iterable of batches, or one batch
        A batch is a tensor, a mapping of names to tensors, or a tuple or list of tensors; the first axis counts items.
    ids : sequence of str, optional
        A name for each item.

    Raises
    ------
    OptionError
        If the data cannot be read twice, or not with the same result.
    TextError
        If there are none, or they hold no tensors.
    """

    def __init__(self, data: Any, ids: Sequence[Any] | None = None) -> None:
        if _is_one_batch(data):
            data = [data]
        if isinstance(data, str | np.ndarray) or not hasattr(data, "__iter__"):
            raise OptionError(_FOR_BATCHES.format(type(data).__name__))
        if hasattr(data, "__next__"):
            raise OptionError(
                f"Batches are read more than once: a {type(data).__name__} can be read once only. {_REMEDY}"
            )
        if isinstance(data, DataLoader) and _is_shuffled(data):
            raise OptionError("Rows follow the order of the items: this DataLoader shuffles them. Use shuffle=False.")
        self._data = data
        self.ids = None if ids is None else _checked_ids(ids)
        self.first = next(iter(self), None)
        if isinstance(self.first, str):
            raise OptionError(_FOR_BATCHES.format("texts"))
        if self.first is None:
            raise TextError("There must be at least one batch: the data hold none. Check them.")
        number_of_items(self.first)
        self.digest = _digest(self.first)
        if _digest(next(iter(self), None)) != self.digest:
            raise OptionError(
                "Batches must be the same each time they are read: the first one differs the second time. Use "
                "shuffle=False, and transforms that are not random."
            )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)

    def sizes(self) -> list[int]:
        """Return the number of items of each batch, without reading the data where a DataLoader says it."""
        data = self._data
        if isinstance(data, DataLoader) and data.batch_size is not None and hasattr(data.sampler, "__len__"):
            n, size = len(data.sampler), data.batch_size  # type: ignore[arg-type]
            whole, rest = divmod(n, size)
            said = [size] * whole + ([rest] if rest and not data.drop_last else [])
            if said[:1] == [number_of_items(self.first)]:  # a collate_fn may leave items out
                return said
        return [number_of_items(batch) for batch in self]

    def check_ids(self, n_items: int) -> None:
        """Refuse ids of another number than items."""
        if self.ids is not None and len(self.ids) != n_items:
            raise OptionError(f"ids must name every item: got {len(self.ids)} for {n_items} items.")

    def described(self, index: int) -> str:
        """Name an item in a message."""
        return f"item {index}" if self.ids is None else f"item {index} ({self.ids[index]!r})"


def number_of_items(batch: Any) -> int:
    """Return the length of the first axis of the first tensor of a batch."""
    tensors = _tensors(batch)
    if not tensors or tensors[0].ndim == 0 or len(tensors[0]) == 0:
        what = f"{type(batch).__name__} of shape {tuple(tensors[0].shape)}" if tensors else type(batch).__name__
        raise TextError(
            "A batch is a tensor, a mapping of names to tensors, or a tuple of tensors, whose first axis counts items: "
            f"got a {what}. Convert it, e.g. by a processor with return_tensors='pt'."
        )
    return len(tensors[0])


def to_device(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors and arrays as tensors on a device; everything else as it is."""
    if isinstance(batch, torch.Tensor | np.ndarray):
        return torch.as_tensor(batch).to(device)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return [to_device(value, device) for value in batch]
    return batch


def first_items(batch: Any, n_items: int, size: int) -> Any:
    """Return the batch of its first items: the tensors whose first axis has `n_items` are cut to `size`."""
    if isinstance(batch, torch.Tensor):
        return batch[:size] if batch.ndim and len(batch) == n_items else batch
    if isinstance(batch, Mapping):
        return {name: first_items(value, n_items, size) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        cut = [first_items(value, n_items, size) for value in batch]
        return cut[:size] if len(cut) == n_items and not _tensors(cut) else cut
    return batch


def _is_one_batch(data: Any) -> bool:
    """Whether data are a tensor, an array of numbers, or a mapping of them."""
    if isinstance(data, np.ndarray):
        return data.dtype.kind in "biufc"
    return isinstance(data, torch.Tensor) or (isinstance(data, Mapping) and bool(_tensors(data)))


def _checked_ids(ids: Any) -> list[str]:
    if isinstance(ids, str) or not hasattr(ids, "__iter__"):
        raise OptionError(f"ids must be a list with a name for each item: got {ids!r}. Give a list of strings.")
    names = [str(name) for name in ids]
    for index, name in enumerate(names):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise OptionError(
                f"ids must be valid Unicode: that of item {index} has a lone surrogate at character {error.start}. "
                "Name the item differently."
            ) from error
    return names


def _tensors(batch: Any) -> list[Any]:
    """The tensors and arrays of a batch, in order."""
    if isinstance(batch, torch.Tensor | np.ndarray):
        return [batch]
    if isinstance(batch, Mapping):
        return list(itertools.chain.from_iterable(_tensors(value) for value in batch.values()))
    if isinstance(batch, tuple | list):
        return list(itertools.chain.from_iterable(_tensors(value) for value in batch))
    return []


def _is_shuffled(loader: DataLoader) -> bool:
    samplers = [loader.sampler, getattr(loader.batch_sampler, "sampler", None)]
    return any(isinstance(one, RandomSampler | SubsetRandomSampler | WeightedRandomSampler) for one in samplers)


def _digest(batch: Any) -> str:
    """xxh3-128 over the tensors of a batch: types, shapes and bytes."""
    digest = xxhash.xxh3_128()
    for tensor in _tensors(batch):
        values = torch.as_tensor(tensor).detach().cpu().contiguous()
        digest.update(f"{values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy() if values.numel() else b"")
    return digest.hexdigest()
