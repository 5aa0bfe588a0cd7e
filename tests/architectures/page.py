"""docs/architectures.md from the families."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from .families import COLUMNS, FAMILIES, SENTENCES, Family

__all__ = ["PAGE", "replace_table", "table"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"
_MARKS = ("<!-- checked -->\n", "<!-- /checked -->")


def table(families: Iterable[Family] = FAMILIES.values()) -> str:
    """The table in Markdown, one row a family, and below it the reasons."""
    reasons: dict[str, int] = {}

    def mark(reason: str) -> str:
        return f"[{reasons.setdefault(reason, len(reasons) + 1)}]"

    lines = [f"| kind | model | {' | '.join(COLUMNS)} |", "| --- | --- |" + " --- |" * len(COLUMNS)]
    kind = ""
    for family in families:
        cells = [_cell(family, column, mark) for column in COLUMNS]
        note = f" ({family.note})" if family.note else ""
        lines.append(f"| {family.kind if family.kind != kind else ''} | {family.model}{note} | {' | '.join(cells)} |")
        kind = family.kind
    lines += ["", *(f"{number}. {_sentence(reason)}" for reason, number in reasons.items())]
    return "\n".join(lines) + "\n"


def _cell(family: Family, column: str, mark: Callable[[str], str]) -> str:
    if column in family.refused:
        return f"no {mark(family.refused[column])}"
    if column == "hook points" and family.lacks:
        return "yes, " + "; ".join(f"{lack.label} {mark(lack.reason)}" for lack in family.lacks)
    return "yes"


def _sentence(reason: str) -> str:
    sentence = SENTENCES.get(reason, reason)
    return sentence[0].upper() + sentence[1:] + "."


def replace_table(page: str) -> str:
    """Return the page with the table between the two marks."""
    start, stop = (page.index(mark) for mark in _MARKS)
    return page[: start + len(_MARKS[0])] + table() + page[stop:]
