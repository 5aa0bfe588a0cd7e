"""Sums of parts of the rows, made by an executor's workers and added here in the order of the rows.

Where the parts are cut depends on the number of rows alone, so the bits do not depend on who made them, or on how many
workers there are.


FOLDED: Sums kept on disk while they grow, so that a killed comparison goes on where it was, to the same bits.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..backends import get_backend
from ..core.errors import OptionError, StoreError
from ..measures import Measure
from ..moments import MomentsSet, State
from ..store import open_store
from .options import Engine
from .sources import LayerGroup, StoreSource

__all__ = ["SAVE_EVERY_SECONDS", "Checkpoint", "Executor", "add_parts", "check_executor"]

SAVE_EVERY_SECONDS = 20.0


class Checkpoint:
    """A folder with one file of moments for each group of layers, and what they are moments of."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        source: StoreSource,
        engine: Engine,
        measures: Sequence[Measure],
        pairs: Sequence[tuple[str, str]],
        *,
        part_rows: int | None = None,
    ) -> None:
        self._folder = Path(folder)
        self._last = time.monotonic()
        wanted = {
            "digests": [source.provenance["digest_x"], source.provenance["digest_y"]],
            "tokens": source.provenance["tokens"],
            "precision": engine.moments_precision,
            "backend": get_backend(engine.backend).name,
            "transforms": sorted({measure.transform for measure in measures}),
            "pairs": [list(pair) for pair in pairs],
            "part_rows": part_rows,
        }
        identity = self._folder / "comparison.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not identity.exists():
                aside = identity.with_suffix(".tmp")
                aside.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
                aside.replace(identity)
            found = dict(json.loads(identity.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(
                f"A checkpoint is a folder that this comparison may write and has written: {folder!r}: {error}. "
                "Use another folder, or delete what is there."
            ) from error
        for key, value in wanted.items():
            if found.get(key) != value:
                raise StoreError(
                    f"{self._folder}: a checkpoint is continued with the arguments it was begun with: "
                    f"{key} was {found.get(key)!r}, now {value!r}. Use another folder, or delete this one."
                )

    def restore(self, group: int, moments: MomentsSet) -> None:
        """Bring back the rows of a group that were summed before."""
        if not self._file(group).exists():
            return
        try:
            moments.restore(self._file(group))
        except StoreError as error:
            raise StoreError(
                f"A checkpoint must be whole to be continued: {error} Delete this file to sum its layers again."
            ) from error

    def save(self, group: int, moments: MomentsSet, *, finished: bool = False) -> None:
        """Write the sums of a group when it is finished, and otherwise every SAVE_EVERY_SECONDS."""
        if finished or time.monotonic() - self._last >= SAVE_EVERY_SECONDS:
            moments.save(self._file(group))
            self._last = time.monotonic()

    def _file(self, group: int) -> Path:
        return self._folder / f"group-{group:05d}.npz"


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
        return {kind: moments.state(kind) for kind in moments.transforms}
