"""`ablate`: one kind of ablation for several values and seeds, each in its own folder, with a table and a figure."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
import xxhash

from ..core.errors import MissingExtraError, ModelError, OptionError, PyrepsimError
from ..core.paths import as_path
from ..core.resume import write_record
from ..core.states import load_record
from ..models import Encoder, ModelLike, load_encoder
from ..models.blocks import find_blocks
from ..models.encoder import first_line
from ..models.restoring import random_state_kept
from ..models.source import locate_model
from ..results.figures import save
from ..results.tables import Table
from .figures import ablation_curves
from .recipes import Ablation, TrainingRecipe
from .run import Run, open_run
from .tasks import task_beside
from .tasks.base import Task
from .training import finetune, owned
from .tuned_run import TunedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AblationScores", "ablate"]

log = logging.getLogger("pyrepsim.finetuning")

Scores = Mapping[str, Mapping[str, float]]

_TRAINED: Mapping[str, Callable[[int], Ablation]] = {
    "freeze": lambda k: Ablation(freeze=k),
    "layers": lambda k: Ablation(layers=k),
    "reinit-top": lambda k: Ablation(reinit=k),
    "reinit-bottom": lambda k: Ablation(reinit=k, reinit_end="bottom"),
    "head": lambda k: Ablation(layers=k, freeze=k),
}
_UNTRAINED = ("exit", "revert")
_FROM_ONE = ("layers", "head", "exit")  # the other kinds have a value 0: no block, or the embeddings


class AblationScores(Table):
    """One record per value and seed, made by `ablate`.

    Columns: ``kind``, ``value``, ``seed``, ``task``, ``metric``, ``score`` (the metric on dev), ``score_unchanged``
    (that of the unchanged model, for ``exit`` and ``revert``), every score by name as ``dev.accuracy``, ``folder`` and
    ``error``. Scores are fractions in [0, 1], correlations in [-1, 1].
    """

    @property
    def failures(self) -> tuple[Mapping[str, Any], ...]:
        """The records that have an ``error`` instead of scores."""
        return tuple(record for record in self if record["error"] is not None)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw score against value, with a band over seeds; with `path`, also write the figure to that file."""
        figure = ablation_curves(self)
        if path is not None:
            save(figure, path)
        return figure


@random_state_kept()
def ablate(
    kind: str,
    model: ModelLike | Run | Sequence[str | os.PathLike[str] | Run],
    task: str | Task | None = None,
    *,
    out: str | os.PathLike[str],
    values: Iterable[int] | None = None,
    seeds: Iterable[int] | None = None,
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: TrainingRecipe | None = None,
    device: str = "auto",
    wait: float | None = None,
    progress: bool | None = None,
) -> AblationScores:
    r"""Run one kind of ablation for each of `values` and `seeds`. Call it again to resume; finished ones are skipped.

    =================  ==================================================================  ==============
    kind               value k                                                             default values
    =================  ==================================================================  ==============
    ``freeze``         embeddings and bottom k blocks frozen (0: none), then fine-tuned    0 to N
    ``layers``         bottom k blocks kept, then fine-tuned                               1 to N
    ``reinit-top``     top k blocks re-initialised, then fine-tuned                        0 to N
    ``reinit-bottom``  bottom k blocks re-initialised, then fine-tuned                     0 to N
    ``head``           only the head trained, on block k of the unchanged encoder          1 to N
    ``exit``           a tuned run with its head on block k, not trained again             1 to N
    ``revert``         a tuned run with block k (0: embeddings) as in its base model       0 to N
    =================  ==================================================================  ==============

    Each value and seed has the folder ``out/<kind>-<value>-seed<seed>``: a run of `finetune`, or scores and
    predictions. ``out/<kind>.csv``, ``.jsonl`` and ``.svg`` hold the records and their figure. If one fails, the
    others still run, and its record has the reason.

    Parameters
    ----------
    kind : str
        One of the kinds above.
    model : as in `finetune`; for ``exit`` and ``revert`` a finished run, its folder, or several of different seeds
        The encoder to fine-tune, or the tuned runs to change. Of a model in memory each step trains a copy.
    task : str or Task, optional
        As in `finetune`; ``exit`` and ``revert`` take the run's task.
    out : path
        Folder of the results.
    values : iterable of int, optional
        Numbers of blocks; for ``revert`` the block. Default: see the table, N being the number of blocks.
    seeds : iterable of int, optional
        Default: the recipe's seed.
    train, dev, test, recipe, device, wait, progress
        As in `finetune`. ``exit`` and ``revert`` take only `dev` (default: the run's), `device` and `wait`.

    Returns
    -------
    AblationScores

    Raises
    ------
    LockedError
        If another process writes to `out`.
    OptionError
        If the kind is unknown, the model has no layer for a value, or the kind does not take an option.
    PyrepsimError
        If all fail: the first error.

    Examples
    --------
    >>> from pathlib import Path
    >>> import pyrepsim as rs
    >>> lines = ["sentence\tlabel", "a fine film\t1", "a dull film\t0", "a fine plot\t1", "a dull plot\t0"]
    >>> _ = Path("films.tsv").write_text("\n".join(lines))
    >>> recipe = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=16)
    >>> scores = rs.ablate("freeze", "bert-base-uncased", "sst2", values=[0, 1], train="films.tsv",
    ...                    dev="films.tsv", out="runs/freeze", recipe=recipe, device="cpu")
    >>> [(record["value"], record["error"]) for record in scores]
    [(0, None), (1, None)]
    """
    folder = as_path(out, "out")
    if kind in _TRAINED:
        if task is None or not isinstance(model, str | os.PathLike | torch.nn.Module | Encoder):
            raise OptionError(f"{kind!r} fine-tunes one encoder on a task: give one model, and the task.")
        task = task_beside(model, task)
        recipe = TrainingRecipe.for_task(task.name) if recipe is None else recipe
        data = {"train": train, "dev": dev, "test": test}
        steps = _trained(
            kind, model, task, recipe, folder, values, seeds, **data, device=device, wait=wait, progress=progress
        )
    elif kind in _UNTRAINED:
        unused = {"seeds": seeds, "train": train, "test": test, "recipe": recipe}
        if given := [name for name, value in unused.items() if value is not None]:
            raise OptionError(f"{kind!r} trains nothing: it takes no {', '.join(given)}.")
        runs = [model] if isinstance(model, str | os.PathLike | Run) else list(model)
        steps = _untrained(kind, runs, task, folder, values, dev, device)
    else:
        raise OptionError(f"An ablation is one of {', '.join((*_TRAINED, *_UNTRAINED))}: got {kind!r}.")
    if not steps:
        raise OptionError("An ablation needs at least one value and one seed: values and seeds must not be empty.")
    with owned(folder, wait=wait):
        return _run_all(steps, kind, folder)


@dataclass(frozen=True)
class _Step:
    """One value with one seed. `run` returns its scores by data; a finished step reads them from its folder."""

    kind: str
    value: int
    seed: int
    task: Task
    run: Callable[[], Scores]
    score_unchanged: float | None = None

    @property
    def name(self) -> str:
        return _name(self.kind, self.value, self.seed)

    def record(self, scores: Scores, error: Exception | None = None) -> dict[str, Any]:
        """Its record in the table."""
        metric = self.task.metric
        record: dict[str, Any] = {"kind": self.kind, "value": self.value, "seed": self.seed}
        record |= {"task": self.task.name, "metric": metric, "score": scores.get("dev", {}).get(metric)}
        record |= {} if self.score_unchanged is None else {"score_unchanged": self.score_unchanged}
        record |= {f"{data}.{name}": value for data, part in scores.items() for name, value in part.items()}
        return record | {"folder": self.name, "error": None if error is None else f"{type(error).__name__}: {error}"}


def _name(kind: str, value: int, seed: int) -> str:
    return f"{kind}-{value}-seed{seed}"


def _trained(
    kind: str,
    model: ModelLike,
    task: Task,
    recipe: TrainingRecipe,
    folder: Path,
    values: Iterable[int] | None,
    seeds: Iterable[int] | None,
    **options: Any,
) -> list[_Step]:
    """Steps that fine-tune `model`; `options` go to `finetune`."""
    seeds = [recipe.seed] if seeds is None else list(dict.fromkeys(seeds))
    depth = _depth(model)
    steps = []
    for value in _checked_values(kind, values, depth):
        ablation = _TRAINED[kind](value)
        ablation.check(depth)
        for seed in seeds:
            out, seeded = folder / _name(kind, value, seed), replace(recipe, seed=seed)
            run = partial(_train, model, task, out=out, recipe=seeded, ablation=ablation, **options)
            steps.append(_Step(kind, value, seed, task, run))
    return steps


def _train(*arguments: Any, **options: Any) -> Scores:
    return finetune(*arguments, **options).scores


def _untrained(
    kind: str,
    runs: Sequence[str | os.PathLike[str] | Run],
    task: str | Task | None,
    folder: Path,
    values: Iterable[int] | None,
    dev: str | os.PathLike[str] | None,
    device: str,
) -> list[_Step]:
    """Steps that change finished runs, one run per seed, and score them."""
    steps: list[_Step] = []
    given = None if values is None else list(values)
    for run in runs:
        run = run if isinstance(run, Run) else open_run(run)
        tuned = TunedRun(run, task=task, dev=None if dev is None else os.fspath(dev), device=device)
        seed = run.record["request"]["recipe"]["seed"]
        if seed in {step.seed for step in steps}:
            raise OptionError(f"Runs must differ in their seeds: two have seed {seed}. Give one run per seed.")
        score_unchanged = run.scores["dev"][run.metric] if dev is None else None
        chosen = _checked_values(kind, given, _depth(run.folder))
        for value in chosen:
            score = partial(_score, tuned, kind, value, chosen, folder / _name(kind, value, seed))
            steps.append(_Step(kind, value, seed, tuned.task, score, score_unchanged))
    return steps


def _score(tuned: TunedRun, kind: str, value: int, values: Sequence[int], folder: Path) -> Scores:
    """Change a tuned run and score it, or read the scores of an earlier call."""
    run = tuned.run
    request = {"kind": kind, "value": value, "run": run.record["request"], "scores": dict(run.scores), "dev": tuned.dev}
    request |= {"inputs": run.record["inputs"], "dev_bytes": _bytes_digest(tuned.dev)}
    path = folder / "scores.json"
    if (known := load_record(path, request)) is not None:
        return known["scores"]
    folder.mkdir(parents=True, exist_ok=True)
    predictions = tuned.predict_exit(value, values) if kind == "exit" else tuned.predict_reverted(value)
    scores, facts = tuned.evaluate(predictions, folder)
    write_record(path, request, scores={"dev": scores}, facts=[fact._asdict() for fact in facts])
    return {"dev": scores}


def _bytes_digest(source: str) -> str | None:
    """xxh3-128 of a file of data; None for data on the hub, whose name has its version."""
    return xxhash.xxh3_128_hexdigest(Path(source).read_bytes()) if os.path.isfile(source) else None


def _run_all(steps: Sequence[_Step], kind: str, folder: Path) -> AblationScores:
    """Run the steps one after the other, and write table and figure."""
    writes = int(os.environ.get("RANK", "0")) == 0  # under torchrun every process trains, and the first one writes
    records: list[dict[str, Any]] = []
    errors: list[Exception] = []
    for number, step in enumerate(steps, start=1):
        log.info("%d of %d: %s", number, len(steps), step.name)
        try:
            records.append(step.record(step.run()))
        except Exception as error:  # whatever fails in one step, the others still run
            errors.append(error)
            log.error("%s failed: %s", step.name, error, exc_info=not isinstance(error, PyrepsimError))
            records.append(step.record({}, error))
        gc.collect()  # a trainer and its model refer to each other; the next step needs their memory
        if writes:
            Table(records).to_csv(folder / f"{kind}.csv")
            Table(records).to_jsonl(folder / f"{kind}.jsonl")
    if len(errors) == len(steps):
        raise errors[0]
    scores = AblationScores(records)
    if writes:
        try:
            scores.plot(folder / f"{kind}.svg")
        except MissingExtraError as error:
            log.info("no figure: %s", error)
    for record in scores.failures:
        log.error("failed: %s: %s", record["folder"], record["error"])
    return scores


def _checked_values(kind: str, values: Iterable[int] | None, depth: int) -> list[int]:
    least = int(kind in _FROM_ONE)
    if values is None:
        return list(range(least, depth + 1))
    chosen = list(dict.fromkeys(values))
    for value in chosen:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= depth:
            raise OptionError(f"A value of {kind!r} is a number of blocks, from {least} to {depth}: got {value!r}.")
    return chosen


def _depth(model: ModelLike) -> int:
    """Number of blocks, read from the model's configuration."""
    if isinstance(model, torch.nn.Module | Encoder):
        return len(find_blocks(load_encoder(model).module))
    source = locate_model(model)
    try:
        config = transformers.AutoConfig.from_pretrained(source.location, revision=source.revision or "main")
        return int(config.num_hidden_layers)
    except Exception as error:  # transformers has no error type of its own
        raise ModelError(
            f"An ablation needs the model's number of layers: the configuration of {source.name!r} has none "
            f"({first_line(error)}). Use an encoder or decoder that transformers loads."
        ) from error
