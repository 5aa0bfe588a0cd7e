"""How far a study is, read off its folder alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import StoreError
from ...core.memory import format_bytes
from .ledger import cell_folder, read_record, state_of
from .planning import in_words
from .publishing import RECORD

__all__ = ["StudyStatus", "study_status"]


@dataclass(frozen=True)
class StudyStatus:
    """Of the study in a folder.

    Attributes
    ----------
    name : of the study; settings : what else its record says of it.
    cells : of each: ``id``, ``state`` ("waiting", "begun": stopped half way, "running", "done", "failed"), and where
        known ``seconds``, ``n_bytes``, ``error``.
    """

    name: str
    settings: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]

    def table(self) -> str:
        """Counts by experiment, then the cells that failed, were stopped, or run now."""
        experiments: dict[str, Counter[str]] = {}
        for cell in self.cells:
            experiments.setdefault(cell["id"].partition("/")[0], Counter())[cell["state"]] += 1
        width = max(map(len, experiments), default=0)
        lines = [f"{self.name}: {sum(c['state'] == 'done' for c in self.cells)} of {len(self.cells)} cells are done"]
        for name, counts in experiments.items():
            lines.append(f"  {name:<{width}}  " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
        lines += [f"  {cell['id']}: {cell.get('error') or cell['state']}" for cell in self.cells if _stands_out(cell)]
        seconds = sum(cell.get("seconds") or 0.0 for cell in self.cells)
        n_bytes = sum(cell.get("n_bytes") or 0 for cell in self.cells)
        return "\n".join([*lines, f"{in_words(seconds)} of work, {format_bytes(n_bytes)} written"])


def _folder(out: Path, cell: Mapping[str, Any]) -> Path:
    return cell_folder(out / "cells", cell["experiment"], cell["name"], cell["key"])


def _stands_out(cell: Mapping[str, Any]) -> bool:
    return cell["state"] in ("failed", "begun", "running")


def study_status(out: str | os.PathLike[str]) -> StudyStatus:
    """How far the study in `out` is; StoreError if there is none."""
    folder = Path(out)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        name, listed = record["study"], record["cells"]
        settings = {key: value for key, value in record.items() if key not in ("study", "cells")}
        folders = {f"{cell['experiment']}/{cell['name']}": _folder(folder, cell) for cell in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"A study's folder holds {RECORD}: {folder} has none that can be read ({error}). Give the folder of "
            "`pyrepsim study`."
        ) from error
    cells = []
    for id_, place in folders.items():
        told = read_record(place)
        kept = {key: told[key] for key in ("seconds", "n_bytes", "error") if key in told}
        cells.append({"id": id_, "state": state_of(place), **kept})
    return StudyStatus(name, settings, tuple(cells))
