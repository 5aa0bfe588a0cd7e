"""What a fine-tuning begins with: what is asked for, the data as the model takes them, the model with its head."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import transformers
import xxhash

from ..core.errors import OptionError, TextError
from ..models import Encoder, load_encoder
from ..version import __version__
from .ablation import apply
from .evaluation import predict
from .heads import build_head
from .recipes import Ablation, Recipe
from .task_model import TaskModel
from .tasks import get_task
from .tasks.base import Feature, Task
from .trainer import autocast_type

__all__ = ["Asked", "Data", "Prepared"]


@dataclass(frozen=True)
class Data:
    """Examples of one source, as they were read and as the model takes them."""

    examples: Sequence[Any]
    features: Sequence[Feature]

    def record(self) -> dict[str, Any]:
        digest = xxhash.xxh3_128()
        for feature in self.features:
            digest.update(repr(sorted(feature.inputs.items())).encode())
        return {"n_examples": len(self.examples), "n_features": len(self.features), "features": digest.hexdigest()}


@dataclass(frozen=True)
class Asked:
    """A fine-tuning as it is asked for: defaults filled in, nothing loaded."""

    model: str | os.PathLike[str]
    task: Task
    sources: Mapping[str, str]
    recipe: Recipe
    ablation: Ablation
    device: str

    @classmethod
    def of(
        cls,
        model: str | os.PathLike[str],
        task: str | Task,
        *,
        sources: Mapping[str, str | os.PathLike[str] | None],
        recipe: Recipe | None,
        ablation: Ablation | None,
        device: str,
    ) -> Asked:
        """Training and dev data that are not given are what the task names; the recipe is the one shipped for it."""
        task = get_task(task) if isinstance(task, str) else task
        found = {data: source or (None if data == "test" else task.hub.get(data)) for data, source in sources.items()}
        if missing := [data for data in ("train", "dev") if found[data] is None]:
            raise OptionError(f"The task {task.name!r} has no data of its own: give {' and '.join(missing)}.")
        named = {data: os.fspath(source) for data, source in found.items() if source is not None}
        return cls(model, task, named, recipe or Recipe.for_task(task.name), ablation or Ablation(), device)

    def request(self) -> dict[str, Any]:
        """What makes two runs the same run, as it is read from JSON."""
        options = {name: value for name, value in asdict(self.task).items() if name != "labels" or value}
        request = {
            "model": os.fspath(self.model),
            "task": {"name": self.task.name, **options},
            "metric": self.task.metric,
            "data": dict(self.sources),
            "recipe": self.recipe.record(),
            **({"ablation": asdict(self.ablation)} if self.ablation else {}),
        }
        return json.loads(json.dumps(request))  # lists for tuples

    def prepare(self) -> Prepared:
        """Load the encoder, read and encode the data, build the head: all of it seeded."""
        recipe = self.recipe
        transformers.set_seed(recipe.seed)
        encoder = load_encoder(self.model, device=self.device)
        _check_length(recipe.max_length, encoder)
        apply(encoder.module, self.ablation, seed=recipe.seed)
        examples = {data: self.task.read(source) for data, source in self.sources.items()}
        for data, read in examples.items():
            if not read:
                raise TextError(f"Data must hold examples: {self.sources[data]} ({data}) has none. Check the file.")
        task = self.task.fit(examples["train"])
        data = {
            name: Data(read, task.encode(read, encoder.tokenizer, max_length=recipe.max_length))
            for name, read in examples.items()
        }
        head = build_head(list(encoder.layers.values())[-1], task.head()).to(encoder.device)
        return Prepared(encoder, task, recipe, data, TaskModel(encoder.module, head))


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that training needs."""

    encoder: Encoder
    task: Task
    recipe: Recipe
    data: Mapping[str, Data]
    model: TaskModel

    def predictions(self, name: str) -> list[Any]:
        """Of the model as it stands, in the precision that it trains in."""
        dtype = autocast_type(self.recipe.precision, self.encoder.device)
        data, pad_id = self.data[name], self.encoder.pad_id
        return predict(self.model, self.task, data.examples, data.features, pad_id=pad_id, dtype=dtype)

    def score(self, name: str, predictions: Sequence[Any]) -> dict[str, float]:
        return self.task.score(self.data[name].examples, predictions)

    def record(self) -> dict[str, Any]:
        """What was found: weights, labels, digests of the data, versions."""
        versions = {"pyrepsim": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
        return {
            "model": self.encoder.record(),
            "labels": list(self.task.labels),
            "data": {name: part.record() for name, part in self.data.items()},
            "versions": {**versions, "python": platform.python_version()},
        }


def _check_length(max_length: int, encoder: Encoder) -> None:
    if encoder.position_limit is not None and max_length > encoder.position_limit:
        raise OptionError(
            f"max_length must be one the encoder has positions for: {encoder.name!r} has {encoder.position_limit}, got "
            f"{max_length}. Set max_length in the recipe."
        )
