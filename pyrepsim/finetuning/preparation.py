"""From a request to everything that training needs: the ablated encoder, the encoded data, and the task's head."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
import xxhash

from ..core.errors import ModelError, OptionError, TextError
from ..core.resume import plain_json
from ..models import Encoder, ModelLike, load_encoder, wrap
from ..models.blocks import find_blocks
from ..models.layer_changes import reinitialise, truncate
from ..version import __version__
from .evaluation import Evaluation, evaluate
from .heads import build_head
from .prediction import predict
from .recipes import Ablation, TrainingRecipe
from .task_model import TaskModel
from .tasks import task_beside
from .tasks.base import Feature, Task
from .trainer import autocast_dtype

__all__ = ["EncodedData", "FinetuningRequest", "PreparedTraining", "apply_ablation"]


@dataclass(frozen=True)
class FinetuningRequest:
    """The arguments of a fine-tuning with all defaults filled in. Nothing is loaded yet.

    `model` is a folder, a hub id, or an `Encoder` of a model in memory, which is copied unless `inplace` is set.
    """

    model: str | os.PathLike[str] | Encoder
    task: Task
    sources: Mapping[str, str]
    recipe: TrainingRecipe
    ablation: Ablation
    device: str
    inplace: bool = False

    @classmethod
    def from_arguments(
        cls,
        model: ModelLike,
        task: str | Task,
        *,
        sources: Mapping[str, str | os.PathLike[str] | None],
        recipe: TrainingRecipe | None,
        ablation: Ablation | None,
        device: str,
        inplace: bool = False,
    ) -> FinetuningRequest:
        """Fill in the defaults: the task's own training and dev data, and the recipe shipped for it."""
        task = task_beside(model, task)
        chosen = {name: source or (None if name == "test" else task.hub.get(name)) for name, source in sources.items()}
        if missing := [name for name in ("train", "dev") if chosen[name] is None]:
            raise OptionError(f"The task {task.name!r} has no data of its own: give {' and '.join(missing)}.")
        given = {name: os.fspath(source) for name, source in chosen.items() if source is not None}
        recipe, ablation = recipe or TrainingRecipe.for_task(task.name), ablation or Ablation()
        in_memory = isinstance(model, torch.nn.Module | Encoder)
        if inplace and not in_memory:
            raise OptionError(f"inplace trains a model in memory: got {model!r}, which is loaded. Leave inplace out.")
        return cls(load_encoder(model) if in_memory else model, task, given, recipe, ablation, device, inplace)

    def record(self) -> dict[str, Any]:
        """The request as JSON. Equal records belong to the same run."""
        options = {name: value for name, value in asdict(self.task).items() if name != "labels" or value}
        request = {
            "model": self._model_record(),
            "task": {"name": self.task.name, **options},
            "metric": self.task.metric,
            "data": dict(self.sources),
            "recipe": self.recipe.record(),
        }
        return plain_json(request | ({"ablation": asdict(self.ablation)} if self.ablation else {}))

    def _model_record(self) -> Any:
        if not isinstance(self.model, Encoder):
            return os.fspath(self.model)
        return {"id": self.model.name, "weights": self.model.weights}

    def prepare(self) -> PreparedTraining:
        """Load and ablate the encoder, read and encode the data, and build the head, all from the recipe's seed."""
        recipe = self.recipe
        transformers.set_seed(recipe.seed)
        encoder = load_encoder(self.model, device=self.device)
        _check_trainable(encoder)
        if isinstance(self.model, Encoder):
            encoder = _in_float32(encoder, inplace=self.inplace)
        if encoder.position_limit is not None and recipe.max_length > encoder.position_limit:
            raise OptionError(
                f"max_length must be at most the encoder's number of positions: {encoder.name!r} has "
                f"{encoder.position_limit}, got {recipe.max_length}. Set max_length in the recipe."
            )
        apply_ablation(encoder.module, self.ablation, seed=recipe.seed)
        examples = {name: self.task.read(source) for name, source in self.sources.items()}
        for name, read in examples.items():
            if not read:
                raise TextError(f"Data must hold examples: {self.sources[name]} ({name}) has none. Check the file.")
        task = self.task.fit(examples["train"])
        data = {
            name: EncodedData(read, task.encode(read, encoder.tokenizer, max_length=recipe.max_length))
            for name, read in examples.items()
        }
        if encoder.causal and task.head().get("pooling") == "cls":
            raise OptionError(
                f"The pooled token must have read the text: {encoder.name!r} is causal, so its first token has read "
                f"nothing else. Use pooling='last', as in \"{task.name}(pooling='last')\", or pooling='mean'."
            )
        head = build_head(list(encoder.layers.values())[-1], task.head()).to(encoder.device)
        k = self.ablation.freeze
        frozen = find_blocks(encoder.module).modules_below(k)[0] if k else ()
        return PreparedTraining(encoder, task, recipe, data, TaskModel(encoder.module, head, frozen=frozen))


def _check_trainable(encoder: Encoder) -> None:
    if encoder.adapters:
        raise ModelError(
            f"All weights of a model are trained and saved: {encoder.name!r} has an adapter, which is apart from them. "
            "Merge it into the model (merge_and_unload of peft), or give the base model."
        )
    if quantised := encoder.settings.get("quantization"):
        raise ModelError(
            f"A model is trained with weights of floating point: those of {encoder.name!r} are quantised "
            f"({quantised}). Give the model that it was made from."
        )
    ids, width = torch.zeros((1, 2), dtype=torch.long, device=encoder.device), list(encoder.layers.values())[-1]
    with encoder.reading():
        last = encoder.module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    if last.shape[-1] != width:
        raise ModelError(
            f"A head reads what the last layer gives: that of {encoder.name!r} ({type(encoder.module).__name__}) has "
            f"{width} features, and the output of the model {last.shape[-1]}. Use another model."
        )


def _in_float32(encoder: Encoder, *, inplace: bool) -> Encoder:
    """A model in memory in float32, in which it is trained and saved: a copy unless `inplace` is set."""
    if (dtype := encoder.settings.get("model_dtype")) is None:
        return encoder if inplace else encoder.copied()
    if inplace:
        raise OptionError(
            f"A model is trained in float32: {encoder.name!r} has weights of {dtype}, and inplace makes no copy. Call "
            "model.float() before, or leave inplace out."
        )
    copied = encoder.copied()
    return wrap(copied.module.float(), encoder.tokenizer, name=encoder.name, revision=encoder.revision)


@dataclass(frozen=True)
class EncodedData:
    """Examples of one source, as they were read and as the model takes them."""

    examples: Sequence[Any]
    features: Sequence[Feature]

    def record(self) -> dict[str, Any]:
        digest = xxhash.xxh3_128()
        for feature in self.features:
            digest.update(repr(sorted(feature.inputs.items())).encode())
        return {"n_examples": len(self.examples), "n_features": len(self.features), "features": digest.hexdigest()}


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """Everything that training needs."""

    encoder: Encoder
    task: Task
    recipe: TrainingRecipe
    data: Mapping[str, EncodedData]
    model: TaskModel

    def predictions(self, name: str) -> list[Any]:
        """Predictions of the model in its current state, in the precision that it trains in."""
        data, dtype = self.data[name], autocast_dtype(self.recipe.precision, self.encoder.device)
        options: dict[str, Any] = {"pad_id": self.encoder.pad_id, "batching": self.encoder.batching, "dtype": dtype}
        return predict(self.model, self.task, data.examples, data.features, **options)

    def score(self, name: str) -> dict[str, float]:
        return self.task.score(self.data[name].examples, self.predictions(name))

    def evaluate(self, name: str, folder: Path) -> Evaluation:
        """Score, and write predictions and the scores of each item."""
        return evaluate(self.task, self.data[name].examples, self.predictions(name), folder=folder, data=name)

    def record(self) -> dict[str, Any]:
        """What the request resolved to: weights, labels, digests of the data, versions."""
        versions = {"pyrepsim": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
        separator = self.task.separator(self.encoder.tokenizer)
        return {
            "model": self.encoder.record(),
            **({} if separator is None else {"separator": separator}),
            "labels": list(self.task.labels),
            "data": {name: part.record() for name, part in self.data.items()},
            "versions": {**versions, "python": platform.python_version()},
        }


def apply_ablation(module: torch.nn.Module, ablation: Ablation, *, seed: int) -> None:
    """Remove, re-initialise and freeze layers of an encoder in place; `seed` decides the re-initialised weights.

    The global random state stays as it is, so that training without an ablation gives the same numbers.

    Raises
    ------
    OptionError
        If the model has too few blocks.
    ModelError
        If its blocks cannot be found, removed or re-initialised.
    """
    if not ablation:
        return
    ablation.check(len(find_blocks(module)))
    if ablation.layers is not None:
        truncate(module, ablation.layers)
    depth = len(find_blocks(module))
    if ablation.reinit:
        bottom = ablation.reinit_end == "bottom"
        reinitialise(module, range(ablation.reinit) if bottom else range(depth - ablation.reinit, depth), seed=seed)
    if ablation.freeze:
        for parameter in find_blocks(module).below(ablation.freeze).values():
            parameter.requires_grad_(False)
