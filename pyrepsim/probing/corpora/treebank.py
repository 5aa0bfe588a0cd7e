"""CoNLL-U: tags and dependencies; entities and coreference where ``Entity=`` annotates them (GUM, CorefUD)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.errors import TextError
from ...data.conllu import Sentence, parse_conllu
from ...data.records import numbered_lines
from .brackets import mentions
from .records import Record, coref_pairs, record, target

__all__ = ["read_conllu", "sentences"]

_FIELDS = "GRP-etype"
_IDENTITY = ("GRP", "eid")


def sentences(path: Path) -> Iterator[Sentence]:
    return parse_conllu(numbered_lines(path), str(path))


def read_conllu(
    path: Path, task: str, counts: Counter[str], *, tags: str = "xpos", empty_nodes: str = "drop"
) -> Iterator[Record]:
    """One record a sentence. `tags`: "xpos" or "upos". `empty_nodes`: whether dependencies of such sentences count."""
    fields = _FIELDS
    for sentence in sentences(path):
        counts["sentences"] += 1
        if task == "pos":
            targets = _tags(sentence, tags)
        elif task == "dependencies":
            if sentence.empty_nodes and empty_nodes == "drop":
                counts["with empty nodes"] += 1
                continue
            targets = _arcs(sentence)
        else:
            fields = _declared(sentence) or fields
            targets = _entities(sentence, fields.split("-"), task, counts)
        info = {"source": "CoNLL-U", "where": sentence.where, "sentence": sentence.sent_id or sentence.where}
        yield record(sentence.words, targets, **info)


def _tags(sentence: Sentence, tags: str) -> list[Record]:
    column = sentence.xpos if tags == "xpos" else sentence.upos
    if "_" in column:
        other = "upos" if tags == "xpos" else "xpos"
        raise TextError(
            f"{sentence.where}: Every word has a tag: word {column.index('_') + 1} has no {tags}. Read tags={other!r}, "
            "or annotate it."
        )
    return [target(tag, (i, i + 1)) for i, tag in enumerate(column)]


def _arcs(sentence: Sentence) -> list[Record]:
    """Span 1 is the word, span 2 its head; the root is its own head."""
    targets = []
    for i, (head, relation) in enumerate(zip(sentence.heads, sentence.relations, strict=True)):
        other = head - 1 if head else i
        targets.append(target(relation, (i, i + 1), (other, other + 1)))
    return targets


def _declared(sentence: Sentence) -> str | None:
    """The order of fields in ``Entity=``, which a document declares once."""
    for line in sentence.lines:
        if line.startswith("# global.Entity"):
            return line.partition("=")[2].strip()
    return None


def _entities(sentence: Sentence, fields: list[str], task: str, counts: Counter[str]) -> list[Record]:
    first_line = int(sentence.where.rpartition(":")[2])
    rows = [(i, line.split("\t")) for i, line in enumerate(sentence.lines) if not line.startswith("#")]
    words = [(i, columns[9]) for i, columns in rows if columns[0].isdigit()]

    def fail(message: str, word: int) -> TextError:
        file = sentence.where.rpartition(":")[0]
        return TextError(
            f"{file}:{first_line + words[word][0] - words[0][0]}: {message} Sentence: {sentence.sent_id or 'unnamed'}."
        )

    found = []
    for start, end, content in mentions([_entity_cell(misc) for _, misc in words], fail):
        values = dict(zip(fields, content.split("-"), strict=False))
        identity = next((values[name] for name in _IDENTITY if name in values), None)
        if identity is None or (task == "entities" and not values.get("etype")):
            raise fail(
                f"Entity= holds {'-'.join(fields)}: got {content!r}. Correct it, or the line # global.Entity.", start
            )
        if "[" in identity:  # a part of a mention in several pieces, which has no one span
            counts["parts of discontinuous mentions"] += 1
        else:
            found.append((start, end, identity, values.get("etype", "")))
    counts["mentions"] += len(found)
    if task == "coref":
        return coref_pairs((start, end, identity) for start, end, identity, _ in found)
    return [target(kind, (start, end)) for start, end, _, kind in _by_position(found)]


def _by_position(found: Iterable[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Left to right, outer before inner."""
    return sorted(found, key=lambda mention: (mention[0], -mention[1]))


def _entity_cell(misc: str) -> str:
    for part in misc.split("|"):
        if part.startswith("Entity="):
            return part.removeprefix("Entity=")
    return "_"
