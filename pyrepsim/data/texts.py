"""Texts in, documents out: lists, plain files, JSONL, CoNLL-U and `datasets`, each read into one `Corpus`.

A document is what enters the model together: one string of the list, one line of a plain file, one record,
one CoNLL-U sentence. Words, where the source gives them, are joined by single spaces and remembered as
character spans, so that every tokenizer meets running text and words are found again by offsets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .documents import Corpus, document_from
from .text_files import TEXT_FIELDS, load_hub_dataset, read_dataset, read_file

_FIELD_RULE = "field= names a field of JSONL records or a column of a data set"
_SUFFIX = re.compile(r"\.\w{1,8}")


def read_texts(source: Any, *, field: str | None = None, config: str | None = None, split: str | None = None) -> Corpus:
    """Read documents from whatever holds them.

    Parameters
    ----------
    source
        A sequence of strings, or of lists of words; the path of a ``.jsonl``, ``.conllu`` or plain text file
        (one document per line, blank lines skipped); a `datasets.Dataset`; the hub id of a data set; or a
        `Corpus`.
    field : str, optional
        Field of a JSONL record or column of a data set: a string, or a list of words. Default: the first
        there is of "text", "sentence", "words", "tokens".
    config, split : str, optional
        Configuration and split of a data set named by hub id.

    Raises
    ------
    TextError
        If nothing can be read, or a document is not text.
    """
    _refuse_lookalikes(source)
    named = isinstance(source, (str, os.PathLike))
    if not named and (config, split) != (None, None):
        raise TextError(
            f"config= and split= choose from a data set of the hub: got {type(source).__name__} beside them. Leave "
            "both out."
        )
    if not named and field is not None and not hasattr(source, "column_names"):
        raise TextError(f"{_FIELD_RULE}: got {type(source).__name__}, which has none. Leave field out.")
    if isinstance(source, Corpus):
        corpus = source
    elif named:
        corpus = _read_named(os.fspath(source), field, config, split, is_path=isinstance(source, os.PathLike))
    elif hasattr(source, "column_names"):
        corpus = read_dataset(source, field, "a datasets.Dataset")
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


def _refuse_lookalikes(source: Any) -> None:
    """Refuse what can be iterated over, but not as texts in their order: tables, grids of values, sets."""
    if hasattr(source, "columns"):
        names = [str(name) for name in getattr(source, "column_names", source.columns)]
        name = next((name for name in (*TEXT_FIELDS, *names) if name in names), TEXT_FIELDS[0])
        raise TextError(
            f"Texts must be one column of a table: got a {type(source).__name__} with the columns "
            f"{', '.join(names) or 'none'}. Give one as a list: df[{name!r}].tolist()."
        )
    if getattr(source, "ndim", 1) != 1:
        raise TextError(
            f"Texts must stand in one row: got {type(source).__name__} of shape {tuple(source.shape)}. Give one "
            "column as a list, such as texts[:, 0].tolist()."
        )
    if isinstance(source, (set, frozenset)):
        raise TextError(
            f"Texts must have an order, which the rows of a store follow: a {type(source).__name__} has none. Give a "
            "list: sorted(texts)."
        )


def _read_named(name: str, field: str | None, config: str | None, split: str | None, *, is_path: bool) -> Corpus:
    path = Path(os.path.expanduser(name))  # os.path knows no error for names that no file can have
    if name and os.path.isfile(path):
        if (config, split) != (None, None):
            raise TextError(
                f"config= (--subset) and split= (--split) choose from a data set of the hub: {name!r} is a file here. "
                "Leave both out."
            )
        return read_file(path, field)
    if name and os.path.isdir(path):
        raise TextError(f"Texts come from a file: {name!r} is a folder. Give one of the files in it.")
    if is_path or _SUFFIX.fullmatch(path.suffix) or name.startswith((".", "/", "~")):
        raise TextError(f"The text file must exist: {name!r} does not (working directory {str(Path.cwd())!r}).")
    if not name.strip() or any(character.isspace() for character in name):
        raise TextError(
            f"Texts are a list of strings, a file or a data set: got the one string {name[:40]!r}. For a single "
            "text give a list: [text]."
        )
    return load_hub_dataset(name, field, config, split)
