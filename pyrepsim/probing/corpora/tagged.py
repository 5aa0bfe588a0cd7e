"""Entities in columns of BIO tags, as in WNUT-17: a word first, its tag last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ...data.records import numbered_lines
from .lines import Block, blocks
from .records import Record, record, target

__all__ = ["read_tagged"]


def read_tagged(path: Path, counts: Counter[str]) -> Iterator[Record]:
    for number, block in enumerate(blocks(numbered_lines(path), str(path), comments=False)):
        counts["sentences"] += 1
        info = {"source": "BIO", "where": block.where, "sentence": f"{path.name}/{number}"}
        yield record(block.column(0), _entities(block), **info)


def _entities(block: Block) -> list[Record]:
    spans: list[tuple[str, int, int]] = []
    before = "O"
    for word, tag in enumerate(block.column(-1)):
        place, _, label = tag.partition("-")
        if tag != "O" and (place not in ("B", "I") or not label):
            raise block.error(f"A tag is O, B-LABEL or I-LABEL: got {tag!r}. Correct it.", word)
        if place == "I":
            if before not in (f"B-{label}", tag):
                raise block.error(
                    f"{tag} goes on after B-{label} or {tag}: it stands after {before}. Start with B-.", word
                )
            spans[-1] = (label, spans[-1][1], word + 1)
        elif place == "B":
            spans.append((label, word, word + 1))
        before = tag
    return [target(label, (start, end)) for label, start, end in spans]
