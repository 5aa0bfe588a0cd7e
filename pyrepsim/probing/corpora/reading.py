"""`read`: the records of one task from a corpus file or folder in any supported format."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, TextError
from ...core.paths import as_path
from ...data.columns import split_columns
from ...data.lines import BLANKS, JSONL_SUFFIXES, numbered_lines
from .columns import CONLL_2012, PROPBANK, read_columns, read_entity_tags
from .records import ONE_SPAN, TWO_SPANS, Record, Records, read_jsonl
from .semeval import read_semeval
from .treebank import read_conllu, read_ontogum, read_trees

__all__ = ["TASKS", "read"]

TASKS = ONE_SPAN + TWO_SPANS
"""The tasks of edge probing: first those with one span, then those with two."""

_TASKS_OF = {  # by format
    "CoNLL-U": ("pos", "dependencies"),
    "CoNLL-U with Entity=": ("pos", "dependencies", "entities", "coref"),
    "CoNLL-2012": CONLL_2012.tasks,
    "PropBank": PROPBANK.tasks,
    "OntoGUM": ("coref",),
    "trees": ("pos", "constituents"),
    "BIO": ("entities",),
    "SemEval": ("relations",),
    "UDS": ("spr",),
    "JSONL": TASKS,
}
_SUFFIXES = (".conllu", ".conll", ".gold_conll", ".v4_gold_conll", ".ptb", ".mrg", ".parse", *JSONL_SUFFIXES)

# Option: its task, its format, and its values.
_OPTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "tags": ("pos", "CoNLL-U", ("xpos", "upos")),
    "empty_nodes": ("dependencies", "CoNLL-U", ("drop", "keep")),
    "part": ("relations", "SemEval", ("train", "dev")),
    "treebank": ("coref", "OntoGUM", ()),
}

_N_INSPECTED = 2000  # lines that show the format; the comments of a document may be long
_ENTITY_TAG = re.compile(r"O|[BIES]-\S+", re.ASCII)
_SEMEVAL = re.compile(r'\d+\s+"', re.ASCII)
_N_ONTOGUM_COLUMNS = 3


def read(
    path: str | os.PathLike[str],
    task: str,
    *,
    tags: str | None = None,
    empty_nodes: str | None = None,
    part: str | None = None,
    treebank: str | os.PathLike[str] | None = None,
) -> Records:
    r"""Read the records of a corpus for one task of edge probing.

    A record is ``{"text": words joined by one space, "targets": [{"span1": [start, end], "span2": [start, end],
    "label": str or list of str, "info": {}}], "info": {"source", "where", "sentence"}}``, with "document" in its info
    where the corpus says it. Spans are half-open intervals of words; tasks with one span (pos, constituents, entities)
    have no ``span2``. Formats and rules, which follow the edge-probing suite of Tenney et al. (2019), are in
    ``docs/corpora.md``.

    Parameters
    ----------
    path : str or path
        A file, or a folder whose files (at any depth, in the order of their names) are one corpus.
    task : str
        One of `TASKS`: the annotation to read.
    tags : {"xpos", "upos"}, optional
        For CoNLL-U and task pos; by default "xpos".
    empty_nodes : {"drop", "keep"}, optional
        For CoNLL-U and task dependencies: leave out sentences with empty nodes ("8.1"), the default, as in the paper,
        or read them without these nodes.
    part : {"train", "dev"}, optional
        For SemEval-2010 Task 8: 85 or 15 % of the training file; by default the whole file.
    treebank : str or path, optional
        For OntoGUM: GUM's CoNLL-U file or folder; by default a folder ``dep`` beside the file's folders.

    Returns
    -------
    Records
        An iterator over records. It counts what it yields and leaves out; records without targets are left out.

    Raises
    ------
    OptionError
        If a task or option is unknown, or an option belongs to another format.
    TextError
        If the file does not hold this annotation or is invalid, with file and line. Errors in later lines are raised
        when the iterator reaches them.

    Examples
    --------
    >>> with open("relations.txt", "w") as file:
    ...     _ = file.write('1\t"The <e1>audit</e1> was about <e2>waste</e2>."\nMessage-Topic(e1,e2)\nComment:\n')
    >>> records = read("relations.txt", "relations")
    >>> (record,) = records
    >>> record["text"], record["targets"][0]["span1"], record["targets"][0]["label"]
    ('The audit was about waste.', [1, 2], 'Message-Topic(e1,e2)')
    >>> records.counts["targets"]
    1
    """
    if task not in TASKS:
        raise OptionError(f"A task of edge probing must be one of {', '.join(TASKS)}: got {task!r}.")
    options = {"tags": tags, "empty_nodes": empty_nodes, "part": part, "treebank": treebank}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        option_task, option_format, values = _OPTIONS[name]
        if values and value not in values:
            raise OptionError(f"{name} must be one of {', '.join(values)}: got {value!r}.")
        if task != option_task:
            raise OptionError(f"{name}= is for {option_task} of {option_format}: the task is {task!r}. Leave it out.")
    formats = {file: _checked_format(file, task, given) for file in _files(as_path(path, "A corpus", error=TextError))}
    counts: Counter[str] = Counter()
    documents = len(formats) > 1  # each file of bracketed trees is a document then
    records = (
        record
        for file, name in formats.items()
        for record in _read(file, name, task, counts, given, {"document": file.stem} if documents else {})
    )
    return Records(task, records, counts)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise TextError(f"A corpus must be a file or a folder of files: {str(path)!r} does not exist. Check the path.")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in _SUFFIXES)
    if not files:
        raise TextError(
            f"A corpus folder must have files in {', '.join(_SUFFIXES)}: {str(path)!r} has none. Give a file."
        )
    if len({file.suffix for file in files}) > 1:
        suffixes = ", ".join(sorted({file.suffix for file in files}))
        raise TextError(
            f"The files of a corpus folder must have one format: {str(path)!r} has {suffixes}. Give a smaller folder."
        )
    return files


def _checked_format(file: Path, task: str, given: dict[str, Any]) -> str:
    name = _format(file)
    if task not in _TASKS_OF[name]:
        raise TextError(f"{file} holds {', '.join(_TASKS_OF[name])} ({name}): not {task!r}. Choose one of these tasks.")
    for option in given:
        if not name.startswith(_OPTIONS[option][1]):
            raise OptionError(f"{option}= is for {_OPTIONS[option][1]}: {file} is {name}. Leave it out.")
    return name


def _format(file: Path) -> str:
    """Recognise the format by the suffix and the first lines. TextError if it is not supported."""
    lines = [line for _, line in islice(numbered_lines(file), _N_INSPECTED)]
    first = next((line for line in lines if line.strip(BLANKS)), None)
    if first is None:
        raise TextError(f"{file}: A corpus must have at least one sentence: this file is empty. Give another.")
    suffix = file.suffix.lower()
    if suffix in JSONL_SUFFIXES or first.startswith("{"):
        return "UDS" if '"uds_id"' in first else "JSONL"
    if suffix == ".conllu":
        annotated = any(line.startswith("# global.Entity") or "Entity=" in line for line in lines)
        return "CoNLL-U with Entity=" if annotated else "CoNLL-U"
    if first.lstrip(BLANKS).startswith("(") and "\t" not in first:
        return "trees"
    if _SEMEVAL.match(first):
        return "SemEval"
    name = _column_format(lines)
    if name is None:
        raise TextError(
            f"{file}: A corpus must have one of the formats {', '.join(_TASKS_OF)}: this file starts with "
            f"{first[:60]!r}. Convert it to JSONL (docs/corpora.md)."
        )
    return name


def _column_format(lines: list[str]) -> str | None:
    """Recognise a format with one word per line by its comments and the columns of the first word."""
    begins = any(line.replace(" ", "").startswith("#begindocument") for line in lines)
    rows = (split_columns(line) for line in lines if line.strip(BLANKS) and not line.startswith(("#begin", "# ")))
    row = next(rows, [])
    if begins:
        return "OntoGUM" if len(row) <= _N_ONTOGUM_COLUMNS else "CoNLL-2012"
    if len(row) >= PROPBANK.before and row[1].isascii() and row[1].isdigit() and row[2] == "0":
        return "PropBank"
    return "BIO" if len(row) > 1 and _ENTITY_TAG.fullmatch(row[-1]) else None


def _read(
    file: Path, name: str, task: str, counts: Counter[str], given: dict[str, Any], info: dict[str, str]
) -> Iterator[Record]:
    """Read a file of the format `name`; records of bracketed trees have this `info` too."""
    if name.startswith("CoNLL-U"):
        return read_conllu(file, task, counts, **given)
    if name in ("CoNLL-2012", "PropBank"):
        return read_columns(file, task, CONLL_2012 if name == "CoNLL-2012" else PROPBANK, counts)
    if name == "OntoGUM":
        treebank = given.get("treebank")
        return read_ontogum(
            file, counts, treebank=None if treebank is None else as_path(treebank, "treebank", error=TextError)
        )
    if name == "trees":
        return read_trees(file, task, counts, **info)
    if name == "BIO":
        return read_entity_tags(file, counts)
    if name == "SemEval":
        return read_semeval(file, counts, **given)
    return read_jsonl(file, counts)
