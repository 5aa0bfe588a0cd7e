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

from ..errors import TextError
from .documents import Corpus, document_from
from .text_files import load_hub_dataset, read_dataset, read_file

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
    if isinstance(source, Corpus):
        corpus = source
    elif isinstance(source, (str, os.PathLike)):
        corpus = _read_named(os.fspath(source), field, config, split, is_path=isinstance(source, os.PathLike))
    elif hasattr(source, "column_names"):
        corpus = read_dataset(source, field, "a datasets.Dataset")
    elif isinstance(source, Iterable) and not isinstance(source, (bytes, dict)):
        corpus = Corpus(tuple(document_from(str(i), item) for i, item in enumerate(source)), "a list")
    else:
        raise TextError(
            "Texts must be a list of strings, a list of word lists, a file, or a data set: got "
            f"{type(source).__name__}."
        )
    if not corpus.documents:
        raise TextError(
            f"There must be at least one document: {corpus.source} holds none. Check the source and its format."
        )
    return corpus


def _read_named(name: str, field: str | None, config: str | None, split: str | None, *, is_path: bool) -> Corpus:
    path = Path(os.path.expanduser(name))  # os.path knows no error for names that no file can have
    if name and os.path.isfile(path):
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
