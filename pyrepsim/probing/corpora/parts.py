"""The training, development and test parts of a corpus folder, by the names of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, TextError
from ...core.paths import as_path
from .reading import TASKS, read
from .records import Records

__all__ = ["Split", "splits"]

_NAMES = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One part of a corpus.

    Attributes
    ----------
    path : Path
        A file or folder.
    part : str, optional
        For SemEval-2010 Task 8, "train" or "dev" of the training file.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("dev.jsonl").write_text('{"text": "a b", "targets": [{"span1": [0, 1], "label": "X"}]}')
    >>> next(Split(Path("dev.jsonl")).read("pos"))["text"]
    'a b'
    """

    path: Path
    part: str | None = None

    def read(self, task: str, **options: Any) -> Records:
        """Read this part with `pyrepsim.probing.corpora.read`."""
        return read(self.path, task, part=self.part, **options)


@dataclass(frozen=True)
class _Layout:
    """Patterns of the three parts, relative to the folder of the corpus."""

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
    """Return the "train", "dev" and "test" parts of a corpus folder, by the published names of its files.

    Supported are Universal Dependencies, PropBank over EWT, GUM (folders ``dep``, ``const`` and ``coref_ontogum``, each
    with ``train``, ``dev`` and ``test`` after GUM's own splits), UDS proto-roles, SemEval-2010 Task 8 (15 % of the
    training file for development), WNUT-17, OntoNotes 5 in CoNLL-2012 form, and ``train``, ``dev``, ``test`` as JSONL.

    Parameters
    ----------
    folder : str or path
    task : str
        One of `TASKS`.

    Returns
    -------
    dict of str to Split

    Raises
    ------
    OptionError
        If the task is unknown.
    TextError
        If the folder has none of these layouts for this task. Read its files one by one then.

    Examples
    --------
    >>> from pathlib import Path
    >>> for name in ("train", "dev", "test"):
    ...     _ = Path(f"{name}.jsonl").write_text('{"text": "a b", "targets": [{"span1": [0, 1], "label": "X"}]}')
    >>> parts = splits(".", "pos")
    >>> list(parts), len(list(parts["dev"].read("pos")))
    (['train', 'dev', 'test'], 1)
    """
    if task not in TASKS:
        raise OptionError(f"A task of edge probing must be one of {', '.join(TASKS)}: got {task!r}.")
    folder = as_path(folder, "A corpus", error=TextError)
    for layout in _LAYOUTS:
        if task in layout.tasks and (parts := _match(folder, layout)):
            return parts
    known = dict.fromkeys(layout.name for layout in _LAYOUTS if task in layout.tasks)
    raise TextError(
        f"The parts of a corpus are recognised by file names: {str(folder)!r} has none of the layouts for {task!r} "
        f"({', '.join(known)}). Read its files one by one."
    )


def _match(folder: Path, layout: _Layout) -> dict[str, Split]:
    splits_by_name = {}
    for name, pattern, part in zip(_NAMES, layout.patterns, layout.parts, strict=True):
        paths = sorted(folder.glob(pattern))
        if len(paths) != 1:
            return {}
        splits_by_name[name] = Split(paths[0], part)
    return splits_by_name
