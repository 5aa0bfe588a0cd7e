"""A run: one training with one seed, in a folder that is a Hugging Face model with head, scores and record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import CorruptStoreError, ModelError
from ..core.paths import as_path
from ..core.resume import read_record
from ..core.states import MANIFEST, check_files
from .items import ItemScores, read_items

__all__ = ["RECORD", "Run", "open_run"]

RECORD = "run.json"


@dataclass(frozen=True)
class Run:
    """A finished fine-tuning run, made by `finetune` or opened by `open_run`.

    Attributes
    ----------
    folder : Path
        Loads as an encoder (`extract`, ``AutoModel``). Holds the head, ``run.json``, predictions and learning curve.
    record : mapping
        ``"request"``: model, task, recipe, ablation and data sources. ``"inputs"``: what they resolved to, as digests
        of weights and data, labels, and versions of packages. ``"facts"``: what is wrong with the training, each with
        its name, value and text: a pooled vector that is constant before training; on the dev data a class that is
        never predicted, or a score no better than that of a constant guess.
    scores : mapping of mappings
        Scores by data and name, such as ``scores["dev"]["accuracy"]``: fractions in [0, 1], correlations in [-1, 1].
    history : tuple of mappings
        Log entries with ``step`` and ``epoch``, and either ``loss`` and ``learning_rate``, or scores as ``eval_...``.

    Examples
    --------
    >>> from pathlib import Path
    >>> import pyrepsim as rs
    >>> request = {"metric": "accuracy"}
    >>> run = rs.Run(Path("runs/mnli"), {"request": request}, {"dev": {"accuracy": 0.723}}, ())
    >>> run.metric, run.scores["dev"][run.metric]
    ('accuracy', 0.723)
    """

    folder: Path
    record: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    history: tuple[Mapping[str, float], ...]

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def metric(self) -> str:
        """Name of the task's main score."""
        return self.record["request"]["metric"]

    def items(self, data: str = "dev") -> ItemScores:
        """Return the scores of each item of the ``"dev"`` or ``"test"`` data: see `read_items`."""
        return read_items(self.folder, data)

    def __repr__(self) -> str:
        shown = (f"{data} {self.metric} {scores[self.metric]:.4f}" for data, scores in self.scores.items())
        return f"Run({str(self.folder)!r}, {', '.join(shown)})"


def _are_mappings(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and all(isinstance(item, dict) for item in value)


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open a finished run.

    Parameters
    ----------
    folder : path
        The folder that `finetune` wrote.

    Returns
    -------
    Run

    Raises
    ------
    ModelError
        If the folder holds no run, or an unfinished one.
    CorruptStoreError
        If the run's record cannot be read, or a file of its model changed after it was written.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> rs.open_run("runs/none")
    Traceback (most recent call last):
    ...
    pyrepsim.core.errors.ModelError: A run holds run.json: 'runs/none' has none. Give a folder that `finetune` wrote.
    """
    folder = as_path(folder, "A run", error=ModelError)
    record = read_record(folder / RECORD)
    if record is None:
        raise ModelError(f"A run holds {RECORD}: {str(folder)!r} has none. Give a folder that `finetune` wrote.")
    if "scores" not in record:
        raise ModelError(f"A run must be finished: {str(folder)!r} is not. Run the same command again to resume it.")
    scores, history = record.pop("scores"), record.pop("history", None)
    if not (_are_mappings(history, list) and isinstance(scores, dict) and _are_mappings(list(scores.values()), list)):
        raise CorruptStoreError(
            f"The record of a finished run must hold scores and history: {str(folder / RECORD)!r} does not. Restore it "
            "from a copy, or fine-tune again."
        )
    if check_files(folder, missing=True) is None:
        raise CorruptStoreError(
            f"A finished run holds {MANIFEST}: {str(folder)!r} has none. Copy the run again with all its files."
        )
    return Run(folder, record, scores, tuple(history))
