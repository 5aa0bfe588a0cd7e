"""The texts of a source, each with the document it comes from: texts of one document are not independent.

The document is the article: of a treebank (``# newdoc``, or what precedes the number in ``sent_id``), of SQuAD (its
title) or of WikiText (its heading). Pairs that share their first text are of one document (the premises of MNLI).
Otherwise each text is a document, or in a folder each file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Text", "documents_of", "plain_texts", "texts_of"]

_HEADING = re.compile(r"= [^=].*[^=] =")
_SUFFIXES = (".conllu", ".txt", ".jsonl")


class Text(NamedTuple):
    """A text, and the name of its document."""

    text: str
    document: str


def texts_of(example: Any) -> list[str]:
    """Return the texts of an example of any task."""
    for names in (("first", "second"), ("context", "question")):
        if hasattr(example, names[0]):
            return [text for name in names if (text := getattr(example, name)) is not None]
    return [example.text if getattr(example, "text", None) else " ".join(example.words)]


def documents_of(examples: Sequence[Any]) -> list[str]:
    """Return the document of each example of a task."""
    if hasattr(examples[0], "lines"):
        return [*_of_treebank(examples)]
    return [_of_example(example, place) for place, example in enumerate(examples)]


def plain_texts(source: str) -> list[Text]:
    """Return the texts of a file, of a folder of files, or of ``hub:owner/name:config:split``."""
    path = Path(source)
    if source.startswith("hub:") or not path.is_dir():
        return [*_read(source)]
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
    return [one._replace(document=f"{file.stem}: {one.document}") for file in files for one in _in_folder(file)]


def _in_folder(file: Path) -> Iterator[Text]:
    """The texts of one of several files: without documents of their own, all are of the same one."""
    texts = [*_read(str(file))]
    own = len({one.document for one in texts}) < len(texts)
    return (one if own else one._replace(document="") for one in texts)


def _read(source: str) -> Iterator[Text]:
    from ...data import read_texts
    from ...data.conllu import read_conllu

    if source.endswith(".conllu") or "universal_dependencies" in source:
        sentences = read_conllu(source)
        return (Text(texts_of(one)[0], name) for one, name in zip(sentences, documents_of(sentences), strict=True))
    if source.startswith("hub:"):
        name, config, split = (*source.removeprefix("hub:").split(":"), None, None)[:3]
        corpus = read_texts(name, config=config, split=split)
    else:
        corpus = read_texts(Path(source))
    return _under_headings(document.text for document in corpus)


def _under_headings(texts: Iterable[str]) -> Iterator[Text]:
    """The texts without headings; the document is the heading before, or the text itself if there is none."""
    heading = None
    for place, text in enumerate(texts):
        if _HEADING.fullmatch(text.strip()):
            heading = f"{place} {text.strip()}"
        elif not text.lstrip().startswith("="):
            yield Text(text, str(place) if heading is None else heading)


def _of_treebank(sentences: Sequence[Any]) -> Iterator[str]:
    document = None
    for place, sentence in enumerate(sentences):
        named = [line for line in sentence.lines if re.match(r"#\s*newdoc\b", line)]
        if named:
            document = f"{place} {named[-1].partition('=')[2].strip()}".strip()
        stem, _, number = sentence.sent_id.rpartition("-")
        yield document or (stem if number.isdecimal() else str(place))


def _of_example(example: Any, place: int) -> str:
    if getattr(example, "second", None) is not None:
        return example.first
    return getattr(example, "title", "") or str(place)
