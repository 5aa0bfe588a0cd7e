"""Which format a file has, told by its suffix and its first lines, and which annotation that format holds."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from ...core.errors import TextError
from ...data.records import numbered_lines
from .columns import CONLL_2012, PROPBANK
from .lines import split_columns
from .records import ONE_SPAN, TWO_SPANS

__all__ = ["HOLDS", "SUFFIXES", "format_of"]

HOLDS = {
    "CoNLL-U": ("pos", "dependencies"),
    "CoNLL-U with Entity=": ("pos", "dependencies", "entities", "coref"),
    "CoNLL-2012": CONLL_2012.tasks,
    "PropBank": PROPBANK.tasks,
    "OntoGUM": ("coref",),
    "trees": ("pos", "constituents"),
    "BIO": ("entities",),
    "SemEval": ("relations",),
    "UDS": ("spr",),
    "JSONL": ONE_SPAN + TWO_SPANS,
}
SUFFIXES = (
    ".conllu",
    ".conll",
    ".gold_conll",
    ".v4_gold_conll",
    ".ptb",
    ".mrg",
    ".parse",
    ".jsonl",
    ".ndjson",
    ".json",
)

_LOOKED_AT = 2000  # lines; comments of a document may be long
_JSONL = (".jsonl", ".ndjson", ".json")
_BIO = re.compile(r"O|[BI]-\S+")
_SEMEVAL = re.compile(r'\d+\s+"')
_N_ONTOGUM = 3


def format_of(path: Path) -> str:
    """A key of `HOLDS`. TextError where the file is none of these."""
    lines = [line for _, line in islice(numbered_lines(path), _LOOKED_AT)]
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise TextError(f"{path}: A corpus has at least one sentence: this file is empty. Give another.")
    suffix = path.suffix.lower()
    if suffix in _JSONL or first.startswith("{"):
        return "UDS" if '"uds_id"' in first else "JSONL"
    if suffix == ".conllu":
        annotated = any(line.startswith("# global.Entity") or "Entity=" in line for line in lines)
        return "CoNLL-U with Entity=" if annotated else "CoNLL-U"
    if first.lstrip().startswith("(") and "\t" not in first:
        return "trees"
    if _SEMEVAL.match(first):
        return "SemEval"
    found = _columns(lines)
    if found is None:
        raise TextError(
            f"{path}: A corpus is in one of the formats {', '.join(HOLDS)}: this file starts with {first[:60]!r}. "
            "Convert it to JSONL (pyrepsim/tasks/spans/README.md)."
        )
    return found


def _columns(lines: list[str]) -> str | None:
    """Formats of one word a line; told by comments, then by the columns of the first word."""
    begins = any(line.replace(" ", "").startswith("#begindocument") for line in lines)
    rows = (split_columns(line) for line in lines if line.strip() and not line.startswith(("#begin", "# ")))
    row = list(next(rows, []))
    if begins and len(row) <= _N_ONTOGUM:
        return "OntoGUM"
    if begins:
        return "CoNLL-2012"
    if len(row) >= PROPBANK.before and row[1].isdigit() and row[2] == "0":
        return "PropBank"
    return "BIO" if len(row) > 1 and _BIO.fullmatch(row[-1]) else None
