"""Scales: how much of the study is run, and on which data. Read from a YAML file (smoke, small, paper, or your own)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...core.errors import OptionError
from ...core.paths import as_path, read_regular

__all__ = ["Corpus", "EdgeProbe", "Scale", "Similarity", "StructuralProbes", "Sweep", "TaskData", "load_scale"]


_MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task to fine-tune on. `train` and `dev` are files below the data folder, or ``hub:owner/name:config:split``."""

    task: str
    """As in `rs.finetune`: ``mnli``, ``squad(doc_stride=64)``."""
    train: str | None = None
    dev: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Options that differ from the default recipe of the task."""
    seeds: tuple[int, ...] | None = None
    """Default: the seeds of the study."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An ablation at several values of k: numbers of blocks, fractions of the depth (0.5), or ``all``."""

    values: Sequence[int | float] | str = "all"
    seeds: tuple[int, ...] | None = None
    """Default: the seeds of the study."""
    tasks: tuple[str, ...] | None = None
    """Default: all tasks of the study."""
    recipe: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For each task, further options of the recipe."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A text on which models are compared.

    With a `task`, the texts are the examples of that task: in the form ``training`` as the model reads them in
    fine-tuning (pairs), in the form ``sentences`` one sentence at a time. Without a `task`, `source` is a file or
    folder of plain texts.
    """

    source: str
    task: str | None = None
    form: str = "sentences"
    words: int = 10000
    """Approximate number of words to draw; whole texts are drawn at random, evenly from the documents."""
    documents: int | None = None
    """How many documents (articles) to draw from: those with the most words. Default: all."""
    without: tuple[str, ...] = ()
    """Documents whose names contain one of these are left out."""
    like: str | None = None
    """Another corpus. For each of its texts, one text of about the same length is drawn."""
    domain: Mapping[str, str | None] = field(default_factory=dict)
    """The tasks whose models are compared on this corpus: ``in`` their domain, ``out`` of it, or null for neither.

    Models of other tasks show how much of a difference between two texts is due to the texts."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Measures to take on every corpus. Those in `values_only` get no intervals, because these are slow to compute.

    The first one is also taken of models on text that is neither in nor out of their domain; claims are judged by it.
    """

    measures: tuple[str, ...] = ("DocumentRSA", "RSA", "DocumentCKA", "SVCCA", "PWCCA", "Procrustes")
    values_only: tuple[str, ...] = ()
    blocks: int = 64
    """Blocks of documents for the jackknife intervals; with fewer documents each is a block."""
    pairs: tuple[str, ...] = ("LinearCKA(debiased=True)",)
    """Measures of every layer with every layer: for the first seed, on the text that the model was trained to read."""
    rogue: tuple[str, ...] = ()
    """Corpora on which `rogue_measures` are also taken without the rogue dimensions of both models."""
    rogue_measures: tuple[str, ...] = ("LinearCKA(debiased=True)", "RSA")

    def __post_init__(self) -> None:
        if not self.measures or self.measures[0] in self.values_only:
            raise OptionError(
                "The first of the measures judges the claims and needs intervals: got measures="
                f"{list(self.measures)}, values_only={list(self.values_only)}. Put another one first."
            )


@dataclass(frozen=True, kw_only=True)
class EdgeProbe:
    """An edge probe: a task of the suite, with files for each split, or with a corpus folder as `data`."""

    task: str
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    data: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    """Seeds of the probes, whose scores are averaged. Default: `EdgeProbes.probe_seeds`."""

    @property
    def files(self) -> dict[str, str]:
        """The files or folders that are given, by split."""
        named = {"train": self.train, "dev": self.dev, "test": self.test, "data": self.data}
        return {name: source for name, source in named.items() if source is not None}


@dataclass(frozen=True, kw_only=True)
class EdgeProbes:
    """Edge probes of the base, of random weights, and of the models fine-tuned with these seeds."""

    probes: Mapping[str, EdgeProbe] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    probe_seeds: tuple[int, ...] = (0,)
    random_recipe: Mapping[str, Any] | None = field(default_factory=dict)
    """Further options of the recipe for random weights, whose probes learn slowly. Their mix of all layers is probed.
    null leaves this baseline out."""
    control: bool = False
    """Train all probes on the control task too, with random labels (Hewitt & Liang 2019): rows of their selectivity."""


@dataclass(frozen=True, kw_only=True)
class StructuralProbes:
    """Structural probes; `options` are arguments of `rs.probe_structural` (ranks, epochs, ...)."""

    name: str = "treebank"
    files: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Everything that the cells of the study depend on, except the model.

    Examples
    --------
    >>> from pyrepsim.studies.merchant2020 import load_scale
    >>> scale = load_scale("paper")
    >>> scale.model, len(scale.edge.probes)
    ('bert-base-uncased', 8)
    """

    name: str
    model: str | None = None
    """The encoder if none is given: a hub id, or ``demo`` for the model installed with the demo package."""
    unrelated: str | None = None
    """Another encoder with the same tokenizer, the lower baseline of similarity; ``demo`` as above."""
    synthetic: Mapping[str, int] | None = None
    """Sizes of the generated data (train, dev, test). None if the scale reads files or the hub."""
    tasks: Mapping[str, TaskData] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    equal_updates: int | None = None
    """Updates of a second fine-tuning on each task: tasks are compared after equal numbers of updates too."""
    corpora: Mapping[str, Corpus] = field(default_factory=dict)
    similarity: Similarity = Similarity()
    profiles: tuple[str, ...] = ()
    """Corpora on which the geometry of each layer is described."""
    attention: tuple[str, ...] = ()
    """Corpora on which attention is compared."""
    freezing: tuple[Sweep, ...] = ()
    """In a YAML file, one sweep or a list of sweeps of different tasks; so for the next three."""
    longer: tuple[Sweep, ...] = ()
    """Freezing again with more updates, which `recipe` gives for each task: was `freezing` trained long enough?"""
    truncation: tuple[Sweep, ...] = ()
    exit: tuple[Sweep, ...] = ()
    edge: EdgeProbes = EdgeProbes()
    structural: StructuralProbes | None = None

    def __post_init__(self) -> None:
        for name, corpus in self.corpora.items():
            if corpus.form not in ("training", "sentences") or (corpus.form == "training" and corpus.task is None):
                raise OptionError(
                    "The form of a corpus is 'sentences', or 'training' for a corpus with a task: "
                    f"{name} has {corpus.form!r}."
                )
            if corpus.like is not None and self.corpora.get(corpus.like, corpus).like is not None:
                raise OptionError(
                    f"'like' must name another corpus that has no 'like' itself: {name} has {corpus.like!r}."
                )
            for task, domain in corpus.domain.items():
                if task not in self.tasks or domain not in ("in", "out", None):
                    raise OptionError(f"domain maps tasks to in, out or null: {name} has {task}: {domain}.")
        for name in _SWEEPS:
            self._check_sweeps(name, getattr(self, name))
        for names in (self.similarity.rogue, self.profiles, self.attention):
            if unknown := set(names) - self.corpora.keys():
                raise OptionError(f"A corpus is one of {', '.join(self.corpora)}: got {', '.join(sorted(unknown))}.")

    def _check_sweeps(self, name: str, sweeps: Sequence[Sweep]) -> None:
        named = [task for sweep in sweeps for task in (self.tasks if sweep.tasks is None else sweep.tasks)]
        if wrong := [task for task in named if task not in self.tasks or named.count(task) > 1]:
            raise OptionError(f"The sweeps of {name} have different tasks of the scale: check {wrong[0]!r}.")
        for sweep in sweeps:
            for task in self.tasks if sweep.tasks is None else sweep.tasks:
                if name == "longer" and not sweep.recipe.get(task):
                    raise OptionError(
                        f"A training is longer by its recipe: longer has none for {task!r}. Give its epochs, as in "
                        f"recipe: {{{task}: {{epochs: 6}}}}."
                    )


def load_scale(scale: str | os.PathLike[str] | Scale) -> Scale:
    """Load a scale by its name (smoke, small, paper) or from a YAML file.

    Parameters
    ----------
    scale : str, path or Scale
        The name of a scale, a YAML file, or a scale, which is returned as it is.

    Returns
    -------
    Scale

    Raises
    ------
    OptionError
        If there is no such scale, or the file has keys or values that a scale does not have.

    Examples
    --------
    >>> from pyrepsim.studies.merchant2020 import load_scale
    >>> scale = load_scale("smoke")
    >>> scale.seeds, sorted(scale.tasks)
    ((0, 1), ['dependency', 'mnli', 'squad'])
    """
    if isinstance(scale, Scale):
        return scale
    given = as_path(scale, "A scale")
    shipped = {file.stem: file for file in Path(__file__).parent.glob("*.yaml")}
    path = shipped.get(str(given), given)
    try:
        data = read_regular(path, _MOST_BYTES) if path.suffix in (".yaml", ".yml") else None
    except OSError as error:
        raise OptionError(f"A scale must be a readable YAML file: {str(path)!r} is not ({error.strerror}).") from error
    if data is None:
        raise OptionError(f"A scale is one of {', '.join(sorted(shipped))}, or a YAML file: got {str(given)!r}.")
    import yaml

    try:
        content = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise OptionError(f"A scale is a YAML file: {path} cannot be read ({error}).") from error
    return build_scale({"name": path.stem, **content} if isinstance(content, dict) else content, str(path))


def build_scale(content: Any, source: str) -> Scale:
    """Build a scale from the content of a YAML file; `source` is its name in error messages."""
    return _build(Scale, content, source)


_SWEEPS = ("freezing", "longer", "truncation", "exit")
_NESTED: Mapping[str, Any] = {
    "similarity": Similarity,
    "edge": EdgeProbes,
    "structural": StructuralProbes,
}
_MAPPED: Mapping[str, Any] = {"tasks": TaskData, "corpora": Corpus, "probes": EdgeProbe}


def _build(kind: Any, content: Any, source: str) -> Any:
    if not isinstance(content, Mapping):
        raise OptionError(f"{source} maps names to values: got {content!r}.")
    known = {one.name: one for one in fields(kind)}
    if unknown := content.keys() - known.keys():
        raise OptionError(f"{source} has the keys {', '.join(known)}: got {', '.join(sorted(map(str, unknown)))}.")
    values = {}
    for name, value in content.items():
        inside = f"{source}: {name}"
        if name in _MAPPED and isinstance(value, Mapping):
            values[name] = {key: _build(_MAPPED[name], one, f"{inside}: {key}") for key, one in value.items()}
        elif name in _SWEEPS:
            sweeps = value if isinstance(value, list) else [] if value is None else [value]
            values[name] = tuple(_build(Sweep, sweep, inside) for sweep in sweeps)
        elif name in _NESTED and value is not None:
            values[name] = _build(_NESTED[name], value, inside)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(f"{source} is not complete: {error}.") from error
