"""A run: one training with one seed, as a folder that is a Hugging Face model with its head, scores and record."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.outputs import replacing

__all__ = ["RECORD", "Run", "open_run", "read_record", "write_record"]

RECORD = "run.json"


@dataclass(frozen=True)
class Run:
    """A finished fine-tuning run.

    Attributes
    ----------
    folder
        Loads as an encoder (`extract`, `AutoModel`); holds head, `run.json`, predictions and the learning curve.
    record
        What was asked for: model, task, recipe, ablation, data with digests; and with which versions.
    scores
        By data, as fractions in [0, 1] (correlations in [-1, 1]): ``scores["dev"]["accuracy"]``.
    history
        Log entries: ``step``, ``epoch``, and ``loss`` and ``learning_rate``, or scores as ``eval_...``.
    """

    folder: Path
    record: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    history: tuple[Mapping[str, float], ...]

    @property
    def metric(self) -> str:
        """The score that headlines the task."""
        return self.record["request"]["metric"]

    def __repr__(self) -> str:
        found = ", ".join(f"{data} {self.metric} {scores[self.metric]:.4f}" for data, scores in self.scores.items())
        return f"Run({str(self.folder)!r}, {found})"


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open a finished run.

    Raises
    ------
    ModelError
        If the folder is no run, or one that was not finished.
    """
    folder = Path(folder)
    record = read_record(folder)
    if record is None:
        raise ModelError(f"A run holds {RECORD}: {str(folder)!r} has none. Give the folder of `pyrepsim finetune`.")
    if "scores" not in record:
        raise ModelError(f"A run must be finished: {str(folder)!r} is not. Start the same command again: it goes on.")
    scores, history = record.pop("scores"), record.pop("history")
    return Run(folder, record, scores, tuple(history))


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `write_record` wrote, or None."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"A run's record must be whole: {folder / RECORD} cannot be read ({error}).") from error


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record whole. With "scores" in it the run counts as finished."""
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
