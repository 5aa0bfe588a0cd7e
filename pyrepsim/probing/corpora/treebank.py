"""Treebanks: CoNLL-U with ``Entity=`` (GUM, CorefUD), OntoGUM's coreference, and phrase-structure trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.errors import TextError
from ...data.brackets import mentions
from ...data.columns import ColumnBlock, column_blocks
from ...data.conllu import Sentence, parse_conllu
from ...data.lines import BLANKS, numbered_lines
from ...data.phrase_trees import Node, parse_bracketed, strip_label
from .records import Record, coref_pairs, record, target

__all__ = ["constituents", "read_conllu", "read_ontogum", "read_trees", "tagged"]

_DEFAULT_FIELDS = "GRP-etype"
_ENTITY_ID = ("GRP", "eid")
_N_ONTOGUM_COLUMNS = 3


def read_conllu(
    path: Path, task: str, counts: Counter[str], *, tags: str = "xpos", empty_nodes: str = "drop"
) -> Iterator[Record]:
    """Yield one record per sentence.

    `tags` is "xpos" or "upos". With `empty_nodes` "drop", dependencies of sentences with empty nodes are left out.
    """
    fields = _DEFAULT_FIELDS
    for sentence in _sentences(path):
        counts["sentences"] += 1
        if task == "pos":
            targets = _tags(sentence, tags)
        elif task == "dependencies":
            if sentence.empty_nodes and empty_nodes == "drop":
                counts["with empty nodes"] += 1
                continue
            targets = _arcs(sentence)
        else:
            fields = _declared_fields(sentence) or fields
            targets = _entities(sentence, fields.split("-"), task, counts)
        info = {"source": "CoNLL-U", "where": sentence.where, "sentence": sentence.sent_id or sentence.where}
        if sentence.document:
            info["document"] = sentence.document
        yield record(sentence.words, targets, **info)


def _sentences(path: Path) -> Iterator[Sentence]:
    return parse_conllu(numbered_lines(path), str(path))


def _tags(sentence: Sentence, tags: str) -> list[Record]:
    column = sentence.xpos if tags == "xpos" else sentence.upos
    if "_" in column:
        other = "upos" if tags == "xpos" else "xpos"
        raise TextError(
            f"{sentence.where}: Every word must have a tag: word {column.index('_') + 1} has no {tags}. Read "
            f"tags={other!r}, or annotate it."
        )
    return [target(tag, (i, i + 1)) for i, tag in enumerate(column)]


def _arcs(sentence: Sentence) -> list[Record]:
    """Make targets with span 1 the word and span 2 its head; the root is its own head."""
    targets = []
    for i, (head, relation) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
        j = head - 1 if head else i
        targets.append(target(relation, (i, i + 1), (j, j + 1)))
    return targets


def _declared_fields(sentence: Sentence) -> str | None:
    """Return the order of the fields of ``Entity=``, which the first sentence of a document declares."""
    for line in sentence.lines:
        if line.startswith("# global.Entity"):
            return line.partition("=")[2].strip(BLANKS)
    return None


def _entities(sentence: Sentence, fields: list[str], task: str, counts: Counter[str]) -> list[Record]:
    file = sentence.where.rpartition(":")[0]

    def fail(message: str, word: int) -> TextError:
        return TextError(f"{file}:{sentence.numbers[word]}: {message} Sentence: {sentence.sent_id or 'unnamed'}.")

    kept: list[tuple[int, int, str, str]] = []
    for start, end, content in mentions([_entity_cell(misc) for misc in sentence.misc], fail):
        values = dict(zip(fields, content.split("-"), strict=False))
        entity = next((values[name] for name in _ENTITY_ID if name in values), None)
        if entity is None or (task == "entities" and not values.get("etype")):
            raise fail(
                f"Entity= must hold {'-'.join(fields)}: got {content!r}. Correct it, or the line # global.Entity.",
                start,
            )
        if "[" in entity:  # part of a discontinuous mention, which is not one span
            counts["parts of discontinuous mentions"] += 1
        else:
            kept.append((start, end, entity, values.get("etype", "")))
    counts["mentions"] += len(kept)
    if task == "coref":
        return coref_pairs((start, end, entity) for start, end, entity, _ in kept)
    return [target(kind, (start, end)) for start, end, _, kind in _by_position(kept)]


def _by_position(spans: Iterable[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Sort from left to right, outer before inner."""
    return sorted(spans, key=lambda span: (span[0], -span[1]))


def _entity_cell(misc: str) -> str:
    for part in misc.split("|"):
        if part.startswith("Entity="):
            return part.removeprefix("Entity=")
    return "_"


def read_ontogum(path: Path, counts: Counter[str], *, treebank: Path | None = None) -> Iterator[Record]:
    """Yield pairs of mentions within a sentence of OntoGUM: coreference in GUM by the rules of OntoNotes.

    OntoGUM files have no sentence boundaries; those of GUM's CoNLL-U file are taken. `treebank` is the CoNLL-U file of
    the document, or its folder.
    """
    block = _document(path)
    conllu = _treebank_of(path, treebank)
    start = 0
    for sentence in _sentences(conllu):
        counts["sentences"] += 1
        stop = start + len(sentence.words)
        rows = block.rows[start:stop]
        _check_words(block, start, [row[1] for row in rows], sentence)
        part = ColumnBlock(block.file, rows, block.numbers[start:stop])
        spans = mentions([row[2] for row in rows], part.error)
        counts["mentions"] += len(spans)
        info = {"source": "OntoGUM", "where": part.where, "sentence": sentence.sent_id or sentence.where}
        info["document"] = sentence.document or path.stem
        yield record(sentence.words, coref_pairs(spans), **info)
        start = stop
    if start != len(block.rows):
        raise TextError(
            f"{path}: A document must have the words of its treebank: it has {len(block.rows)} words, but {start} in "
            f"{conllu}. Give treebank= the files of the same release."
        )


def _document(path: Path) -> ColumnBlock:
    lines = ((number, line) for number, line in numbered_lines(path) if line.strip(BLANKS))
    blocks = list(column_blocks(lines, str(path), comments=True))
    if len(blocks) != 1 or len(blocks[0].rows[0]) != _N_ONTOGUM_COLUMNS:
        raise TextError(f"{path}: OntoGUM must have three columns, number, word and mentions. Check the file.")
    return blocks[0]


def _check_words(block: ColumnBlock, start: int, words: list[str], sentence: Sentence) -> None:
    """Check for equal words. Where the document has an empty word (for a ``|``), the word of the treebank is taken."""
    for i, expected in enumerate(sentence.words):
        if i >= len(words) or words[i] not in ("", expected):
            raise block.error(
                f"A document must have the words of its treebank: {words[i] if i < len(words) else 'its end'!r} for "
                f"{expected!r} of {sentence.where}. Give treebank= the files of the same release.",
                min(start + i, len(block.rows) - 1),
            )


def _treebank_of(path: Path, treebank: Path | None) -> Path:
    """Find ``NAME.conllu`` in `treebank`, or in a folder ``dep`` of any parent folder of `path`."""
    name = f"{path.stem}.conllu"
    if treebank is not None and treebank.is_file():
        return treebank
    folders = [treebank] if treebank is not None else [parent / "dep" for parent in path.resolve().parents]
    for folder in folders:
        files = sorted(folder.rglob(name)) if folder.is_dir() else []
        if files:
            return files[0]
    raise TextError(
        f"{path}: OntoGUM files have no sentence boundaries; they are read from {name}, which is not under "
        f"{treebank or 'a folder dep/ beside them'}. Give treebank=, GUM's folder dep/."
    )


def read_trees(file: Path, task: str, counts: Counter[str], **info: str) -> Iterator[Record]:
    """Yield one record per tree of a bracketed file, for the task pos or constituents; all have this `info` too."""
    for number, tree in enumerate(parse_bracketed(numbered_lines(file), str(file))):
        counts["sentences"] += 1
        targets = tagged(tree.tags) if task == "pos" else constituents(tree.nodes)
        yield record(tree.words, targets, source="trees", where=tree.where, sentence=f"{file.name}/{number}", **info)


def constituents(nodes: Iterable[Node]) -> list[Record]:
    """Make one target per non-terminal, with function tags in ``info``. Non-terminals over traces only are left out."""
    targets = []
    for node in nodes:
        label, functions = strip_label(node.label)
        if node.start < node.end:
            targets.append(target(label, (node.start, node.end), height=node.height, functions=functions))
    return targets


def tagged(tags: Iterable[str]) -> list[Record]:
    """Make one target per tag."""
    return [target(strip_label(tag)[0], (i, i + 1)) for i, tag in enumerate(tags)]
