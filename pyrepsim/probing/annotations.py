"""Read the annotated sentences of a probing: its train, dev and test splits, from files or from a corpus folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from ..core.errors import OptionError, TextError
from ..core.paths import as_path
from ..data.conllu import Sentence, read_conllu
from . import corpora
from .edge.records import probe_texts

__all__ = ["STRUCTURAL", "AnnotatedSplit", "read_splits", "read_text_lines"]

STRUCTURAL = "structural"
"""The name that stands for a task where dependency trees are read instead of spans."""

Source = str | os.PathLike[str] | None

_READING_OPTIONS = ("tags", "empty_nodes", "treebank")


@dataclass(frozen=True, eq=False)
class AnnotatedSplit:
    """One split of the data.

    Attributes
    ----------
    items : records of spans, or sentences with trees.
    texts : what the model reads: each text once, as a string, or each sentence as a list of words.
    n_targets : number of targets of the records, or of words of the trees.
    counts : counts that the reader made, including those of what it left out.
    digest : xxh3-128 over texts and targets.
    """

    items: Sequence[Any]
    texts: Sequence[Any]
    n_targets: int
    counts: Mapping[str, int]
    digest: str


def read_splits(
    task: str,
    *,
    train: Source = None,
    dev: Source = None,
    test: Source = None,
    data: Source = None,
    reading: Mapping[str, Any] | None = None,
    texts: Source = None,
) -> dict[str, AnnotatedSplit]:
    """Return the splits "train", "dev" and, if there is one, "test".

    Parameters
    ----------
    task : str
        A task of `pyrepsim.probing.corpora.TASKS`, or "structural".
    train, dev, test : path, optional
        A file or folder each.
    data : path, optional
        Instead: a corpus folder, with files under their published names (`pyrepsim.probing.corpora.splits`).
    reading : mapping, optional
        Options of `pyrepsim.probing.corpora.read`, such as ``{"tags": "upos"}``.
    texts : path, optional
        A file of texts, one per line, in UTF-8: what the model reads for every split, instead of its own texts. So
        probings of several tasks share one store. It must have the texts of all splits.

    Raises
    ------
    OptionError
        If a split is missing or given twice, or `reading` has an unknown option.
    TextError
        If a file is not in a format that can be read, or `texts` lacks a text of a split.
    """
    files: dict[str, Source] = {"train": train, "dev": dev, "test": test}
    given = [name for name, source in files.items() if source is not None]
    if data is not None and given:
        raise OptionError(
            f"Data are given as one corpus folder or split by split: got both, data and {', '.join(given)}."
        )
    if data is None and (train is None or dev is None):
        missing = [name for name in ("train", "dev") if files[name] is None]
        raise OptionError(
            f"A probe needs data to train (train) and to validate (dev): got no {' and no '.join(missing)}. Give both."
        )
    if task == STRUCTURAL:
        paths = files if data is None else {n: split.path for n, split in corpora.splits(data, "dependencies").items()}
        return {name: _read_trees(path) for name, path in paths.items() if path is not None}
    options = dict(reading or {})
    for name in options:
        if name not in _READING_OPTIONS:
            raise OptionError(
                f"reading has options of probing.corpora.read, {', '.join(_READING_OPTIONS)}: got {name!r}."
            )
    if data is not None:
        readers = {name: split.read(task, **options) for name, split in corpora.splits(data, task).items()}
    else:
        readers = {name: corpora.read(path, task, **options) for name, path in files.items() if path is not None}
    found = {name: _read_spans(reader) for name, reader in readers.items()}
    return found if texts is None else _with_texts(found, texts)


def read_text_lines(source: str | os.PathLike[str]) -> list[str]:
    """Read a file of texts in UTF-8, one per line; TextError if it cannot be read."""
    path = as_path(source, "texts", error=TextError)
    try:
        return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise TextError(
            f"texts must be a file of texts in UTF-8, one per line: {str(path)!r} is not ({error}). Check the path."
        ) from error


def _with_texts(splits: Mapping[str, AnnotatedSplit], source: str | os.PathLike[str]) -> dict[str, AnnotatedSplit]:
    texts = read_text_lines(source)
    held = set(texts)
    for name, split in splits.items():
        if missing := [text for text in split.texts if text not in held]:
            raise TextError(
                f"texts must have all texts of the splits: {os.fspath(source)} lacks {len(missing)} of {name}, such as "
                f"{missing[0][:60]!r}. Add them."
            )
    return {name: replace(split, texts=texts) for name, split in splits.items()}


def _read_spans(reader: corpora.Records) -> AnnotatedSplit:
    records = list(reader)
    digest = xxhash.xxh3_128()
    for record in records:
        targets = [(target["span1"], target.get("span2"), target["label"]) for target in record["targets"]]
        digest.update(repr((record["text"], targets)).encode())
    n_targets = sum(len(record["targets"]) for record in records)
    return AnnotatedSplit(records, probe_texts(records), n_targets, dict(reader.counts), digest.hexdigest())


def _read_trees(source: str | os.PathLike[str]) -> AnnotatedSplit:
    folder = as_path(source, "A source", error=TextError)
    files = sorted(folder.rglob("*.conllu")) if folder.is_dir() else [source]
    if not files:
        raise OptionError(f"Trees are read from CoNLL-U: {str(folder)!r} has no file that ends in .conllu. Give one.")
    sentences: list[Sentence] = [sentence for file in files for sentence in read_conllu(file)]
    digest = xxhash.xxh3_128()
    for sentence in sentences:
        digest.update(repr((sentence.words, sentence.heads, sentence.xpos)).encode())
    n_words = sum(len(sentence.words) for sentence in sentences)
    counts = {"sentences": len(sentences), "tokens": n_words}
    texts = [list(sentence.words) for sentence in sentences]
    return AnnotatedSplit(sentences, texts, n_words, counts, digest.hexdigest())
