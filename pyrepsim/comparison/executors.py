"""Sums of parts of the rows, made by an executor's workers and added in the order of the rows.

The bounds of the parts depend only on the number of rows, so the bits do not depend on the executor or on the number of
workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..backends import get_backend
from ..core.errors import OptionError
from ..moments import MomentsSet, State
from ..store import open_store
from ..store.columns import Tokens
from .layers import LayerGroup
from .sources import StoreSource

__all__ = ["Executor", "add_parts", "check_executor", "part_rows"]

_PART_ROWS = 65_536
_MAX_PARTS = 64
"""At most this many sums are in memory, since sums of finished parts wait for those of earlier parts."""


class Executor(Protocol):
    """An object with ``submit``, such as `ProcessPoolExecutor`, `dask.distributed.Client` or `submitit.Executor`."""

    def submit(self, function: Any, /, *args: Any) -> Any:
        """Return a future, whose ``result()`` waits for ``function(*args)`` and returns its value or raises."""
        ...


@dataclass(frozen=True)
class _Part:
    """The task of a worker: rows `start` to `stop` of some layers of two stores, and how to sum them."""

    index: int
    start: int
    stop: int
    stores: tuple[tuple[str, str], tuple[str, str]]
    tokens: Tokens
    group: LayerGroup
    options: dict[str, Any]


def check_executor(executor: Any, source: Any) -> None:
    """Raise OptionError if the executor has no ``submit``, or if workers cannot open the rows."""
    if not callable(getattr(executor, "submit", None)):
        raise OptionError(
            "executor must have submit(function, *args), like concurrent.futures.ProcessPoolExecutor or "
            f"dask.distributed.Client: got {executor!r}."
        )
    if not isinstance(source, StoreSource):
        raise OptionError(
            "executor is for stores, which its workers open by their paths: got arrays. "
            "Write them with rs.write_store first."
        )


def add_parts(moments: MomentsSet, source: StoreSource, group: LayerGroup, executor: Executor) -> Iterator[int]:
    """Add the rows that `moments` does not have yet, a part at a time; yield the number of rows of each part."""
    n_rows, start = source.n_rows, int(moments.n_samples)
    size = part_rows(n_rows)
    parts = [
        _Part(
            begin // size,
            begin,
            min(begin + size, n_rows),
            source.addresses,
            source.tokens,
            group,
            moments.options,
        )
        for begin in range(start, n_rows, size)
    ]
    futures: list[Any] = []
    try:
        for part in parts:
            futures.append(executor.submit(_sums_of, part))
        for part in parts:
            moments.add_states(futures.pop(0).result())  # removed from the list, so that its memory is freed
            yield part.stop - part.start
    finally:
        for future in futures:
            if hasattr(future, "cancel"):
                future.cancel()


def part_rows(n_rows: int) -> int:
    """Return the number of rows of a part, a multiple of the block size of every backend."""
    return _PART_ROWS * max(1, -(-n_rows // (_PART_ROWS * _MAX_PARTS)))


def _sums_of(part: _Part) -> dict[str, State]:
    """Return the sums of a part, by row transform. Runs in a worker."""
    x, y = (open_store(path, expect_digest=digest) for path, digest in part.stores)
    source = StoreSource(x, y, tokens=part.tokens)
    with get_backend(part.options["backend"]).on_device(part.index):
        moments, done = MomentsSet(**part.options), part.start
        for chunk in source.chunks(part.group, start=part.start):
            rows = [layer[: part.stop - done] for layer in chunk]
            moments.add(moments.checked(rows, first_row=done))
            done += len(rows[0])
            if done == part.stop:
                break
        return {kind: moments.state(kind) for kind in moments.transforms}
