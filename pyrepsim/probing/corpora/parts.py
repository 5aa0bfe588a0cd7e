"""Which files of a corpus are its training, development and test parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, TextError
from .reading import TASKS, read
from .records import Records

__all__ = ["Split", "splits"]

_NAMES = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One part of a corpus: a file or folder and, for SemEval, which share of the file."""

    path: Path
    part: str | None = None

    def read(self, task: str, **options: Any) -> Records:
        """`pyrepsim.probing.corpora.read` of this part."""
        return read(self.path, task, part=self.part, **options)


@dataclass(frozen=True)
class _Layout:
    """Patterns of the three parts, relative to the corpus folder."""

    name: str
    tasks: tuple[str, ...]
    patterns: tuple[str, str, str]
    parts: tuple[str | None, str | None, str | None] = (None, None, None)


def _each(pattern: str) -> tuple[str, str, str]:
    train, dev, test = (pattern.format(name) for name in _NAMES)
    return train, dev, test


_COLUMNS = ("pos", "constituents", "entities", "srl", "coref")
_LAYOUTS = (
    _Layout("Universal Dependencies", ("pos", "dependencies", "entities", "coref"), _each("*-ud-{}.conllu")),
    _Layout("PropBank over EWT", ("pos", "constituents", "srl"), _each("*-{}.gold_conll")),
    _Layout("GUM", ("pos", "dependencies", "entities"), _each("dep/{}")),
    _Layout("GUM", ("constituents",), _each("const/{}")),
    _Layout("GUM", ("coref",), _each("coref_ontogum/{}")),
    _Layout("UDS proto-roles", ("spr",), _each("*protoroles.{}.jsonl")),
    _Layout(
        "SemEval-2010 Task 8",
        ("relations",),
        ("TRAIN_FILE.TXT", "TRAIN_FILE.TXT", "TEST_FILE_FULL.TXT"),
        ("train", "dev", None),
    ),
    _Layout("WNUT-17", ("entities",), ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")),
    _Layout("OntoNotes 5 (CoNLL-2012)", _COLUMNS, ("train", "development", "conll-2012-test")),
    _Layout("OntoNotes 5 (CoNLL-2012)", _COLUMNS, ("train", "development", "test")),
    _Layout("JSONL", TASKS, _each("{}.jsonl")),
    _Layout("JSONL", TASKS, _each("{}.json")),
    _Layout("JSONL", TASKS, _each("edges.{}.json")),
)


def splits(folder: str | os.PathLike[str], task: str) -> dict[str, Split]:
    """The "train", "dev" and "test" parts of a corpus folder, by the names its files have where it is published.

    Known: Universal Dependencies, PropBank over EWT, GUM (folders ``dep``, ``const`` and ``coref_ontogum``, each with
    ``train``, ``dev`` and ``test`` after GUM's own splits), UDS proto-roles, SemEval-2010 Task 8 (development: 15 % of
    the training file), WNUT-17, OntoNotes 5 in CoNLL-2012 form, and ``train``, ``dev`` and ``test`` as JSONL.

    Raises
    ------
    OptionError
        For an unknown task.
    TextError
        If the folder has none of these layouts for this task. Read its files by name then.
    """
    if task not in TASKS:
        raise OptionError(f"A task of edge probing is one of {', '.join(TASKS)}: got {task!r}.")
    folder = Path(folder)
    for layout in _LAYOUTS:
        if task in layout.tasks and (found := _match(folder, layout)):
            return found
    known = dict.fromkeys(layout.name for layout in _LAYOUTS if task in layout.tasks)
    raise TextError(
        f"The parts of a corpus are told by the names of its files: {str(folder)!r} has none of the layouts for "
        f"{task!r} ({', '.join(known)}). Read its files one by one."
    )


def _match(folder: Path, layout: _Layout) -> dict[str, Split]:
    found = {}
    for name, pattern, part in zip(_NAMES, layout.patterns, layout.parts, strict=True):
        paths = sorted(folder.glob(pattern))
        if len(paths) != 1:
            return {}
        found[name] = Split(paths[0], part)
    return found
