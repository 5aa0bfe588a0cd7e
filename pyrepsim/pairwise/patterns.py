"""The conditions and folds of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, DTypeError, ShapeError

__all__ = ["Cells", "cells_of", "numbered"]


@dataclass(frozen=True, eq=False)
class Cells:
    """The condition and the fold of each row; without folds there is one."""

    conditions: np.ndarray
    """Different labels, sorted."""
    folds: np.ndarray
    condition: np.ndarray
    """For each row the number of its condition."""
    fold: np.ndarray

    @property
    def cell(self) -> np.ndarray:
        """For each row condition * n_folds + fold."""
        return self.condition * len(self.folds) + self.fold

    def check_complete(self, metric: str) -> None:
        """Raise DegenerateError for a condition without rows in a fold."""
        absent = np.setdiff1d(np.arange(len(self.folds) * len(self.conditions)), self.cell)
        if len(absent):
            condition, fold = divmod(int(absent[0]), len(self.folds))
            raise DegenerateError(
                f"{metric} needs every condition in every fold: fold {self.folds[fold]} has no row of condition "
                f"{self.conditions[condition]}. Leave that condition or fold out, or use weighting='rows'."
            )


def cells_of(conditions: Any, folds: Any, n_rows: int, metric: str) -> Cells:
    """The cells of rows with these labels; ``folds`` may be None."""
    names, condition = numbered(conditions, n_rows, "conditions")
    if folds is None:
        return Cells(names, np.zeros(1), condition, np.zeros(n_rows, np.int64))
    parts, fold = numbered(folds, n_rows, "folds")
    if len(names) < 2 or len(parts) < 2:
        raise DegenerateError(
            f"{metric} needs at least two conditions and two folds: got {len(names)} and {len(parts)}."
        )
    return Cells(names, parts, condition, fold)


def numbered(labels: Any, n_rows: int, argument: str) -> tuple[np.ndarray, np.ndarray]:
    """The different labels, sorted, and the place of each row's label among them."""
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != n_rows:
        raise ShapeError(f"{argument} must hold one label for each of the {n_rows} rows: got shape {given.shape}.")
    if given.dtype.kind == "O" and len({type(label) for label in given}) > 1:
        raise DTypeError(f"{argument} must be labels of one type: got {sorted({type(v).__name__ for v in given})}.")
    kind = given.dtype.kind
    unnamed = kind in "fMO" and any(label is None or label != label for label in given.tolist())
    if kind not in "biufUSOM" or unnamed:
        raise DTypeError(f"{argument} must name a label in every row: got None, NaN or labels of type {given.dtype}.")
    names, place = np.unique(given, return_inverse=True)
    return names, place.reshape(-1)
