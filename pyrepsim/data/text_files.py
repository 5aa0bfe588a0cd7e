"""Readers of the text formats that `read_texts` knows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, TextError
from .documents import Corpus, Document, document_from
from .hub import load_split

TEXT_FIELDS = ("text", "sentence")
WORD_FIELDS = ("words", "tokens")

_LOOKED_AT = 100  # records to see where the text is
_JSONL = (".jsonl", ".ndjson")
_CONLLU = (".conllu",)
_OTHERS = (".json", ".csv", ".tsv", ".parquet", ".conll", ".gz", ".zip")


def read_file(path: Path, field: str | None) -> Corpus:
    """Documents of a file, by its suffix: JSONL, CoNLL-U, or else one document per line."""
    suffix = path.suffix.lower()
    if field is not None and suffix not in _JSONL:
        raise TextError(f"field= names a field of JSONL records or a column: {str(path)!r} has none. Leave it out.")
    if suffix in _OTHERS:
        raise TextError(
            f"Text files are plain text, JSONL or CoNLL-U: {str(path)!r} ends in {suffix}. Load it with "
            "`datasets.load_dataset` and give that, or convert it to JSONL."
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            if suffix in _JSONL:
                documents = tuple(_from_records(_json_lines(file, path), field, str(path)))
            elif suffix in _CONLLU:
                documents = tuple(_conllu_sentences(file, path))
            else:
                documents = tuple(
                    Document(f"line {number}", line.strip()) for number, line in enumerate(file, 1) if line.strip()
                )
    except UnicodeDecodeError as error:
        raise TextError(
            f"Text files must be UTF-8: {str(path)!r} is not (byte {error.start}). Convert it, e.g. with iconv."
        ) from error
    return Corpus(documents, path.name)


def _json_lines(file: Iterable[str], path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise TextError(
                    f"Each line of a JSONL file must be one JSON record: {str(path)!r} line {number} is not ({error})."
                ) from error


def _from_records(records: Iterable[tuple[str, Any]], field: str | None, source: str) -> Iterator[Document]:
    records, n_read = iter(records), 0
    rest = (other for _, other in records)  # read only to say where the text might be
    for key, record in records:
        if isinstance(record, dict):
            if field is None:
                field = _find_field(list(record), chain([record], rest), source)
            if field not in record:
                remedy = "Remove the records without it."
                if n_read == 0:
                    remedy = _suggestion(list(record), chain([record], rest))
                raise TextError(
                    f"Every record of {source} must have the field {field!r}: {key} has {', '.join(record)}. {remedy}"
                )
            record, n_read = record[field], n_read + 1
        yield document_from(key, record)


def _find_field(names: Sequence[str], records: Iterable[Any], source: str) -> str:
    for name in (*TEXT_FIELDS, *WORD_FIELDS):
        if name in names:
            return name
    raise TextError(
        f"The text must be in a field named {', '.join(TEXT_FIELDS + WORD_FIELDS)}: {source} has "
        f"{', '.join(names)}. {_suggestion(names, records)}"
    )


def _suggestion(names: Sequence[str], records: Iterable[Any]) -> str:
    """The remedy for a field that is not there: the one with the longest strings, parse trees and markup aside."""
    sizes: Counter[str] = Counter()
    for record in islice(records, _LOOKED_AT):
        for name, item in record.items() if isinstance(record, dict) else ():
            if isinstance(item, str) and not item.startswith(("(", "[", "{", "<")):
                sizes[name] += len(item)
    name = sizes.most_common(1)[0][0] if sizes else next(iter(names), "...")
    return f"Name it: read_texts(source, field={name!r}), or --field {name} on the command line."


def _conllu_sentences(file: Any, path: Path) -> Iterator[Document]:
    """One document per sentence. Words are the syntactic words, without multiword ranges and empty nodes."""
    try:
        import conllu
        from conllu.exceptions import ParseException
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path.name} needs the conllu package, which is not installed. Install it with `pip install "
            "pyrepsim[torch]` or `pip install conllu`."
        ) from error
    try:
        for number, sentence in enumerate(conllu.parse_incr(file), 1):
            key = sentence.metadata.get("sent_id", f"sentence {number}")
            if any("misc" not in word for word in sentence):
                raise TextError(f"{str(path)!r} must be CoNLL-U: {key!r} has lines of fewer than ten columns.")
            yield Document.from_words(key, [word["form"] for word in sentence if isinstance(word["id"], int)])
    except ParseException as error:
        raise TextError(f"{str(path)!r} must be CoNLL-U: {error}. Check the file's columns.") from error


def read_dataset(dataset: Any, field: str | None, source: str) -> Corpus:
    """Documents of one split of a `datasets` data set, streamed or not."""
    names = dataset.column_names
    if isinstance(names, dict) or hasattr(dataset, "keys"):
        raise TextError(
            f"Texts are one split of a data set: got the splits {', '.join(dataset)}. Choose one: dataset['train']."
        )
    if names is None:  # a stream that does not say
        names = list(next(iter(dataset), {}))
    if field is None:
        field = _find_field(names, dataset, source)
    elif field not in names:
        raise TextError(
            f"field={field!r} must be a column of {source}: it has {', '.join(names)}. {_suggestion(names, dataset)}"
        )
    column = dataset.select_columns(field)
    return Corpus(tuple(document_from(str(i), row[field]) for i, row in enumerate(column)), source)


def load_hub_dataset(name: str, field: str | None, config: str | None, split: str | None) -> Corpus:
    """Load `name` from the hub (or its cache) and read one split."""
    dataset = load_split(
        name,
        config,
        split,
        check="Check the name, config= (--subset) and split= (--split), or the connection.",
        choose="Use read_texts({name!r}, split={split!r}), or --split on the command line.",
    )
    return read_dataset(dataset, field, name)
