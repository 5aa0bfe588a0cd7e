"""Sums of moments kept on disk while they grow, so that an interrupted comparison resumes and gives the same bits."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..backends import get_backend
from ..core.errors import CorruptStoreError
from ..core.paths import as_path
from ..core.resume import check_same_request, read_record, write_record
from ..core.states import load_state, open_sealed, save_state
from ..measures import MomentMeasure
from ..moments import MomentsSet
from .layers import LayerGroup
from .options import ExecutionOptions
from .sources import StoreSource

__all__ = ["SAVE_EVERY_SECONDS", "Checkpoint"]

SAVE_EVERY_SECONDS = 20.0


class Checkpoint:
    """A folder that we own, with the request of a comparison and one file of moments for each group of layers.

    Each file of moments carries the request and its group too, so that files of another comparison are refused even
    where ``comparison.json`` is missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        source: StoreSource,
        options: ExecutionOptions,
        measures: Sequence[MomentMeasure],
        pairs: Sequence[tuple[str, str]],
        *,
        part_rows: int | None = None,
    ) -> None:
        self._folder = as_path(folder, "checkpoint")
        self._last = time.monotonic()
        self._request = {
            "digests": [source.provenance["digest_x"], source.provenance["digest_y"]],
            "tokens": source.provenance["tokens"],
            "precision": options.moments_precision,
            "backend": get_backend(options.backend).name,
            "transforms": sorted({measure.transform for measure in measures}),
            "pairs": [list(pair) for pair in pairs],
            "part_rows": part_rows,
        }
        path = self._folder / "comparison.json"
        record = read_record(path, remedy="Use another folder, or delete this one.")
        if record is None:
            for saved in sorted(self._folder.glob("group-*.npz")):
                with suppress(CorruptStoreError), open_sealed(saved) as (recorded, _):
                    self._check_same({key: recorded[key] for key in recorded.keys() - {"group"}})
            write_record(path, self._request)
        else:
            self._check_same(record["request"])

    def _check_same(self, recorded: Mapping[str, Any]) -> None:
        remedy = "Use the same arguments, another folder, or delete this one."
        check_same_request(recorded, self._request, where=self._folder, remedy=remedy)

    def restore(self, index: int, group: LayerGroup, moments: MomentsSet) -> None:
        """Read the sums of a group that an earlier call saved; StoreError if they are those of another comparison."""
        path = self._file(index)
        load_state(path, self._request_of(index, group), lambda file: moments.read(file, path))

    def save(self, index: int, group: LayerGroup, moments: MomentsSet, *, finished: bool = False) -> None:
        """Write the sums of a group if it is finished, and otherwise every `SAVE_EVERY_SECONDS` seconds."""
        if finished or time.monotonic() - self._last >= SAVE_EVERY_SECONDS:
            save_state(self._file(index), moments.write, self._request_of(index, group))
            self._last = time.monotonic()

    def _request_of(self, index: int, group: LayerGroup) -> dict[str, Any]:
        layers = {"layers_x": group.layers_x, "layers_y": group.layers_y, "pairs": group.pairs}
        return {**self._request, "group": {"index": index, **layers}}

    def _file(self, index: int) -> Path:
        return self._folder / f"group-{index:05d}.npz"
