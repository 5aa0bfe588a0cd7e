"""A finished run loaded again: predictions with its head on lower blocks, or with layers reset to the base model."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from ..core.errors import CorruptStoreError, ModelError, OptionError
from ..core.resume import read_record
from ..models import load_encoder
from ..models.blocks import find_blocks
from ..models.layer_changes import revert, truncate
from .evaluation import Evaluation, evaluate
from .prediction import predict, predict_each
from .run import RECORD, Run
from .task_model import TaskModel, load_head
from .tasks import all_tasks, get_task
from .tasks.base import Feature, Task
from .trainer import autocast_dtype

__all__ = ["EarlyExits", "TunedRun", "early_exit", "task_of"]


def early_exit(model: TaskModel, layers: int) -> TaskModel:
    """Copy a tuned model with its head on block `layers` and the blocks above removed (Phang et al. 2021).

    If the encoder has a final normalisation, it is applied to the output of that block.

    Parameters
    ----------
    model : TaskModel
        An encoder with its head; it is not changed.
    layers : int
        Number of blocks to keep, from the bottom.

    Returns
    -------
    TaskModel

    Raises
    ------
    ModelError
        If the encoder has fewer blocks, or its blocks cannot be removed.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> from pyrepsim.finetuning.heads import build_head
    >>> from pyrepsim.finetuning.task_model import TaskModel
    >>> from pyrepsim.models import load_encoder
    >>> encoder = load_encoder("bert-base-uncased", device="cpu")
    >>> head = build_head(encoder.layers["embeddings"], {"kind": "sequence", "labels": 3})
    >>> rs.early_exit(TaskModel(encoder.module, head), 1).encoder.config.num_hidden_layers
    1
    """
    shorter = copy.deepcopy(model)
    truncate(shorter.encoder, layers)
    return shorter


class EarlyExits(torch.nn.Module):
    """A tuned model with its head on each of several blocks, ``{k: outputs}``, with one pass through the blocks.

    For each k there is a model cut at block k. Its blocks up to the previous exit do not run again: they return the
    outputs that were computed for that exit. All models share the weights of `model`.
    """

    def __init__(self, model: TaskModel, layers: Iterable[int]) -> None:
        super().__init__()
        shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
        self.layers = sorted(set(layers))
        self.models = torch.nn.ModuleList()
        self._outputs: dict[int, Any] = {}  # by block
        previous = 0
        for k in self.layers:
            shorter = copy.deepcopy(model, dict(shared))
            truncate(shorter.encoder, k)
            blocks = find_blocks(shorter.encoder).modules
            for index, block in enumerate(blocks):
                if index < previous:
                    block.forward = partial(self._computed, index)
                else:
                    block.register_forward_hook(partial(self._keep, index))
            self.models.append(shorter)
            previous = k

    def forward(self, **batch: torch.Tensor) -> dict[int, dict[str, torch.Tensor]]:
        outputs = {k: model(**batch) for k, model in zip(self.layers, self.models, strict=True)}
        self._outputs.clear()
        return outputs

    def _computed(self, index: int, *_: Any, **__: Any) -> Any:
        return self._outputs[index]

    def _keep(self, index: int, _: torch.nn.Module, __: Any, output: Any) -> None:
        self._outputs[index] = output


class TunedRun:
    """A finished run with its model, its base and its dev data, each loaded at first use.

    Parameters
    ----------
    run : Run
        A run of `finetune` or `open_run`.
    task : Task, optional
        The task that it was tuned on; needed only if the registry does not have it.
    dev : path or ``hub:owner/name[:config[:split]]``, optional
        Data to score on. Default: the run's dev data.
    """

    def __init__(self, run: Run, *, task: str | Task | None = None, dev: str | None = None, device: str = "auto"):
        self.run = run
        self.task = task_of(run, task)
        self.dev = run.record["request"]["data"]["dev"] if dev is None else dev
        self.device = device
        self._exits: dict[int, list[Any]] = {}

    @cached_property
    def _encoder(self) -> Any:
        encoder = load_encoder(self.run.folder, device=self.device)
        self._check_unchanged()
        return encoder

    @cached_property
    def model(self) -> TaskModel:
        model = TaskModel(self._encoder.module, load_head(self.run.folder, self._encoder)).eval()
        self._check_unchanged()
        return model

    def _check_unchanged(self) -> None:
        """Raise CorruptStoreError if the run was trained again since it was opened: its model is another one."""
        run = self.run
        record = read_record(run.folder / RECORD) or {}
        same = all(record.get(key) == value for key, value in run.record.items())
        if not same or record.get("scores") != run.scores:
            raise CorruptStoreError(
                f"The folder of an open run must not change: the run in {run.folder} was replaced since it was "
                "opened. Open it again: rs.open_run(...)."
            )

    @cached_property
    def base(self) -> torch.nn.Module:
        """The encoder that the run started from; ModelError if its weights have changed."""
        recorded = self.run.record["inputs"]["model"]
        encoder = load_encoder(recorded["id"], revision=recorded["revision"], device=self.device)
        if encoder.weights != recorded["weights"]:
            raise ModelError(
                f"Layers are reset to the weights that a run started from: {recorded['id']!r} has other weights than "
                f"when {str(self.run.folder)!r} was tuned. Restore that model, or tune again."
            )
        return encoder.module

    @cached_property
    def _data(self) -> tuple[Sequence[Any], list[Feature]]:
        examples = self.task.read(self.dev)
        length = self.run.record["request"]["recipe"]["max_length"]
        return examples, self.task.encode(examples, self._encoder.tokenizer, max_length=length)

    @property
    def _options(self) -> dict[str, Any]:
        precision = self.run.record["request"]["recipe"]["precision"]
        dtype = autocast_dtype(precision, self._encoder.device)
        return {"pad_id": self._encoder.pad_id, "batching": self._encoder.batching, "dtype": dtype}

    def predict_exit(self, layer: int, layers: Sequence[int]) -> list[Any]:
        """Predictions with the head on block `layer`; one pass computes and keeps those of all `layers`."""
        if layer not in self._exits:
            try:
                self._predict_exits([k for k in layers if k not in self._exits])
            except ModelError:  # one layer cannot be cut: predict this one alone
                self._predict_exits([layer])
        return self._exits[layer]

    def _predict_exits(self, layers: Sequence[int]) -> None:
        model = EarlyExits(self.model, layers)
        self._exits |= predict_each(model, lambda batch: model(**batch), self.task, *self._data, **self._options)

    def predict_reverted(self, layer: int) -> list[Any]:
        """Predictions with block `layer` (counted from 1; 0 is the embeddings) reset to the base's weights."""
        name = "embeddings" if layer == 0 else f"layer.{layer - 1}"
        model = TaskModel(revert(self.model.encoder, self.base, [name]), self.model.head)
        return predict(model, self.task, *self._data, **self._options)

    def evaluate(self, predictions: Sequence[Any], folder: Path) -> Evaluation:
        """Score predictions for the dev data; write them and the scores of each item to `folder`."""
        examples, _ = self._data
        return evaluate(self.task, examples, predictions, folder=folder, data="dev")


def task_of(run: Run, task: str | Task | None = None) -> Task:
    """The task of a run with the labels it was tuned on.

    Raises
    ------
    OptionError
        If `task` is another one, or is None and the registry does not have the run's task.
    """
    options = dict(run.record["request"]["task"])
    name = options.pop("name")
    if task is None:
        if name not in all_tasks():
            raise OptionError(f"A run's task must be known: {os.fspath(run.folder)!r} is of {name!r}. Give it as task.")
        task = all_tasks()[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
    task = get_task(task) if isinstance(task, str) else task
    if task.name != name:
        raise OptionError(
            f"A run has one task: {os.fspath(run.folder)!r} is of {name!r}, got {task.name!r}. Leave task out."
        )
    return replace(task, labels=tuple(run.record["inputs"]["labels"]))
