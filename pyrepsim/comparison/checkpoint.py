"""Sums of moments kept on disk while they grow, so that an interrupted comparison resumes and gives the same bits."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..backends import get_backend
from ..core.errors import StoreError
from ..core.resume import check_same_request, read_record, write_record
from ..measures import MomentMeasure
from ..moments import MomentsSet
from .options import ExecutionOptions
from .sources import StoreSource

__all__ = ["SAVE_EVERY_SECONDS", "Checkpoint"]

SAVE_EVERY_SECONDS = 20.0


class Checkpoint:
    """A folder with the request of a comparison, and one file of moments for each group of layers."""

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
        self._folder = Path(folder)
        self._last = time.monotonic()
        request = {
            "digests": [source.provenance["digest_x"], source.provenance["digest_y"]],
            "tokens": source.provenance["tokens"],
            "precision": options.moments_precision,
            "backend": get_backend(options.backend).name,
            "transforms": sorted({measure.transform for measure in measures}),
            "pairs": [list(pair) for pair in pairs],
            "part_rows": part_rows,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"A checkpoint is a folder that can be written to: {self._folder} cannot be made ({error.strerror}). "
                "Use another folder."
            ) from error
        path = self._folder / "comparison.json"
        record = read_record(path, remedy="Use another folder, or delete this one.")
        if record is None:
            write_record(path, request)
        else:
            remedy = "Use the same arguments, another folder, or delete this one."
            check_same_request(record["request"], request, where=self._folder, remedy=remedy)

    def restore(self, group: int, moments: MomentsSet) -> None:
        """Read the sums of a group that an earlier call saved."""
        if not self._file(group).exists():
            return
        try:
            moments.restore(self._file(group))
        except StoreError as error:
            raise StoreError(
                f"A checkpoint must be complete to be resumed: {error} Delete this file to sum its layers again."
            ) from error

    def save(self, group: int, moments: MomentsSet, *, finished: bool = False) -> None:
        """Write the sums of a group if it is finished, and otherwise every `SAVE_EVERY_SECONDS` seconds."""
        if finished or time.monotonic() - self._last >= SAVE_EVERY_SECONDS:
            moments.save(self._file(group))
            self._last = time.monotonic()

    def _file(self, group: int) -> Path:
        return self._folder / f"group-{group:05d}.npz"
