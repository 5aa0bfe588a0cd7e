"""How much of the study is done, and on what: data of a YAML file (smoke, small, paper, or one of your own)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...core.errors import OptionError

__all__ = ["Corpus", "Probe", "Scale", "Sweep", "Tuning", "load_scale"]

Values = Sequence[int | float] | str


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A task to fine-tune on. `train` and `dev`: files below the data folder, or ``hub:owner/name:config:split``."""

    task: str
    """As `rs.finetune` takes it: ``mnli``, ``squad(doc_stride=64)``."""
    train: str | None = None
    dev: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the recipe that is shipped for the task."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An ablation at several values k: numbers of blocks, fractions of the depth (0.5), or ``all``."""

    values: Values = "all"
    seeds: tuple[int, ...] | None = None
    """By default the study's."""
    tasks: tuple[str, ...] | None = None
    recipe: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further changes of a task's recipe."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A text on which models are compared.

    Of a `task`, its examples are read: in the form ``training`` as the task feeds them to the model (pairs), in the
    form ``sentences`` one by one. Else `source` is a file or folder of texts.
    """

    source: str
    task: str | None = None
    form: str = "sentences"
    words: int = 10000
    """About how many are drawn, whole texts at random."""
    like: str | None = None
    """Another corpus whose lengths of texts are matched, one text for each of its own."""
    domain: Mapping[str, str | None] = field(default_factory=dict)
    """For each task whose models are compared here: ``in`` its domain, ``out`` of it, or null for neither."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Measures on every corpus. Those of `values_only` have no intervals: they are the costly ones."""

    measures: tuple[str, ...] = ("LinearCKA(debiased=True)", "RSA", "SVCCA", "PWCCA", "Procrustes")
    values_only: tuple[str, ...] = ()
    blocks: int = 32
    pairs: tuple[str, ...] = ("LinearCKA(debiased=True)",)
    """Measures of every layer with every layer, for the first seed, on its own text as it was trained on."""
    rogue: tuple[str, ...] = ()
    """Corpora on which `rogue_measures` are taken once more without the rogue dimensions of both sides."""
    rogue_measures: tuple[str, ...] = ("LinearCKA(debiased=True)", "RSA")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An edge probe: a task of the suite, and either files or, with `data`, a corpus folder."""

    task: str
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    data: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] | None = None

    @property
    def files(self) -> dict[str, str]:
        named = {"train": self.train, "dev": self.dev, "test": self.test, "data": self.data}
        return {name: source for name, source in named.items() if source is not None}


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Edge probes on the base, on random weights, and on the models tuned with these seeds."""

    probes: Mapping[str, Probe] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    probe_seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class Structural:
    """Structural probes; `options` go to `rs.probe_structural` (ranks, epochs, ...)."""

    name: str = "treebank"
    files: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Everything the study's cells are made from, but for the model."""

    name: str
    model: str | None = None
    """The encoder where none is given: a hub id, or ``demo`` for the one that pip brings."""
    unrelated: str | None = None
    """Another encoder of the same tokenizer, a floor for similarity; ``demo`` as above."""
    synthetic: Mapping[str, int] | None = None
    """Sizes of the generated data (train, dev, test); None where data are given."""
    tasks: Mapping[str, Tuning] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    corpora: Mapping[str, Corpus] = field(default_factory=dict)
    similarity: Similarity = Similarity()
    profiles: tuple[str, ...] = ()
    """Corpora on which the geometry of each layer is described."""
    attention: tuple[str, ...] = ()
    """Corpora on which attention is compared."""
    freezing: Sweep | None = None
    truncation: Sweep | None = None
    exit: Sweep | None = None
    edge: Edge = Edge()
    structural: Structural | None = None

    def __post_init__(self) -> None:
        for name, corpus in self.corpora.items():
            if corpus.form not in ("training", "sentences") or (corpus.form == "training" and corpus.task is None):
                raise OptionError(f"A corpus has the form sentences or, of a task, training: {name} has {corpus.form}.")
            if corpus.like is not None and self.corpora.get(corpus.like, corpus).like is not None:
                raise OptionError(f"like names a corpus that is like no other: {name} has {corpus.like!r}.")
            for task, domain in corpus.domain.items():
                if task not in self.tasks or domain not in ("in", "out", None):
                    raise OptionError(f"domain maps tasks to in, out or null: {name} has {task}: {domain}.")
        for told in (self.similarity.rogue, self.profiles, self.attention):
            if unknown := set(told) - self.corpora.keys():
                raise OptionError(f"A corpus is one of {', '.join(self.corpora)}: got {', '.join(sorted(unknown))}.")


_NESTED: Mapping[str, Any] = {
    "similarity": Similarity,
    "freezing": Sweep,
    "truncation": Sweep,
    "exit": Sweep,
    "edge": Edge,
    "structural": Structural,
}
_MAPPED: Mapping[str, Any] = {"tasks": Tuning, "corpora": Corpus, "probes": Probe}


def load_scale(scale: str | os.PathLike[str] | Scale) -> Scale:
    """The scale of that name (smoke, small, paper), or that of a YAML file.

    Raises OptionError for another name, and for keys or values that a scale does not have.
    """
    if isinstance(scale, Scale):
        return scale
    path = Path(scale)
    if path.suffix not in (".yaml", ".yml"):
        path = Path(__file__).with_name(f"{os.fspath(scale)}.yaml")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        shipped = sorted(file.stem for file in Path(__file__).parent.glob("*.yaml"))
        raise OptionError(
            f"A scale is one of {', '.join(shipped)}, or a YAML file: got {os.fspath(scale)!r} ({error.strerror})."
        ) from error
    import yaml

    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"A scale is a YAML file: {path} cannot be read ({error}).") from error
    return build_scale({"name": path.stem, **told} if isinstance(told, dict) else told, str(path))


def build_scale(told: Any, where: str) -> Scale:
    """A scale from what a YAML file says."""
    return _build(Scale, told, where)


def _build(kind: Any, told: Any, where: str) -> Any:
    if not isinstance(told, Mapping):
        raise OptionError(f"{where} maps names to values: got {told!r}.")
    known = {one.name: one for one in fields(kind)}
    if unknown := told.keys() - known.keys():
        raise OptionError(f"{where} has the keys {', '.join(known)}: got {', '.join(sorted(map(str, unknown)))}.")
    values = {}
    for name, value in told.items():
        inside = f"{where}: {name}"
        if name in _MAPPED and isinstance(value, Mapping):
            values[name] = {key: _build(_MAPPED[name], one, f"{inside}: {key}") for key, one in value.items()}
        elif name in _NESTED and value is not None:
            values[name] = _build(_NESTED[name], value, inside)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(f"{where} is not complete: {error}.") from error
