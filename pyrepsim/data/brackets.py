"""Spans as brackets in columns: labelled spans such as ``(ARG0* ... *)``, and mentions such as ``(12 ... 12)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..core.errors import TextError

__all__ = ["flat_spans", "mentions"]

Fail = Callable[[str, int], TextError]
"""Makes an error from a message and the index of the word."""

_STARRED = re.compile(r"\(([^()*\s]+)\*?(\)?)|\*(\)?)", re.ASCII)
_MENTION = re.compile(r"\(([^()|]+)\)|\(([^()|]+)|([^()|]+)\)")


def flat_spans(cells: Sequence[str], fail: Fail) -> list[tuple[str, int, int]]:
    """Return label, start and end of spans ``(LABEL*``, ``*)``, ``(LABEL*)``, ``(LABEL)``, ``*`` without overlap."""
    spans: list[tuple[str, int, int]] = []
    opened: tuple[str, int] | None = None
    for word, cell in enumerate(cells):
        match = _STARRED.fullmatch(cell)
        if not match:
            overlap = cell.count("(") > 1 or cell.count(")") > 1
            rule = "Spans of one column must not overlap" if overlap else "A cell must be *, (LABEL*, *) or (LABEL*)"
            raise fail(f"{rule}: got {cell!r}. Correct it.", word)
        label, closed_at_once, closed = match.groups()
        if label:
            if opened:
                raise fail(f"Spans of one column must not overlap: {cell!r} opens inside ({opened[0]}. Close it.", word)
            opened = label, word
        if closed_at_once or closed:
            if opened is None:
                raise fail(f"Each ) must close a span: got {cell!r} with none open. Remove it.", word)
            spans.append((*opened, word + 1))
            opened = None
    if opened:
        raise fail(f"Each span must be closed in its sentence: ({opened[0]} is not. Add its ).", opened[1])
    return spans


def mentions(cells: Sequence[str], fail: Fail) -> list[tuple[int, int, str]]:
    """Return start, end and content of mentions ``(x ... id)`` and ``(x)``; `x` starts with its id, up to a dash.

    Mentions may be nested or cross. Several brackets of one word may be separated by ``|``. The cells "_" and "-" are
    empty.
    """
    closed: list[tuple[int, int, str]] = []
    opened: dict[str, list[tuple[int, int, str]]] = {}  # by id: place, first word and content
    for word, cell in enumerate(cells):
        if cell in ("_", "-"):
            continue
        parts = list(_MENTION.finditer(cell))
        if "".join(part[0] for part in parts) != cell.replace("|", ""):
            raise fail(f"Mentions must be (id, id) or (id): got {cell!r}. Correct it.", word)
        for part in parts:
            single, start, end = part.groups()
            if single:
                closed.append((word, word + 1, single))
            elif start:
                opened.setdefault(start.partition("-")[0], []).append((len(closed) + word, word, start))
            else:
                if not opened.get(end):
                    raise fail(
                        f"Each mention must be opened in its sentence: {end}) was not. Add ({end} or remove it.", word
                    )
                _, first, content = opened[end].pop()
                closed.append((first, word + 1, content))
    if left := [mention for stack in opened.values() for mention in stack]:
        _, first, content = min(left)
        raise fail(f"Each mention must be closed in its sentence: ({content} is not. Add its ).", first)
    return closed
