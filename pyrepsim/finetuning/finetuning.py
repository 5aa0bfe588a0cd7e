"""Fine-tune an encoder on a task: prepare, train, score, write a run."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, OptionError, StoreError
from ..models import Encoder
from ..models.loading import quiet_transformers
from ..results.figures import save as save_figure
from .figures import learning_curve
from .preparing import Asked, Prepared
from .recipes import Ablation, Recipe
from .run import RECORD, Run, open_run, read_record, write_record
from .task_model import save_head
from .tasks.base import Task
from .trainer import TaskTrainer

__all__ = ["finetune"]

log = logging.getLogger("pyrepsim.finetuning")


def finetune(
    model: str | os.PathLike[str],
    task: str | Task,
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    ablation: Ablation | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool | None = None,
) -> Run:
    """Fine-tune `model` on `task` and write the run to the folder `out`.

    Called again after a stop it goes on from the last point kept, to the same weights; once finished it only opens
    the run. Under ``torchrun`` it trains on all processes' devices.

    Parameters
    ----------
    model : folder, hub id, or ``id@revision``
        Any encoder of `load_encoder`.
    task : str or Task
        A name with its options, such as ``"mnli"``, ``"squad"`` or ``"dependency(words='first')"``.
    train, dev, test : path or ``hub:owner/name[:config[:split]]``
        Data in the task's own format; by default the task's data on the hub. `test` is scored only if given.
    recipe : Recipe, optional
        By default the one shipped for the task: ``Recipe.for_task(name)``.
    ablation : Ablation, optional
        Layers frozen, removed or re-initialised before training.
    device : str, default="auto"
        A torch device; "auto" is the GPU of this process if there is one.
    overwrite : bool
        Replace the run that the folder holds. Other files are never removed.
    progress : bool, optional
        Show a bar; by default on a terminal only.

    Raises
    ------
    TextError
        For data that cannot be read or does not fit the task, with file and line.
    StoreError
        If `out` holds a run of another request.
    OptionError, ModelError
        For options outside their domain, and models that cannot be loaded.
    """
    folder = Path(out)
    asked = Asked.of(
        model,
        task,
        sources={"train": train, "dev": dev, "test": test},
        recipe=recipe,
        ablation=ablation,
        device=device,
    )
    request = asked.request()
    if (finished := _open_folder(folder, request, overwrite=overwrite)) is not None:
        return finished
    ready = asked.prepare()
    if overwrite and folder.exists():  # only now: what cannot be trained costs no run that was
        shutil.rmtree(folder)
    record = {"request": request, "found": ready.record()}
    _begin(folder, record)
    encoder = ready.encoder
    trainer = TaskTrainer(
        ready.model.train(),
        ready.data["train"].features,
        ready.recipe,
        folder=folder / "resume",
        pad_id=encoder.pad_id,
        device=encoder.device,
        evaluate_model=lambda: ready.score("dev", ready.predictions("dev")),
        keep_encoder=lambda step: _save_encoder(folder / "checkpoints" / f"step-{step:06d}", encoder),
        progress=sys.stderr.isatty() if progress is None else progress,
    )
    with quiet_transformers():
        history = trainer.train_or_resume()
    if trainer.is_world_process_zero():
        _save_encoder(folder, encoder)
        save_head(folder, ready.model.head, ready.task.head())
        scores = {name: _score_and_write(ready, name, folder) for name in ("dev", "test") if name in ready.data}
        last = {"step": trainer.state.global_step, "epoch": trainer.state.epoch}
        history = [*history, {**last, **{f"eval_{key}": value for key, value in scores["dev"].items()}}]
        _draw(history, ready.task.metric, folder / "curve.svg")
        write_record(folder, {**record, "scores": scores, "history": history})
        shutil.rmtree(folder / "resume", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return open_run(folder)


def _score_and_write(ready: Prepared, name: str, folder: Path) -> dict[str, float]:
    predictions = ready.predictions(name)
    ready.task.write(ready.data[name].examples, predictions, folder / f"predictions-{name}{ready.task.suffix}")
    return ready.score(name, predictions)


def _draw(history: Sequence[Mapping[str, float]], metric: str, path: Path) -> None:
    try:
        save_figure(learning_curve(history, metric), path)
    except MissingExtraError as error:
        log.info("no learning curve: %s", error)


def _open_folder(folder: Path, request: Mapping[str, Any], *, overwrite: bool) -> Run | None:
    """The finished run of this request, or None when there is something to train. Nothing is removed yet."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"A run is a folder: {folder} is a file. Choose another path.")
    replaced = overwrite and (folder / RECORD).is_file()
    if replaced and os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError(f"Several processes cannot agree on removing {folder}: remove it before torchrun starts.")
    record = None if replaced else read_record(folder)
    if record is None:
        if not replaced and folder.is_dir() and any(folder.iterdir()):
            raise StoreError(
                f"A run needs a folder of its own: {folder} holds other files, and overwrite replaces runs alone. "
                "Choose another one."
            )
        return None
    begun = record["request"]
    if differing := sorted(key for key in request.keys() | begun.keys() if request.get(key) != begun.get(key)):
        raise StoreError(
            f"A folder holds one run: {folder} has one that differs in {', '.join(differing)}. Choose another folder, "
            "or overwrite it."
        )
    return open_run(folder) if "scores" in record else None


def _begin(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of what was begun, or check that what is resumed is what was begun."""
    begun = read_record(folder)
    if begun is None:
        write_record(folder, record)
        return
    for key in ("model", "labels", "data"):
        if begun["found"][key] != record["found"][key]:
            raise StoreError(
                f"A run goes on with what it began with: the {key} of {folder} changed since. Say overwrite to "
                "start anew."
            )


def _save_encoder(folder: Path, encoder: Encoder) -> None:
    save: Any = encoder.module.save_pretrained
    with quiet_transformers():
        save(folder)
        encoder.tokenizer.save_pretrained(folder)
