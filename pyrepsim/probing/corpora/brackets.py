"""Brackets in columns: labelled spans such as ``(ARG0* ... *)``, and mentions such as ``(12 ... 12)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ...core.errors import TextError

__all__ = ["flat_spans", "mentions"]

Fail = Callable[[str, int], TextError]
"""Makes an error from a message and the index of the word at fault."""

_STARRED = re.compile(r"\(([^()*\s]+)\*?(\)?)|\*(\)?)")
_MENTION = re.compile(r"\(([^()|]+)\)|\(([^()|]+)|([^()|]+)\)")


def flat_spans(cells: Sequence[str], fail: Fail) -> list[tuple[str, int, int]]:
    """Label, start, end of ``(LABEL*``, ``*)``, ``(LABEL*)``, ``(LABEL)`` and ``*``, which may not overlap."""
    spans: list[tuple[str, int, int]] = []
    opened: tuple[str, int] | None = None
    for word, cell in enumerate(cells):
        match = _STARRED.fullmatch(cell)
        if not match:
            overlap = cell.count("(") > 1 or cell.count(")") > 1
            rule = "Spans of one column may not overlap" if overlap else "A cell is *, (LABEL*, *) or (LABEL*)"
            raise fail(f"{rule}: got {cell!r}. Correct it.", word)
        label, closed_at_once, closed = match.groups()
        if label:
            if opened:
                raise fail(f"Spans of one column may not overlap: {cell!r} opens inside ({opened[0]}. Close it.", word)
            opened = label, word
        if closed_at_once or closed:
            if opened is None:
                raise fail(f"Each ) closes a span: got {cell!r} with none open. Remove it.", word)
            spans.append((*opened, word + 1))
            opened = None
    if opened:
        raise fail(f"Each span is closed in its sentence: ({opened[0]} is not. Add its ).", opened[1])
    return spans


def mentions(cells: Sequence[str], fail: Fail) -> list[tuple[int, int, str]]:
    """Start, end and content of ``(x ... id)`` and ``(x)``, nested or crossing; `x` starts with its id, up to a dash.

    Several brackets of one word follow each other, with or without ``|``. Cells of "_" and "-" have none.
    """
    found: list[tuple[int, int, str]] = []
    opened: list[tuple[str, int]] = []
    for word, cell in enumerate(cells):
        if cell in ("_", "-"):
            continue
        parts = list(_MENTION.finditer(cell))
        if "".join(part[0] for part in parts) != cell.replace("|", ""):
            raise fail(f"Mentions are (id, id) and (id): got {cell!r}. Correct it.", word)
        for part in parts:
            whole, start, end = part.groups()
            if whole:
                found.append((word, word + 1, whole))
            elif start:
                opened.append((start, word))
            else:
                at = [i for i, (content, _) in enumerate(opened) if content.partition("-")[0] == end]
                if not at:
                    raise fail(
                        f"Each mention is opened in its sentence: {end}) was not. Add ({end} or remove it.", word
                    )
                content, first = opened.pop(at[-1])
                found.append((first, word + 1, content))
    if opened:
        content, first = opened[0]
        raise fail(f"Each mention is closed in its sentence: ({content} is not. Add its ).", first)
    return found
