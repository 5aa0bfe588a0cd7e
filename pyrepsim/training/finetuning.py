"""Fine-tune an encoder on a task: read, encode, train, score, write a run."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
import xxhash

from ..errors import MissingExtraError, OptionError, StoreError, TextError
from ..models import Encoder, load_encoder
from ..models.heads import build_head
from ..models.loading import quiet_transformers
from ..models.task_model import TaskModel, save_head
from ..recipes import Ablation, Recipe
from ..report.figures import save as save_figure
from ..report.learning import learning_curve
from ..tasks import get_task
from ..tasks.base import Feature, Task
from ..version import __version__
from .ablation import apply
from .evaluation import predict
from .run import Run, open_run, read_record, write_record
from .trainer import TaskTrainer

__all__ = ["finetune"]

log = logging.getLogger("pyrepsim.training")


@dataclass(frozen=True)
class _Data:
    """Examples of one source, as they were read and as the model takes them."""

    examples: Sequence[Any]
    features: Sequence[Feature]

    def record(self) -> dict[str, Any]:
        digest = xxhash.xxh3_128()
        for feature in self.features:
            digest.update(repr(sorted(feature.inputs.items())).encode())
        return {"n_examples": len(self.examples), "n_features": len(self.features), "features": digest.hexdigest()}


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
        Remove what the folder holds first.
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
    task = get_task(task) if isinstance(task, str) else task
    recipe = Recipe.for_task(task.name) if recipe is None else recipe
    sources = _sources(task, {"train": train, "dev": dev, "test": test})
    ablation = Ablation() if ablation is None else ablation
    request = _request(model, task, sources, recipe, ablation)
    if (finished := _open_folder(folder, request, overwrite=overwrite)) is not None:
        return finished

    transformers.set_seed(recipe.seed)
    encoder = load_encoder(model, device=device)
    _check_length(recipe.max_length, encoder)
    apply(encoder.module, ablation, seed=recipe.seed)
    examples = {data: task.read(source) for data, source in sources.items()}
    for data, read in examples.items():
        if not read:
            raise TextError(f"Data must hold examples: {sources[data]} ({data}) has none. Check the file.")
    task = task.fit(examples["train"])
    data = {
        name: _Data(read, task.encode(read, encoder.tokenizer, max_length=recipe.max_length))
        for name, read in examples.items()
    }
    spec = task.head()
    head = build_head(list(encoder.layers.values())[-1], spec).to(encoder.device)
    tuned = TaskModel(encoder.module, head)
    record = {"request": request, "found": _found(encoder, task, data)}
    _begin(folder, record)

    predictions = _Scorer(tuned, task, encoder, recipe)
    trainer = TaskTrainer(
        tuned.train(),
        data["train"].features,
        recipe,
        folder=folder / "resume",
        pad_id=encoder.pad_id,
        device=encoder.device,
        evaluate_model=lambda: task.score(data["dev"].examples, predictions(data["dev"])),
        keep_encoder=lambda step: _save_encoder(folder / "checkpoints" / f"step-{step:06d}", encoder),
        progress=_shown(progress),
    )
    with quiet_transformers():
        history = trainer.train_or_resume()
    if trainer.is_world_process_zero():
        _save_encoder(folder, encoder)
        save_head(folder, head, spec)
        scores = {}
        for name in [name for name in ("dev", "test") if name in data]:
            predicted = predictions(data[name])
            scores[name] = task.score(data[name].examples, predicted)
            task.write(data[name].examples, predicted, folder / f"predictions-{name}{task.suffix}")
        last = {"step": trainer.state.global_step, "epoch": trainer.state.epoch}
        history = [*history, {**last, **{f"eval_{key}": value for key, value in scores["dev"].items()}}]
        try:
            save_figure(learning_curve(history, task.metric), folder / "curve.svg")
        except MissingExtraError as error:
            log.info("no learning curve: %s", error)
        write_record(folder, {**record, "scores": scores, "history": history})
        shutil.rmtree(folder / "resume", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return open_run(folder)


class _Scorer:
    """A model's predictions on data, in the precision that it trains in."""

    def __init__(self, model: TaskModel, task: Task, encoder: Encoder, recipe: Recipe):
        self.model, self.task, self.pad_id = model, task, encoder.pad_id
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(recipe.precision, torch.float32)

    def __call__(self, data: _Data) -> list[Any]:
        return predict(self.model, self.task, data.examples, data.features, pad_id=self.pad_id, dtype=self.dtype)


def _sources(task: Task, given: Mapping[str, str | os.PathLike[str] | None]) -> dict[str, str]:
    """What is given, and for training and dev data otherwise what the task names."""
    sources = {data: source or (None if data == "test" else task.hub.get(data)) for data, source in given.items()}
    if missing := [data for data in ("train", "dev") if sources[data] is None]:
        raise OptionError(f"The task {task.name!r} has no data of its own: give {' and '.join(missing)}.")
    return {data: os.fspath(source) for data, source in sources.items() if source is not None}


def _request(
    model: str | os.PathLike[str], task: Task, sources: Mapping[str, str], recipe: Recipe, ablation: Ablation
) -> dict[str, Any]:
    options = {name: value for name, value in asdict(task).items() if name != "labels" or value}
    request = {
        "model": os.fspath(model),
        "task": {"name": task.name, **options},
        "metric": task.metric,
        "data": dict(sources),
        "recipe": recipe.record(),
        **({"ablation": asdict(ablation)} if ablation else {}),
    }
    return json.loads(json.dumps(request))  # as it will be read: lists for tuples


def _found(encoder: Encoder, task: Task, data: Mapping[str, _Data]) -> dict[str, Any]:
    versions = {"pyrepsim": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
    return {
        "model": encoder.record(),
        "labels": list(task.labels),
        "data": {name: part.record() for name, part in data.items()},
        "versions": {**versions, "python": platform.python_version()},
    }


def _open_folder(folder: Path, request: Mapping[str, Any], *, overwrite: bool) -> Run | None:
    """The finished run of this request, or None when there is something to train."""
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    record = read_record(folder)
    if record is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise StoreError(f"A run needs a folder of its own: {folder} holds other files. Choose another one.")
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


def _check_length(max_length: int, encoder: Encoder) -> None:
    if encoder.position_limit is not None and max_length > encoder.position_limit:
        raise OptionError(
            f"max_length must be one the encoder has positions for: {encoder.name!r} has {encoder.position_limit}, got "
            f"{max_length}. Set max_length in the recipe."
        )


def _save_encoder(folder: Path, encoder: Encoder) -> None:
    save: Any = encoder.module.save_pretrained
    with quiet_transformers():
        save(folder)
        encoder.tokenizer.save_pretrained(folder)


def _shown(progress: bool | None) -> bool:
    import sys

    return sys.stderr.isatty() if progress is None else progress
