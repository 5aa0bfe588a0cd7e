"""The plan of one study: the encoder, the scale and the data that all its cells share, and the models it compares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from ...core.errors import ModelError, OptionError
from ...core.json_files import read
from .scales import Scale, Sweep, TaskData

if TYPE_CHECKING:
    from ...models import Encoder

__all__ = [
    "BASE",
    "DATA",
    "RANDOM",
    "UNRELATED",
    "Plan",
    "StudyModel",
    "baselines",
    "equal_models",
    "run_cell",
    "tuned_models",
]

DATA = "data/synthetic"
"""The id of the cell that writes generated data."""

Needed = Mapping[str, Path]

_RANDOM_SEED = 0


@dataclass(frozen=True)
class Plan:
    """The inputs of one study, made by `merchant2020`.

    Attributes
    ----------
    scale : what is run, and on which data.
    model, unrelated : folder or hub id of the encoder, and of the encoder it is compared with.
    data : the folder with the files that the scale names; None for generated data and data from the hub.
    device : where models run.
    """

    scale: Scale
    model: str
    unrelated: str | None = None
    data: Path | None = None
    device: str = "auto"

    @cached_property
    def name(self) -> str:
        """The encoder's name in the rows."""
        return short_name(self.model)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name and digest of the encoder, part of every request."""
        return _identity(self.model)

    @cached_property
    def unrelated_identity(self) -> dict[str, Any]:
        """Name and digest of the unrelated encoder."""
        return {} if self.unrelated is None else _identity(self.unrelated)

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        file = Path(self.model, "config.json")
        try:
            if file.is_file():
                return read(file)
            from transformers import AutoConfig

            name, _, revision = self.model.partition("@")
            return AutoConfig.from_pretrained(name, revision=revision or "main").to_dict()
        except Exception as error:  # transformers and the hub have no common error type
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"A study needs the encoder's configuration: {self.model!r} cannot be read ({reason}). Use a folder or "
                "hub id that transformers loads."
            ) from error

    @property
    def depth(self) -> int:
        """Number of blocks of the encoder."""
        return self._size("num_hidden_layers", "n_layer", "n_layers")

    @property
    def width(self) -> int:
        """Number of features of a layer."""
        return self._size("hidden_size", "n_embd", "dim")

    def _size(self, *names: str) -> int:
        for name in names:
            if name in self._config:
                return int(self._config[name])
        raise ModelError(
            f"A study needs the sizes of the encoder: the configuration of {self.model!r} has none of "
            f"{', '.join(names)}. Use an encoder that transformers loads."
        )

    @property
    def data_needs(self) -> tuple[str, ...]:
        """The cells that write data."""
        return () if self.scale.synthetic is None else (DATA,)

    def locate(self, source: str, needed: Needed) -> str:
        """The path of a file that the scale names; a source on the hub is returned as it is."""
        if source.startswith("hub:"):
            return source
        root = needed[DATA] if self.scale.synthetic is not None else self.data
        if root is None:
            raise OptionError(
                f"The scale {self.scale.name!r} reads files such as {source!r}, but no data folder is given. Set "
                "data_folder=, or --data."
            )
        files = sorted(root.glob(source)) if "*" in source else [root / source]
        if len(files) != 1:
            raise OptionError(
                f"Each name of the scale must match one file of the data folder: {source!r} matches {len(files)} in "
                f"{root}. Add or remove files."
            )
        return str(files[0])

    @property
    def shared_texts(self) -> list[str]:
        """Corpora of single sentences outside the domains of all tasks."""
        return [
            name
            for name, corpus in self.scale.corpora.items()
            if corpus.form == "sentences" and all(corpus.domain.get(task) == "out" for task in self.scale.tasks)
        ]

    def can_read(self, sources: Iterable[str]) -> bool:
        """Whether these sources can be read; files cannot if no data folder is given."""
        return all(name.startswith("hub:") for name in sources) or bool(self.scale.synthetic or self.data)

    def digests(self, sources: Iterable[str]) -> dict[str, str | None]:
        """The digest of each source; None for generated data and for data on the hub."""
        return {name: self._digest(name) for name in sources}

    def _digest(self, source: str) -> str | None:
        if self.scale.synthetic is not None or source.startswith("hub:"):
            return None
        if source not in self._digests:
            self._digests[source] = _digest(self.locate(source, {}))
        return self._digests[source]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def seeds(self, task: str) -> tuple[int, ...]:
        """The seeds of a task's fine-tuning."""
        own = self.scale.tasks[task].seeds
        return self.scale.seeds if own is None else own

    def recipe(self, task: str, seed: int, changes: Mapping[str, Any] | None = None) -> Any:
        """The default recipe of a task, with the scale's changes and then `changes`."""
        from ...finetuning.recipes import TrainingRecipe

        data = self.scale.tasks[task]
        return TrainingRecipe.for_task(data.task, **{**data.recipe, **(changes or {}), "seed": seed})

    def training_data(self, task: str, needed: Needed) -> dict[str, str | None]:
        """Training and dev data, as arguments of `rs.finetune`."""
        sources = _sources(self.scale.tasks[task])
        return {part: None if source is None else self.locate(source, needed) for part, source in sources.items()}

    def training_request(self, task: str) -> dict[str, Any]:
        """The task, data and encoder of a fine-tuning, for the request of its cell."""
        data = self.scale.tasks[task]
        named = [source for source in _sources(data).values() if source is not None]
        return {"task": data.task, "data": self.digests(named), "model": self.identity}

    def sweep_values(self, sweep: Sweep, *, least: int) -> list[int]:
        """The numbers of blocks of a sweep, in order, from `least` to the depth."""
        if sweep.values == "all":
            return list(range(least, self.depth + 1))
        if isinstance(sweep.values, str):
            raise OptionError(f"Values of a sweep are 'all', or a list of numbers: got {sweep.values!r}.")
        numbers = {round(v * self.depth) if isinstance(v, float) else v for v in sweep.values}
        return sorted(k for k in numbers if least <= k <= self.depth)

    def sweep_runs(self, sweep: Sweep) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The tasks of a sweep, each with its seeds."""
        for task in self.scale.tasks if sweep.tasks is None else sweep.tasks:
            yield task, self.scale.seeds if sweep.seeds is None else sweep.seeds

    def row(self, **columns: Any) -> dict[str, Any]:
        """A row of this encoder."""
        return {"model": self.name, **columns}


@dataclass(frozen=True)
class StudyModel:
    """A model of the study: the base encoder, a fine-tuned one, random weights, or an unrelated encoder.

    The variants are "base", "tuned", "equal" (tuned with as many updates as on the other tasks), "random", "unrelated".

    `variant`, `task` and `seed` are columns of the rows.
    """

    variant: str
    task: str | None = None
    seed: int | None = None

    @property
    def label(self) -> str:
        """The part of cell names that stands for this model."""
        if self.task is None:
            return self.variant
        return f"{self.task}{'-equal' if self.variant == 'equal' else ''}-seed{self.seed}"

    @property
    def run(self) -> str:
        """The id of the cell whose folder holds a fine-tuned model, as ``run``."""
        return f"{'equal_updates' if self.variant == 'equal' else 'finetuning'}/{self.task}-seed{self.seed}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The cell that trains this model, if any."""
        return () if self.task is None else (self.run,)

    def request(self, plan: Plan) -> dict[str, Any]:
        """What determines the weights. Those of a tuned model are determined by the cell that it needs."""
        return {
            "variant": self.variant,
            "model": plan.unrelated_identity if self.variant == "unrelated" else plan.identity,
        }

    def location(self, plan: Plan, needed: Needed) -> str:
        """Folder or hub id; for random weights that of the base encoder."""
        if self.task is not None:
            return str(needed[self.run] / "run")
        return str(plan.unrelated) if self.variant == "unrelated" else plan.model

    def load(self, plan: Plan, needed: Needed) -> Encoder:
        """The encoder, with its weights."""
        from ...models import load_encoder, wrap
        from ...models.layer_changes import reinitialise_all

        encoder = load_encoder(self.location(plan, needed), device=plan.device)
        if self.variant != "random":
            return encoder
        reinitialise_all(encoder.module, seed=_RANDOM_SEED)
        return wrap(encoder.module, encoder.tokenizer, name=f"{encoder.name} (random weights)")

    def columns(self) -> dict[str, Any]:
        """The columns of rows that name this model."""
        return {"variant": self.variant, "task": self.task, "seed": self.seed}


BASE, RANDOM, UNRELATED = StudyModel("base"), StudyModel("random"), StudyModel("unrelated")


def tuned_models(plan: Plan, task: str, seeds: tuple[int, ...] | None = None) -> list[StudyModel]:
    """The models fine-tuned on a task, one for each seed."""
    return [StudyModel("tuned", task, seed) for seed in (plan.seeds(task) if seeds is None else seeds)]


def equal_models(plan: Plan, task: str) -> list[StudyModel]:
    """The models fine-tuned with as many updates as those of the other tasks; none if the scale has none."""
    return [] if plan.scale.equal_updates is None else [StudyModel("equal", task, seed) for seed in plan.scale.seeds]


def baselines(plan: Plan) -> list[StudyModel]:
    """The lower baselines of similarity: random weights and, if there is one, the unrelated encoder."""
    return [RANDOM] if plan.unrelated is None else [RANDOM, UNRELATED]


def run_cell(task: str, seed: int | None) -> str:
    """The id of the cell whose folder holds the fine-tuned model, as ``run``."""
    return StudyModel("tuned", task, seed).run


def short_name(model: str | os.PathLike[str]) -> str:
    """A hub id as it is; the last two parts of a folder's path."""
    text = os.fspath(model)
    return "/".join(Path(text).resolve().parts[-2:]) if Path(text).exists() else text


def _sources(data: TaskData) -> dict[str, str | None]:
    return {"train": data.train, "dev": data.dev}


def _identity(model: str) -> dict[str, Any]:
    folder = Path(model)
    if not folder.is_dir():
        return {"name": model, "digest": None}
    files = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob("*.bin")), *sorted(folder.glob("*.json"))]
    return {"name": short_name(model), "digest": _digest_files(files, folder)}


def _digest(source: str) -> str:
    path = Path(source)
    if not path.exists():
        raise OptionError(
            f"The data folder must hold the files that the scale names: {source} is missing. Check --data."
        )
    return _digest_files([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()), path)


def _digest_files(files: Iterable[Path], root: Path) -> str:
    """xxh3-64 of the names below the root and of the contents."""
    digest = xxhash.xxh3_64()
    for file in files:
        digest.update(f"{file.relative_to(root) if file != root else file.name}\n".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
