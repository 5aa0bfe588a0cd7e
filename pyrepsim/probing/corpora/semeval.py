"""SemEval-2010 Task 8: the relation between two marked nominals, from the original text files."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import TextError
from ...data.lines import BLANKS, numbered_lines
from .records import Record, record, target

__all__ = ["DEV_FRAC", "SPLIT_SEED", "read_semeval"]

DEV_FRAC = 0.15
SPLIT_SEED = 42

_SENTENCE = re.compile(r'(\d+)\s+"(.*)"\s*', re.ASCII)
_LABEL = re.compile(r"Other|[A-Z][A-Za-z]*-[A-Z][A-Za-z]*\(e[12],e[12]\)")
_MARK = re.compile(r"</?e[12]>")


def read_semeval(path: Path, counts: Counter[str], *, part: str | None = None) -> Iterator[Record]:
    """Yield one record per sentence: span 1 is e1, span 2 is e2, and the label has the direction (19 labels).

    Words are separated by spaces, and an entity consists of the words with its marks: ``<e2>chairs</e2>.`` is the word
    ``chairs.``, as in the papers by Tenney et al., with the same numbers of words. The data have no development set:
    `part` "dev" is 15 % of the training file, drawn with Python's ``random.Random(42)`` in the order of the file, and
    "train" the rest; None is the whole file.
    """
    draw = random.Random(SPLIT_SEED)
    for where, sentence, label in _examples(path):
        is_dev = draw.random() > 1 - DEV_FRAC
        if part is not None and is_dev != (part == "dev"):
            continue
        counts["sentences"] += 1
        match = _SENTENCE.fullmatch(sentence)
        if not match:
            raise TextError(f'{where}: A sentence must be: number, tab, "text": got {sentence!r}. Correct it.')
        if not _LABEL.fullmatch(label):
            raise TextError(f"{where}: A relation must be Other or Name-Name(e1,e2): got {label!r}. Correct it.")
        marked = [word for word in re.split("[ \t]+", match[2]) if word]
        spans = [_span(marked, name, where) for name in ("e1", "e2")]
        info = {"source": "SemEval-2010 Task 8", "where": where, "sentence": match[1]}
        yield record([_MARK.sub("", word) for word in marked], [target(label, *spans)], **info)


def _examples(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (location, sentence line, label line) of each example; the lines after these are comments."""
    lines: list[str] = []
    first = 0
    for number, line in numbered_lines(path):
        if line.strip(BLANKS):
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield _example(path, first, lines)
            lines = []
    if lines:
        yield _example(path, first, lines)


def _example(path: Path, first: int, lines: list[str]) -> tuple[str, str, str]:
    if len(lines) < 2:
        raise TextError(
            f"{path}:{first}: An example must be a sentence and a line with its relation: got one line. Add the "
            "relation."
        )
    return f"{path}:{first}", lines[0], lines[1].strip(BLANKS)


def _span(words: list[str], name: str, where: str) -> tuple[int, int]:
    starts = [i for i, word in enumerate(words) if f"<{name}>" in word]
    ends = [i for i, word in enumerate(words) if f"</{name}>" in word]
    if len(starts) != 1 or len(ends) != 1 or starts[0] > ends[0]:
        raise TextError(f"{where}: Each entity must be marked once: <{name}>...</{name}> is not. Correct the sentence.")
    return starts[0], ends[0] + 1
