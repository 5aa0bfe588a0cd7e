"""A tuned run taken apart without further training: its head on a lower layer, a layer set back to its base.

FOLDED: Early exit: a tuned model with its head on a lower block, or on several in one pass.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError, OptionError
from ..models import load_encoder
from ..models.blocks import find_blocks
from ..models.reverting import revert
from ..models.truncation import truncate
from .evaluation import predict, predict_each
from .run import Run
from .task_model import TaskModel, load_head
from .tasks import get_task
from .tasks.base import Feature, Task
from .tasks.registry import all_tasks
from .trainer import autocast_type

__all__ = ["Exits", "TunedRun", "early_exit", "task_of"]


def early_exit(model: TaskModel, layers: int) -> TaskModel:
    """A copy of a tuned model with its head on block `layers`, the blocks above removed (Phang et al. 2021).

    A final normalisation, where the encoder has one, acts on that block's output.

    Raises
    ------
    ModelError
        If the encoder has fewer blocks, or cannot be cut.
    """
    shorter = copy.deepcopy(model)
    truncate(shorter.encoder, layers)
    return shorter


class Exits(torch.nn.Module):
    """A tuned model with its head on each of several blocks, ``{k: outputs}``. A batch passes each block once: the
    model that is cut at one exit is given what the blocks up to the exit below made of it.

    The weights are those of `model`, not copies.
    """

    def __init__(self, model: TaskModel, layers: Iterable[int]) -> None:
        super().__init__()
        shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
        self.layers = sorted(set(layers))
        self.models = torch.nn.ModuleList()
        self._outputs: dict[int, Any] = {}  # of each block that was run
        below = 0
        for k in self.layers:
            shorter = copy.deepcopy(model, dict(shared))
            truncate(shorter.encoder, k)
            blocks = find_blocks(shorter.encoder).modules
            for index, block in enumerate(blocks):
                if index < below:
                    block.forward = partial(self._known, index)
                else:
                    block.register_forward_hook(partial(self._keep, index))
            self.models.append(shorter)
            below = k

    def forward(self, **batch: torch.Tensor) -> dict[int, dict[str, torch.Tensor]]:
        found = {k: model(**batch) for k, model in zip(self.layers, self.models, strict=True)}
        self._outputs.clear()
        return found

    def _known(self, index: int, *_: Any, **__: Any) -> Any:
        return self._outputs[index]

    def _keep(self, index: int, _: torch.nn.Module, __: Any, output: Any) -> None:
        self._outputs[index] = output


class TunedRun:
    """A finished run with its model, its base and its dev data, each loaded when first asked for.

    Parameters
    ----------
    run : Run
        Of `finetune` or `open_run`.
    task : Task, optional
        The task it was tuned on, where the registry does not have it.
    dev : path or ``hub:owner/name[:config[:split]]``, optional
        Data to score on; by default the run's.
    """

    def __init__(self, run: Run, *, task: str | Task | None = None, dev: str | None = None, device: str = "auto"):
        self.run = run
        self.task = task_of(run, task)
        self.dev = run.record["request"]["data"]["dev"] if dev is None else dev
        self.device = device
        self._exits: dict[int, list[Any]] = {}

    @cached_property
    def _encoder(self) -> Any:
        return load_encoder(self.run.folder, device=self.device)

    @cached_property
    def model(self) -> TaskModel:
        return TaskModel(self._encoder.module, load_head(self.run.folder, self._encoder)).eval()

    @cached_property
    def base(self) -> torch.nn.Module:
        """The encoder it was tuned from; ModelError if its weights are not those any more."""
        found = self.run.record["found"]["model"]
        encoder = load_encoder(found["id"], revision=found["revision"], device=self.device)
        if encoder.weights != found["weights"]:
            raise ModelError(
                f"Layers are set back to the weights a run began with: {found['id']!r} has others than when "
                f"{str(self.run.folder)!r} was tuned. Restore that model, or tune again."
            )
        return encoder.module

    @cached_property
    def _data(self) -> tuple[Sequence[Any], list[Feature]]:
        examples = self.task.read(self.dev)
        length = self.run.record["request"]["recipe"]["max_length"]
        return examples, self.task.encode(examples, self._encoder.tokenizer, max_length=length)

    def exits(self, layers: Sequence[int]) -> Mapping[int, list[Any]]:
        """Predictions of the tuned model with its head on each of these blocks, found in one pass and kept."""
        if due := [k for k in layers if k not in self._exits]:
            model = Exits(self.model, due)
            self._exits |= predict_each(model, lambda batch: model(**batch), self.task, *self._data, **self._how)
        return self._exits

    def reverted(self, layer: int) -> TaskModel:
        """The tuned model with block `layer` (from 1; 0: the embeddings) as in the base."""
        name = "embeddings" if layer == 0 else f"layer.{layer - 1}"
        return TaskModel(revert(self.model.encoder, self.base, [name]), self.model.head)

    def predict(self, model: TaskModel) -> list[Any]:
        """What `model` predicts of the dev data."""
        return predict(model, self.task, *self._data, **self._how)

    def score(self, predicted: Sequence[Any], *, write: Path) -> dict[str, float]:
        """Scores of predictions of the dev data, as fractions in [0, 1]; they go to the file `write`."""
        examples, _ = self._data
        self.task.write(examples, predicted, write)
        return self.task.score(examples, predicted)

    @property
    def _how(self) -> dict[str, Any]:
        precision = self.run.record["request"]["recipe"]["precision"]
        return {"pad_id": self._encoder.pad_id, "dtype": autocast_type(precision, self._encoder.device)}


def task_of(run: Run, task: str | Task | None = None) -> Task:
    """The task of a run with the labels it was tuned on.

    Raises
    ------
    OptionError
        If `task` is another one, or None for a task that is not in the registry.
    """
    options = dict(run.record["request"]["task"])
    name = options.pop("name")
    if task is None:
        if name not in all_tasks():
            raise OptionError(f"A run's task must be known: {os.fspath(run.folder)!r} is of {name!r}. Give it as task.")
        task = all_tasks()[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
    task = get_task(task) if isinstance(task, str) else task
    if task.name != name:
        raise OptionError(f"A run has one task: {os.fspath(run.folder)!r} is of {name!r}, got {task.name!r}.")
    return replace(task, labels=tuple(run.record["found"]["labels"]))
