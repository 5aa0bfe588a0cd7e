"""OntoGUM: coreference in GUM after OntoNotes' rules. Its files have no sentences: the treebank's are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import TextError
from ...data.records import numbered_lines
from .brackets import mentions
from .lines import Block, blocks
from .records import Record, coref_pairs, record
from .treebank import sentences

__all__ = ["read_ontogum"]

_N_COLUMNS = 3


def read_ontogum(path: Path, counts: Counter[str], *, treebank: Path | None = None) -> Iterator[Record]:
    """Pairs of mentions within a sentence. `treebank`: the document's CoNLL-U file, or the folder it lies in."""
    block = _document(path)
    conllu = _treebank_of(path, treebank)
    start = 0
    for sentence in sentences(conllu):
        counts["sentences"] += 1
        stop = start + len(sentence.words)
        rows = block.rows[start:stop]
        _check_words(block, start, tuple(row[1] for row in rows), sentence.words, sentence.where)
        part = Block(block.file, rows, block.numbers[start:stop], ())
        found = mentions([row[2] for row in rows], part.error)
        counts["mentions"] += len(found)
        info = {"source": "OntoGUM", "where": part.where, "sentence": sentence.sent_id or sentence.where}
        yield record(sentence.words, coref_pairs(found), **info)
        start = stop
    if start != len(block.rows):
        raise TextError(
            f"{path}: A document has the words of its treebank: {len(block.rows)} words, but {start} in {conllu}. Give "
            "treebank= the files of the same release."
        )


def _document(path: Path) -> Block:
    lines = ((number, line) for number, line in numbered_lines(path) if line.strip())
    found = list(blocks(lines, str(path), comments=True))
    if len(found) != 1 or len(found[0].rows[0]) != _N_COLUMNS:
        raise TextError(f"{path}: OntoGUM has three columns, number, word and mentions: this file does not. Check it.")
    return found[0]


def _check_words(block: Block, start: int, got: tuple[str, ...], due: tuple[str, ...], where: str) -> None:
    """Equal words; where the document leaves a word out (a ``|``), the treebank's stands."""
    for i, word in enumerate(due):
        if i >= len(got) or got[i] not in ("", word):
            raise block.error(
                f"A document has the words of its treebank: {got[i] if i < len(got) else 'its end'!r} for {word!r} of "
                f"{where}. Give treebank= the files of the same release.",
                min(start + i, len(block.rows) - 1),
            )


def _treebank_of(path: Path, treebank: Path | None) -> Path:
    """``dep/.../NAME.conllu`` beside the folder that `path` is in, at any height."""
    name = f"{path.stem}.conllu"
    if treebank is not None and treebank.is_file():
        return treebank
    folders = [treebank] if treebank is not None else [parent / "dep" for parent in path.resolve().parents]
    for folder in folders:
        found = sorted(folder.rglob(name)) if folder.is_dir() else []
        if found:
            return found[0]
    raise TextError(
        f"{path}: OntoGUM files have no sentences: they are taken from {name}, which is not under "
        f"{treebank or 'a folder dep/ beside them'}. Give treebank=, GUM's folder dep/."
    )
