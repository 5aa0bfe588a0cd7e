"""Sums kept on disk while they grow, so that a killed comparison goes on where it was, to the same bits."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..backends import get_backend
from ..errors import StoreError
from ..measures import Measure
from ..stats import MomentsSet
from .scoring import Engine
from .sources import StoreSource

__all__ = ["SAVE_EVERY_SECONDS", "Checkpoint"]

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
            "rows": sorted({measure.rows for measure in measures}),
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
