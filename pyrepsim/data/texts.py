"""`read_texts`: documents from lists, plain files, JSON lines, CoNLL-U and data sets.

A document is what enters the model together: one string of a list, one line of a plain file, one record, one CoNLL-U
sentence. Words, where the source has them, are joined by single spaces, and their character spans are kept. So every
tokenizer gets running text, and each word can be located by its span.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .conllu import parse_conllu
from .documents import Corpus, Document, document_from
from .hub import load_split
from .lines import json_lines, numbered_lines

__all__ = ["read_texts"]

_TEXT_FIELDS = ("text", "sentence")
_WORD_FIELDS = ("words", "tokens")
_CHAT_FIELDS = ("messages",)
_PAIR_FIELDS = {"text": "text_pair"}
_JSONL = (".jsonl", ".ndjson")
_OTHER_FORMATS = (".json", ".csv", ".tsv", ".parquet", ".conll", ".gz", ".zip")
_SUFFIX = re.compile(r"\.\w{1,8}")
_ASCII_WHITESPACE = " \t\n\r\f\v"
_N_SAMPLED = 100  # records that are read to suggest a field


def read_texts(
    source: Any,
    *,
    field: str | Sequence[str] | None = None,
    config: str | None = None,
    split: str | None = None,
) -> Corpus:
    r"""Read documents from a list, a file or a data set.

    Parameters
    ----------
    source : sequence, path, `datasets.Dataset`, str or Corpus
        A sequence of strings, of pairs of texts (tuples of two strings), of lists of words, or of chats (lists of
        messages, dicts with "role" and "content", of which the chat template of the model's tokenizer makes the text);
        the path of a ``.jsonl``, ``.conllu`` or plain text file (one document per line, blank lines skipped); a
        `datasets.Dataset`; the hub id of a data set; or a `Corpus`.
    field : str or (str, str), optional
        Field of JSONL records or column of a data set that holds the text: a string or a list of words; or two of them,
        such as ``("premise", "hypothesis")``, for pairs. By default the first that exists of "text" (with "text_pair"
        if it exists), "sentence", "words", "tokens" and "messages".
    config, split : str, optional
        Configuration and split of a data set that is named by its hub id.

    Returns
    -------
    Corpus
        A sequence of documents, each with `text` and, if the source has words, `words`: their (start, end) characters.

    Raises
    ------
    TextError
        If nothing can be read, or a document is not text.
    MissingExtraError
        If a data set needs the package datasets, which is not installed.

    Examples
    --------
    >>> from pyrepsim import read_texts
    >>> corpus = read_texts(["The keys are here.", ["Two", "words"]])
    >>> len(corpus), corpus[1].text, corpus[1].words
    (2, 'Two words', ((0, 3), (4, 9)))

    >>> with open("texts.jsonl", "w") as file:
    ...     _ = file.write('{"text": "A river."}' + "\n" + '{"text": "A bank."}' + "\n")
    >>> [document.text for document in read_texts("texts.jsonl")]
    ['A river.', 'A bank.']
    """
    _refuse_tables(source)
    fields = _checked_fields(field)
    named = isinstance(source, (str, os.PathLike))
    if not named and (config, split) != (None, None):
        raise TextError(
            f"config= and split= choose from a data set of the hub: got them with {type(source).__name__}. Leave "
            "both out."
        )
    if not named and field is not None and not hasattr(source, "column_names"):
        raise TextError(
            f"field= names a field of JSONL records or a column of a data set: {type(source).__name__} has none. Leave "
            "field out."
        )
    if isinstance(source, Corpus):
        corpus = source
    elif named:
        corpus = _read_named(os.fspath(source), fields, config, split, is_path=isinstance(source, os.PathLike))
    elif hasattr(source, "column_names"):
        corpus = _read_dataset(source, fields, "a datasets.Dataset")
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, dict)):
        corpus = Corpus(tuple(document_from(str(i), item) for i, item in enumerate(source)), "a list")
    else:
        raise TextError(
            "Texts must be a list of strings, a list of word lists, a file, or a data set: got "
            f"{'None' if source is None else type(source).__name__}. Give a list: [text, ...]."
        )
    if not corpus.documents:
        raise TextError(
            f"There must be at least one document: {corpus.source} holds none. Check the source and its format."
        )
    return corpus


Fields = tuple[str, ...]
"""The field of the text, or of both texts of pairs; none if it is to be found."""


def _checked_fields(field: Any) -> Fields:
    names = () if field is None else (field,) if isinstance(field, str) else field
    right = isinstance(names, tuple | list) and all(isinstance(name, str) for name in names)
    if not right or len(names) not in ((0,) if field is None else (1, 2)):
        raise TextError(f"field= names one field, or two for pairs of texts: got {field!r}. Give a string or two.")
    return tuple(names)


def _refuse_tables(source: Any) -> None:
    """Refuse what can be iterated over but is not a list of texts: tables, arrays of two axes, sets."""
    if hasattr(source, "columns"):
        names = [str(name) for name in getattr(source, "column_names", source.columns)]
        name = next((name for name in (*_TEXT_FIELDS, *names) if name in names), _TEXT_FIELDS[0])
        raise TextError(
            f"Texts must be one column of a table: got a {type(source).__name__} with the columns "
            f"{', '.join(names) or 'none'}. Give one as a list: df[{name!r}].tolist()."
        )
    if getattr(source, "ndim", 1) != 1:
        raise TextError(
            f"An array of texts must have one axis: got {type(source).__name__} of shape {tuple(source.shape)}. Give "
            "one column as a list, such as texts[:, 0].tolist()."
        )
    if isinstance(source, (set, frozenset)):
        raise TextError(
            f"Texts must have an order, because the rows of a store follow it: a {type(source).__name__} has none. "
            "Give a list: sorted(texts)."
        )


def _read_named(name: str, fields: Fields, config: str | None, split: str | None, *, is_path: bool) -> Corpus:
    path = Path(os.path.expanduser(name))  # os.path raises no error for names that no file can have
    if name and os.path.isfile(path):
        if (config, split) != (None, None):
            raise TextError(
                f"config= (--subset) and split= (--split) choose from a data set of the hub: {name!r} is a file. Leave "
                "both out."
            )
        return _read_file(path, fields)
    if name and os.path.isdir(path):
        raise TextError(f"Texts must be in a file: {name!r} is a folder. Give one of the files in it.")
    if is_path or _SUFFIX.fullmatch(path.suffix) or name.startswith((".", "/", "~")):
        raise TextError(f"The text file must exist: {name!r} does not (working directory {str(Path.cwd())!r}).")
    if not name.strip() or any(character.isspace() for character in name):
        raise TextError(
            f"Texts must be a list of strings, a file or a data set: got the one string {name[:40]!r}. For a single "
            "text give a list: [text]."
        )
    dataset = load_split(
        name,
        config,
        split,
        check="Check the name, config= (--subset) and split= (--split), or the connection.",
        choose="Use read_texts({name!r}, split={split!r}), or --split on the command line.",
    )
    return _read_dataset(dataset, fields, name)


def _read_file(path: Path, fields: Fields) -> Corpus:
    """Read JSONL and CoNLL-U by the suffix; other files have one document per line."""
    suffix = path.suffix.lower()
    if fields and suffix not in _JSONL:
        raise TextError(
            f"field= names a field of JSONL records or a column of a data set: {str(path)!r} has none. Leave it out."
        )
    if suffix in _OTHER_FORMATS:
        raise TextError(
            f"Text files must be plain text, JSONL or CoNLL-U: {str(path)!r} ends in {suffix}. Load it with "
            "`datasets.load_dataset` and give that, or convert it to JSONL."
        )
    if suffix in _JSONL:
        records = ((f"line {number}", record) for number, record in json_lines(path))
        documents = tuple(_from_records(records, fields, str(path)))
    elif suffix == ".conllu":
        sentences = enumerate(parse_conllu(numbered_lines(path), str(path), trees=False), 1)
        documents = tuple(Document.from_words(s.sent_id or f"sentence {number}", s.words) for number, s in sentences)
    else:
        lines = ((number, line.strip(_ASCII_WHITESPACE)) for number, line in numbered_lines(path))
        documents = tuple(Document(f"line {number}", line) for number, line in lines if line.strip())
    return Corpus(documents, path.name)


def _from_records(records: Iterable[tuple[str, Any]], fields: Fields, source: str) -> Iterator[Document]:
    records, n_read = iter(records), 0
    others = (other for _, other in records)  # consumed only to suggest a field in an error
    for key, record in records:
        if isinstance(record, dict):
            fields = fields or _find_fields(list(record), chain([record], others), source)
            for field in (name for name in fields if name not in record):
                remedy = "Remove the records without it."
                if n_read == 0:
                    remedy = _suggestion(list(record), chain([record], others))
                raise TextError(
                    f"Every record of {source} must have the field {field!r}: {key} has {', '.join(record)}. {remedy}"
                )
            record, n_read = _of_fields(record, fields), n_read + 1
        yield document_from(key, record)


def _of_fields(record: Any, fields: Fields) -> Any:
    return record[fields[0]] if len(fields) == 1 else tuple(record[name] for name in fields)


def _read_dataset(dataset: Any, fields: Fields, source: str) -> Corpus:
    """Read one split of a `datasets` data set, streamed or not."""
    names = dataset.column_names
    if isinstance(names, dict) or hasattr(dataset, "keys"):
        raise TextError(
            f"Texts must be one split of a data set: got the splits {', '.join(dataset)}. Choose one: dataset['train']."
        )
    if names is None:  # a stream without known columns
        names = list(next(iter(dataset), {}))
    fields = fields or _find_fields(names, dataset, source)
    for field in (name for name in fields if name not in names):
        raise TextError(
            f"field={field!r} must be a column of {source}: it has {', '.join(names)}. {_suggestion(names, dataset)}"
        )
    columns = dataset.select_columns(list(fields))
    return Corpus(tuple(document_from(str(i), _of_fields(row, fields)) for i, row in enumerate(columns)), source)


def _find_fields(names: Sequence[str], records: Iterable[Any], source: str) -> Fields:
    for name in (*_TEXT_FIELDS, *_WORD_FIELDS, *_CHAT_FIELDS):
        if name in names:
            return (name, _PAIR_FIELDS[name]) if _PAIR_FIELDS.get(name) in names else (name,)
    raise TextError(
        f"The text must be in a field named {', '.join(_TEXT_FIELDS + _WORD_FIELDS)}: {source} has "
        f"{', '.join(names)}. {_suggestion(names, records)}"
    )


def _suggestion(names: Sequence[str], records: Iterable[Any]) -> str:
    """Suggest the field with the longest strings in the first records, parse trees and markup aside."""
    sizes: Counter[str] = Counter()
    for record in islice(records, _N_SAMPLED):
        for name, item in record.items() if isinstance(record, dict) else ():
            if isinstance(item, str) and not item.startswith(("(", "[", "{", "<")):
                sizes[name] += len(item)
    name = sizes.most_common(1)[0][0] if sizes else next(iter(names), "...")
    return f"Name it: read_texts(source, field={name!r}), or --field {name} on the command line."
