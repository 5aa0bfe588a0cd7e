"""Column formats: CoNLL-2012 (OntoNotes 5), PropBank over EWT, and entities as tags of words (WNUT-17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...data.brackets import flat_spans, mentions
from ...data.columns import ColumnBlock, column_blocks
from ...data.entity_tags import as_iob2, entities
from ...data.lines import numbered_lines
from ...data.phrase_trees import parse_bits
from ...data.tagged import read_tagged_columns
from .records import Record, coref_pairs, record, target
from .treebank import constituents, tagged

__all__ = ["CONLL_2012", "PROPBANK", "read_columns", "read_entity_tags"]

_NUMBER, _WORD, _TAG, _BIT, _LEMMA, _ROLESET = 2, 3, 4, 5, 6, 7
_WITHHELD = ("[WORD]", "_")


@dataclass(frozen=True)
class Layout:
    """Number of columns before and after the columns of the predicates, and the index of the column of entities."""

    name: str
    before: int
    after: int
    entities: int | None
    tasks: tuple[str, ...]


CONLL_2012 = Layout("CoNLL-2012", 11, 1, 10, ("pos", "constituents", "entities", "srl", "coref"))
PROPBANK = Layout("PropBank", 8, 0, None, ("pos", "constituents", "srl"))


def read_columns(path: Path, task: str, layout: Layout, counts: Counter[str]) -> Iterator[Record]:
    """Yield one record per sentence or, for task srl, per predicate."""
    for number, block in enumerate(column_blocks(numbered_lines(path), str(path), comments=True)):
        counts["sentences"] += 1
        _check(block, layout)
        words = block.column(_WORD)
        info = {"source": layout.name, "where": block.where, "sentence": _name(block, layout, number)}
        info["document"] = block.rows[0][0]
        if task == "srl":
            for targets, frame in _frames(block, layout, counts):
                yield record(words, targets, **info, **frame)
            continue
        if task == "pos":
            targets = tagged(block.column(_TAG))
        elif task == "constituents":
            targets = constituents(parse_bits(block.column(_BIT), block.error))
        elif task == "entities":
            spans = flat_spans(block.column(layout.entities or 0), block.error)
            targets = [target(label, (start, end)) for label, start, end in spans]
        else:
            targets = coref_pairs(mentions(block.column(-1), block.error))
        yield record(words, targets, **info)


def _check(block: ColumnBlock, layout: Layout) -> None:
    """Check the numbers of words, columns and predicates, and that the words are not withheld."""
    n_columns = len(block.rows[0])
    least = layout.before + layout.after
    if n_columns < least:
        raise block.error(
            f"{layout.name} must have {layout.before} columns, one more per "
            f"predicate{', and coreference' * layout.after}: got {n_columns}. Check the separators."
        )
    for i, number in enumerate(block.column(_NUMBER)):
        if number != str(i):
            raise block.error(
                f"Words must be numbered 0, 1, 2, ... in column 3: got {number!r} for {i}. Correct it.", i
            )
    if layout is PROPBANK:
        n_predicates = sum(roleset != "-" for roleset in block.column(_ROLESET))
        if n_columns != least + n_predicates:
            raise block.error(
                f"PropBank must have 8 columns and one more per predicate: got {n_columns} with {n_predicates} "
                "rolesets in column 8. Correct the sentence."
            )
    words = block.column(_WORD)
    if all(word == words[0] for word in words) and words[0] in _WITHHELD and len(words) > 1:
        raise block.error(
            f"The words must be in the file: this file withholds them ({words[0]}). Add them from the treebank with "
            "the tool that comes with the corpus."
        )


def _name(block: ColumnBlock, layout: Layout, number: int) -> str:
    """Return the name in the comments, or else document, part or (PropBank) sentence, and number in the file."""
    document, part = block.rows[0][:2]
    name = f"{document}/{part}" if layout is PROPBANK else f"{document}/{part}/{number}"
    return block.comment("sent_id") or name


def _frames(block: ColumnBlock, layout: Layout, counts: Counter[str]) -> Iterator[tuple[list[Record], dict[str, str]]]:
    """Yield the targets (V, argument) of each predicate and its lemma. Of several V, the last is the predicate."""
    predicates = [i for i, roleset in enumerate(block.column(_ROLESET)) if roleset != "-"]
    for index, column in enumerate(range(layout.before, len(block.rows[0]) - layout.after)):
        spans = flat_spans(block.column(column), block.error)
        verbs = [(start, end) for label, start, end in spans if label == "V"]
        arguments = [(label, (start, end)) for label, start, end in spans if label != "V"]
        counts["frames"] += 1
        if len(verbs) > 1:
            counts["frames with several V"] += 1
        if arguments and not verbs:
            raise block.error(
                f"A frame must have a predicate V: column {column + 1} has only arguments. Add it, or remove the "
                "column."
            )
        targets = [target(label, verbs[-1], span) for label, span in arguments]
        word = predicates[index] if layout is PROPBANK else verbs[-1][0] if verbs else 0
        yield targets, {"lemma": block.rows[word][_LEMMA], "roleset": block.rows[word][_ROLESET]}


def read_entity_tags(path: Path, counts: Counter[str]) -> Iterator[Record]:
    """Yield the entities of a file with one word per line, the word first and its tag (IOB1, IOB2 or BIOES) last."""
    for number, sentence in enumerate(as_iob2(read_tagged_columns(path, word=0, tag=-1))):
        counts["sentences"] += 1
        targets = [target(kind, (start, end)) for start, end, kind in entities(sentence.tags)]
        yield record(sentence.words, targets, source="BIO", where=sentence.where, sentence=f"{path.name}/{number}")
