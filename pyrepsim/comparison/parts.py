"""Sums of parts of the rows, made by an executor's workers and added here in the order of the rows.

Where the parts are cut depends on the number of rows alone, so the bits do not depend on who made them, or on how many
workers there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..backends import get_backend
from ..errors import OptionError
from ..stats import MomentsSet, State
from ..store import open_store
from .pairing import LayerGroup
from .sources import StoreSource

__all__ = ["Executor", "add_parts", "check_executor"]

_PART_ROWS = 65_536
_MOST_PARTS = 64
"""Sums of parts that are done wait here for those before them: no more than these are in memory."""


class Executor(Protocol):
    """`concurrent.futures.Executor`, `dask.distributed.Client`, `submitit.Executor`: what has ``submit``."""

    def submit(self, function: Any, /, *args: Any) -> Any:
        """A future, whose ``result()`` waits for ``function(*args)`` and returns it or raises its error."""
        ...


@dataclass(frozen=True)
class _Part:
    """Rows `start` to `stop` of some layers of two stores, and how to sum them: what a worker is sent."""

    index: int
    start: int
    stop: int
    stores: tuple[tuple[str, str], tuple[str, str]]
    tokens: str
    group: LayerGroup
    options: dict[str, Any]


def check_executor(executor: Any, source: Any) -> None:
    """Raise OptionError for what cannot submit, or for rows that workers could not find."""
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
    """Add the rows after those that ``moments`` has, a part at a time; gives the number of rows of each."""
    n_rows, start = source.n_rows, int(moments.n_samples)
    size = part_rows(n_rows)
    parts = [
        _Part(
            begin // size,
            begin,
            min(begin + size, n_rows),
            source.addresses,
            source.provenance["tokens"],
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
            moments.add_states(futures.pop(0).result())  # taken off the list: its memory is free when it is added
            yield part.stop - part.start
    finally:
        for future in futures:
            if hasattr(future, "cancel"):
                future.cancel()


def part_rows(n_rows: int) -> int:
    """Rows of a part: a multiple of the blocks that every backend sums."""
    return _PART_ROWS * max(1, -(-n_rows // (_PART_ROWS * _MOST_PARTS)))


def _sums_of(part: _Part) -> dict[str, State]:
    """The sums of a part, by row transform. Runs where the executor likes."""
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
        return {kind: moments.state(kind) for kind in moments.rows}
