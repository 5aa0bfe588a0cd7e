"""Sweeps: one ablation at several strengths and seeds, run cell by cell, into a table and a figure."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError, OptionError, PyrepsimError
from ..results.figures import save
from ..results.rows import Table
from .cells import TRAINED, UNTRAINED, Cell, trained_cells, untrained_cells
from .figures import ablation_curves
from .recipes import Recipe
from .run import Run
from .tasks import get_task
from .tasks.base import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sweep", "ablate"]

log = logging.getLogger("pyrepsim.finetuning")


class Sweep(Table):
    """One row a cell: ``kind``, ``value``, ``seed``, ``task``, ``metric``, ``score`` on dev, all scores, ``error``."""

    @property
    def failures(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of the cells that failed, with the reason as ``error``."""
        return tuple(row for row in self if row["error"] is not None)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw score against value, with a band over seeds."""
        figure = ablation_curves(self)
        if path is not None:
            save(figure, path)
        return figure


def ablate(
    kind: str,
    model: str | os.PathLike[str] | Run | Sequence[str | os.PathLike[str] | Run],
    task: str | Task | None = None,
    *,
    out: str | os.PathLike[str],
    values: Iterable[int] | None = None,
    seeds: Iterable[int] | None = None,
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> Sweep:
    """Run one kind of ablation at each of `values` and `seeds`; finished cells are not run again.

    =================  ==================================================================  ==========
    kind               value k                                                             default
    =================  ==================================================================  ==========
    ``freeze``         embeddings and bottom k blocks fixed (0: nothing), then fine-tuned  0 to N
    ``layers``         bottom k blocks kept, then fine-tuned                               1 to N
    ``reinit-top``     top k blocks drawn anew, then fine-tuned                            0 to N
    ``reinit-bottom``  bottom k blocks drawn anew, then fine-tuned                         0 to N
    ``head``           the head alone trained, on block k of the model as it is            1 to N
    ``exit``           a tuned run with its head on block k, not trained again             1 to N
    ``revert``         a tuned run with block k (0: embeddings) as before tuning           0 to N
    =================  ==================================================================  ==========

    Each cell has the folder ``out/<kind>-<value>-seed<seed>``: a run of `finetune`, or scores and predictions.
    ``out/<kind>.csv``, ``.jsonl`` and ``.svg`` hold the rows and their figure. A cell that fails does not stop the
    others: its row has the reason.

    Parameters
    ----------
    model
        The encoder to fine-tune; for ``exit`` and ``revert`` the folder of a finished run, or several of different
        seeds.
    task
        As in `finetune`; for ``exit`` and ``revert`` the run's.
    seeds
        By default the recipe's.
    train, dev, test, recipe, device, progress
        As in `finetune`; ``exit`` and ``revert`` take `dev` (by default the run's) and `device` only.

    Raises
    ------
    OptionError
        For an unknown kind, a value the model has no layer for, or options the kind does not take.
    PyrepsimError
        If all cells fail: the first one's error.
    """
    folder = Path(out)
    if kind in TRAINED:
        if task is None or not isinstance(model, str | os.PathLike):
            raise OptionError(f"{kind!r} fine-tunes one encoder on a task: give a folder or hub id, and the task.")
        cells = trained_cells(
            kind,
            model,
            get_task(task) if isinstance(task, str) else task,
            out=folder,
            values=values,
            seeds=seeds,
            recipe=recipe,
            train=train,
            dev=dev,
            test=test,
            device=device,
            progress=progress,
        )
    elif kind in UNTRAINED:
        unused = {"seeds": seeds, "train": train, "test": test, "recipe": recipe}
        if given := [name for name, value in unused.items() if value is not None]:
            raise OptionError(f"{kind!r} trains nothing: it takes no {', '.join(given)}.")
        runs = [model] if isinstance(model, str | os.PathLike | Run) else list(model)
        cells = untrained_cells(kind, runs, task, out=folder, values=values, dev=dev, device=device)
    else:
        raise OptionError(f"An ablation is one of {', '.join((*TRAINED, *UNTRAINED))}: got {kind!r}.")
    return _run(cells, folder, kind)


def _run(cells: Sequence[Cell], folder: Path, kind: str) -> Sweep:
    if not cells:
        raise OptionError("A sweep needs a cell: values and seeds must not be empty.")
    first = int(os.environ.get("RANK", "0")) == 0  # under torchrun every process trains and one writes
    rows: list[dict[str, Any]] = []
    errors: list[Exception] = []
    for number, cell in enumerate(cells, start=1):
        log.info("cell %d of %d: %s", number, len(cells), cell.name)
        try:
            rows.append(_row(cell, cell.run()))
        except Exception as error:  # one cell's failure, of whatever kind, must not cost the others
            errors.append(error)
            log.error("%s failed: %s", cell.name, error, exc_info=not isinstance(error, PyrepsimError))
            rows.append(_row(cell, {}, error))
        gc.collect()  # a trainer and its model refer to each other in circles: their memory is needed now
        if first:
            Table(rows).to_csv(folder / f"{kind}.csv")
            Table(rows).to_jsonl(folder / f"{kind}.jsonl")
    if len(errors) == len(cells):
        raise errors[0]
    sweep = Sweep(rows)
    if first:
        try:
            sweep.plot(folder / f"{kind}.svg")
        except MissingExtraError as error:
            log.info("no figure: %s", error)
    for row in sweep.failures:
        log.error("failed: %s: %s", row["folder"], row["error"])
    return sweep


def _row(cell: Cell, scores: Mapping[str, Mapping[str, float]], error: Exception | None = None) -> dict[str, Any]:
    metric = cell.task.metric
    row: dict[str, Any] = {"kind": cell.kind, "value": cell.value, "seed": cell.seed}
    row |= {"task": cell.task.name, "metric": metric, "score": scores.get("dev", {}).get(metric)}
    row |= {} if cell.whole is None else {"score_whole": cell.whole}
    row |= {f"{data}.{name}": value for data, found in scores.items() for name, value in found.items()}
    said = None if error is None else f"{type(error).__name__}: {error}"
    return {**row, "folder": cell.name, "error": said}
