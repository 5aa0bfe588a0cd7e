"""From a request to everything that training needs: the ablated encoder, the encoded data, and the task's head."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import transformers
import xxhash

from ..core.errors import OptionError, TextError
from ..core.resume import plain_json
from ..models import Encoder, load_encoder
from ..models.blocks import find_blocks
from ..models.layer_changes import reinitialise, truncate
from ..version import __version__
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
    """The arguments of a fine-tuning with all defaults filled in. Nothing is loaded yet."""

    model: str | os.PathLike[str]
    task: Task
    sources: Mapping[str, str]
    recipe: TrainingRecipe
    ablation: Ablation
    device: str

    @classmethod
    def from_arguments(
        cls,
        model: str | os.PathLike[str],
        task: str | Task,
        *,
        sources: Mapping[str, str | os.PathLike[str] | None],
        recipe: TrainingRecipe | None,
        ablation: Ablation | None,
        device: str,
    ) -> FinetuningRequest:
        """Fill in the defaults: the task's own training and dev data, and the recipe shipped for it."""
        task = task_beside(model, task)
        chosen = {name: source or (None if name == "test" else task.hub.get(name)) for name, source in sources.items()}
        if missing := [name for name in ("train", "dev") if chosen[name] is None]:
            raise OptionError(f"The task {task.name!r} has no data of its own: give {' and '.join(missing)}.")
        given = {name: os.fspath(source) for name, source in chosen.items() if source is not None}
        return cls(model, task, given, recipe or TrainingRecipe.for_task(task.name), ablation or Ablation(), device)

    def record(self) -> dict[str, Any]:
        """The request as JSON. Equal records belong to the same run."""
        options = {name: value for name, value in asdict(self.task).items() if name != "labels" or value}
        request = {
            "model": os.fspath(self.model),
            "task": {"name": self.task.name, **options},
            "metric": self.task.metric,
            "data": dict(self.sources),
            "recipe": self.recipe.record(),
        }
        return plain_json(request | ({"ablation": asdict(self.ablation)} if self.ablation else {}))

    def prepare(self) -> PreparedTraining:
        """Load and ablate the encoder, read and encode the data, and build the head, all from the recipe's seed."""
        recipe = self.recipe
        transformers.set_seed(recipe.seed)
        encoder = load_encoder(self.model, device=self.device)
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
        return PreparedTraining(encoder, task, recipe, data, TaskModel(encoder.module, head))


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

    def score(self, name: str, predictions: Sequence[Any]) -> dict[str, float]:
        return self.task.score(self.data[name].examples, predictions)

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
