"""The annotated sentences of a probing: training, development and test parts, from files or a corpus folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from ...core.errors import OptionError
from ...data.conllu import Sentence, read_conllu
from .. import corpora as spans
from ..edge import probe_texts

__all__ = ["STRUCTURAL", "Part", "read_parts"]

STRUCTURAL = "structural"
"""What stands for a task where trees are read, not spans."""

Source = str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the data.

    Attributes
    ----------
    items : records of spans, or sentences with trees.
    texts : what the model reads: each text once, as a string, or each sentence as a list of words.
    n_targets : targets of the records, or words of the trees.
    counts : what the reader says of it, with all that it left out.
    digest : xxh3-128 over texts and targets.
    """

    items: Sequence[Any]
    texts: Sequence[Any]
    n_targets: int
    counts: Mapping[str, int]
    digest: str


def read_parts(
    task: str,
    *,
    train: Source = None,
    dev: Source = None,
    test: Source = None,
    data: Source = None,
    reading: Mapping[str, Any] | None = None,
) -> dict[str, Part]:
    """The parts "train", "dev" and, if there is one, "test".

    They are `train`, `dev` and `test`, each a file or folder, or those of the corpus folder `data`, by the names that
    its files have where it is published (`pyrepsim.probing.corpora.splits`). `reading` has the options of
    `pyrepsim.probing.corpora.read`, such as ``{"tags": "upos"}``.

    Raises OptionError if parts are missing or given twice, TextError for files at fault.
    """
    files: dict[str, Source] = {"train": train, "dev": dev, "test": test}
    given = [name for name, source in files.items() if source is not None]
    if data is not None and given:
        raise OptionError(f"Data are a corpus folder, or its parts one by one: got both, data and {', '.join(given)}.")
    if data is None and (train is None or dev is None):
        missing = [name for name in ("train", "dev") if files[name] is None]
        raise OptionError(
            f"A probing trains on train and validates on dev: {' and '.join(missing)} missing. Give both."
        )
    if task == STRUCTURAL:
        paths = files if data is None else {n: part.path for n, part in spans.splits(data, "dependencies").items()}
        return {name: _trees(path) for name, path in paths.items() if path is not None}
    options = dict(reading or {})
    _check_reading(options)
    if data is not None:
        readers = {name: part.read(task, **options) for name, part in spans.splits(data, task).items()}
    else:
        readers = {name: spans.read(path, task, **options) for name, path in files.items() if path is not None}
    return {name: _spans(reader) for name, reader in readers.items()}


def _check_reading(options: Mapping[str, Any]) -> None:
    known = ("tags", "empty_nodes", "treebank")
    for name in options:
        if name not in known:
            raise OptionError(f"reading has options of spans.read, {', '.join(known)}: got {name!r}.")


def _spans(reader: spans.Records) -> Part:
    records = list(reader)
    digest = xxhash.xxh3_128()
    for record in records:
        told = [(one["span1"], one.get("span2"), one["label"]) for one in record["targets"]]
        digest.update(repr((record["text"], told)).encode())
    n_targets = sum(len(record["targets"]) for record in records)
    return Part(records, probe_texts(records), n_targets, dict(reader.counts), digest.hexdigest())


def _trees(source: str | os.PathLike[str]) -> Part:
    folder = Path(source)
    files = sorted(folder.rglob("*.conllu")) if folder.is_dir() else [source]
    if not files:
        raise OptionError(f"Trees are read from CoNLL-U: {str(folder)!r} has no file that ends in .conllu. Give one.")
    sentences: list[Sentence] = [sentence for file in files for sentence in read_conllu(file)]
    digest = xxhash.xxh3_128()
    for sentence in sentences:
        digest.update(repr((sentence.words, sentence.heads, sentence.xpos)).encode())
    n_words = sum(len(sentence.words) for sentence in sentences)
    counts = {"sentences": len(sentences), "tokens": n_words}
    return Part(sentences, [list(sentence.words) for sentence in sentences], n_words, counts, digest.hexdigest())
