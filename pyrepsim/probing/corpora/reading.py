"""`read`: records of one task from a corpus file or folder, whatever its format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, TextError
from ...data.records import numbered_lines
from .columns import CONLL_2012, PROPBANK, read_columns
from .formats import HOLDS, SUFFIXES, format_of
from .jsonl import read_jsonl
from .ontogum import read_ontogum
from .records import ONE_SPAN, TWO_SPANS, Record, Records, record
from .semeval import read_semeval
from .tagged import read_tagged
from .treebank import read_conllu
from .trees import bracketed, constituents, tagged

__all__ = ["TASKS", "read"]

TASKS = ONE_SPAN + TWO_SPANS
"""The tasks of edge probing: first those of one span, then those of two."""

# Option: the task and the format it is for, and its values.
_OPTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tags": ("pos", "CoNLL-U", ("xpos", "upos")),
    "empty_nodes": ("dependencies", "CoNLL-U", ("drop", "keep")),
    "part": ("relations", "SemEval", ("train", "dev")),
    "treebank": ("coref", "OntoGUM", ()),
}


def read(
    path: str | os.PathLike[str],
    task: str,
    *,
    tags: str | None = None,
    empty_nodes: str | None = None,
    part: str | None = None,
    treebank: str | os.PathLike[str] | None = None,
) -> Records:
    """The records of a corpus for one task, as an iterator that counts what it gives and leaves out.

    A record is ``{"text": words joined by one space, "targets": [{"span1": [start, end], "span2": [start, end],
    "label": str or list of str, "info": {}}], "info": {"source", "where", "sentence"}}``. Spans are half-open intervals
    of words; tasks of one span (pos, constituents, entities) have no ``span2``. Records without targets are left out.
    Formats and rules are in ``pyrepsim/tasks/spans/README.md``; they follow the edge-probing suite of Tenney et al.
    (2019), "What do you learn from context?".

    Parameters
    ----------
    path
        A file, or a folder whose files (at any depth, in order of their names) are one corpus.
    task
        One of `TASKS`: the annotation to read.
    tags
        CoNLL-U, task pos: "xpos" (None is that) or "upos".
    empty_nodes
        CoNLL-U, task dependencies: whether sentences with empty nodes ("8.1") are left out, "drop" (None is that),
        as in the paper, or read without these nodes, "keep".
    part
        SemEval-2010 Task 8: "train" or "dev" of the training file (85 and 15 %); None is the whole file.
    treebank
        OntoGUM: GUM's CoNLL-U file or folder. None is the folder ``dep`` beside the file's.

    Raises
    ------
    OptionError
        For an unknown task or option, or an option of another format.
    TextError
        If the file does not hold this annotation, or is at fault: with file and line. Faults further down are raised
        when the iterator gets there.
    """
    if task not in TASKS:
        raise OptionError(f"A task of edge probing is one of {', '.join(TASKS)}: got {task!r}.")
    options = {"tags": tags, "empty_nodes": empty_nodes, "part": part, "treebank": treebank}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        owner, kind, domain = _OPTIONS[name]
        if domain and value not in domain:
            raise OptionError(f"{name} is one of {', '.join(domain)}: got {value!r}.")
        if task != owner:
            raise OptionError(f"{name}= is for {owner} of {kind}: the task is {task!r}. Leave it out.")
    files = _files(Path(path))
    kinds = {file: _format(file, task, given) for file in files}
    counts: Counter[str] = Counter()
    return Records(task, (found for file in files for found in _read(file, kinds[file], task, counts, given)), counts)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise TextError(f"A corpus is a file or a folder of files: {str(path)!r} is not there. Check the path.")
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
    if not found:
        raise TextError(f"A corpus folder has files in {', '.join(SUFFIXES)}: {str(path)!r} has none. Give a file.")
    if len({file.suffix for file in found}) > 1:
        kinds = ", ".join(sorted({file.suffix for file in found}))
        raise TextError(
            f"The files of a corpus folder are of one kind: {str(path)!r} has {kinds}. Give a smaller folder."
        )
    return found


def _format(file: Path, task: str, given: dict[str, Any]) -> str:
    kind = format_of(file)
    if task not in HOLDS[kind]:
        raise TextError(f"{file} holds {', '.join(HOLDS[kind])} ({kind}): not {task!r}. Name one of these tasks.")
    for name in given:
        if not kind.startswith(_OPTIONS[name][1]):
            raise OptionError(f"{name}= is for {_OPTIONS[name][1]}: {file} is {kind}. Leave it out.")
    return kind


def _read(file: Path, kind: str, task: str, counts: Counter[str], given: dict[str, Any]) -> Iterator[Record]:
    if kind.startswith("CoNLL-U"):
        return read_conllu(file, task, counts, **given)
    if kind == "CoNLL-2012":
        return read_columns(file, task, CONLL_2012, counts)
    if kind == "PropBank":
        return read_columns(file, task, PROPBANK, counts)
    if kind == "OntoGUM":
        treebank = given.get("treebank")
        return read_ontogum(file, counts, treebank=None if treebank is None else Path(treebank))
    if kind == "trees":
        return _read_trees(file, task, counts)
    if kind == "BIO":
        return read_tagged(file, counts)
    if kind == "SemEval":
        return read_semeval(file, counts, **given)
    return read_jsonl(file, counts)


def _read_trees(file: Path, task: str, counts: Counter[str]) -> Iterator[Record]:
    for number, tree in enumerate(bracketed(numbered_lines(file), str(file))):
        counts["sentences"] += 1
        targets = tagged(tree.tags) if task == "pos" else constituents(tree.nodes)
        info = {"source": "trees", "where": tree.where, "sentence": f"{file.name}/{number}"}
        yield record(tree.words, targets, **info)
