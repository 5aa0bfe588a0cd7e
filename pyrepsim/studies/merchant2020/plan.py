"""One study on one encoder: what its cells share, and how they name models, files and themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash

from ...core.errors import ModelError, OptionError
from .scales import Scale, Sweep, Tuning

__all__ = ["DATA", "Plan", "short_name"]

DATA = "data/synthetic"
"""The cell that writes generated data."""

Needed = Mapping[str, Path]


@dataclass(frozen=True)
class Plan:
    """Made by `merchant2020`.

    Attributes
    ----------
    scale : what is done, on what.
    model, unrelated : folder or hub id of the encoder, and of the one it is set against.
    data : folder below which the files of the scale lie; None for generated data and hub data.
    device : where models run.
    """

    scale: Scale
    model: str
    unrelated: str | None = None
    data: Path | None = None
    device: str = "auto"

    @cached_property
    def name(self) -> str:
        """The encoder as rows name it."""
        return short_name(self.model)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name and digest of the encoder: part of every request."""
        return _identity(self.model)

    @cached_property
    def other(self) -> dict[str, Any]:
        """Name and digest of the unrelated encoder."""
        return {} if self.unrelated is None else _identity(self.unrelated)

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        file = Path(self.model, "config.json")
        try:
            if file.is_file():
                return json.loads(file.read_text(encoding="utf-8"))
            from transformers import AutoConfig

            name, _, revision = self.model.partition("@")
            return AutoConfig.from_pretrained(name, revision=revision or "main").to_dict()
        except Exception as error:  # transformers and the hub have no error type of their own
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"A study needs the encoder's configuration: {self.model!r} does not give it ({told}). Use a folder or "
                "hub id that transformers loads."
            ) from error

    @property
    def depth(self) -> int:
        """The number of blocks of the encoder, by its configuration."""
        return self._size("num_hidden_layers", "n_layer", "n_layers")

    @property
    def width(self) -> int:
        """The number of features of a layer."""
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
        return () if self.scale.synthetic is None else (DATA,)

    def place(self, source: str, needed: Needed) -> str:
        """Where a source of the scale is: below the data folder, or as it stands on the hub."""
        if source.startswith("hub:"):
            return source
        root = needed[DATA] if self.scale.synthetic is not None else self.data
        if root is None:
            raise OptionError(
                f"The scale {self.scale.name!r} reads files: {source!r}. Say where they are: data_folder=, or --data."
            )
        found = sorted(root.glob(source)) if "*" in source else [root / source]
        if len(found) != 1:
            raise OptionError(
                f"The data folder holds what the scale names: {source!r} is {len(found)} files in {root}. Make it one."
            )
        return str(found[0])

    def has(self, sources: Iterable[str]) -> bool:
        """Whether the scale's files can be read at all: not where they lie in a folder and none was given."""
        return all(name.startswith("hub:") for name in sources) or bool(self.scale.synthetic or self.data)

    def sources(self, names: Iterable[str]) -> dict[str, str | None]:
        """Digests of sources by their names in the scale; None for what a cell writes or the hub has."""
        return {name: self._digest(name) for name in names}

    def _digest(self, name: str) -> str | None:
        if self.scale.synthetic is not None or name.startswith("hub:"):
            return None
        if name not in self._digests:
            self._digests[name] = _digest(self.place(name, {}))
        return self._digests[name]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def recipe(self, task: str, seed: int, changes: Mapping[str, Any] | None = None) -> Any:
        """The recipe of a task with the scale's changes, and then these."""
        from ...finetuning.recipes import TrainingRecipe

        tuning = self.scale.tasks[task]
        return TrainingRecipe.for_task(tuning.task, **{**tuning.recipe, **(changes or {}), "seed": seed})

    def training(self, task: str, needed: Needed) -> dict[str, str | None]:
        """Training and dev data, as `rs.finetune` takes them."""
        tuning = self.scale.tasks[task]
        return {part: None if source is None else self.place(source, needed) for part, source in _data_of(tuning)}

    def training_request(self, task: str) -> dict[str, Any]:
        tuning = self.scale.tasks[task]
        named = [source for _, source in _data_of(tuning) if source is not None]
        return {"task": tuning.task, "data": self.sources(named), "model": self.identity}

    def values(self, sweep: Sweep, *, least: int) -> list[int]:
        """The numbers of blocks that a sweep names, in order, between `least` and the depth."""
        if sweep.values == "all":
            return list(range(least, self.depth + 1))
        if isinstance(sweep.values, str):
            raise OptionError(f"Values of a sweep are 'all', or a list of numbers: got {sweep.values!r}.")
        counted = {round(v * self.depth) if isinstance(v, float) else v for v in sweep.values}
        return sorted(k for k in counted if least <= k <= self.depth)

    def runs_of(self, sweep: Sweep) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The tasks of a sweep and the seeds it is run with."""
        for task in self.scale.tasks if sweep.tasks is None else sweep.tasks:
            yield task, self.scale.seeds if sweep.seeds is None else sweep.seeds

    def row(self, **columns: Any) -> dict[str, Any]:
        return {"model": self.name, **columns}


def short_name(model: str | os.PathLike[str]) -> str:
    """A hub id as it is; the last two parts of a folder's path."""
    text = os.fspath(model)
    return "/".join(Path(text).resolve().parts[-2:]) if Path(text).exists() else text


def _data_of(tuning: Tuning) -> list[tuple[str, str | None]]:
    return [("train", tuning.train), ("dev", tuning.dev)]


def _identity(model: str) -> dict[str, Any]:
    folder = Path(model)
    if not folder.is_dir():
        return {"name": model, "digest": None}
    files = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob("*.bin")), *sorted(folder.glob("*.json"))]
    return {"name": short_name(model), "digest": _digest_of(files, folder)}


def _digest(source: str) -> str:
    path = Path(source)
    if not path.exists():
        raise OptionError(f"The data folder holds what the scale names: {source} is not there. Check --data.")
    return _digest_of([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()), path)


def _digest_of(files: Iterable[Path], root: Path) -> str:
    """xxh3-64 over names below the root and contents."""
    digest = xxhash.xxh3_64()
    for file in files:
        digest.update(f"{file.relative_to(root) if file != root else file.name}\n".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
