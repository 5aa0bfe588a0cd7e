"""Text for people: names and messages without characters that a terminal or a page would obey."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Control characters (C0, DEL, C1), separators of lines and paragraphs, marks that change the direction of the text,
# byte-order marks, halves of surrogate pairs, and code points that XML forbids.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str, *, keep: str = "") -> str:
    r"""Return `text` with each unsafe character written as Python writes it, except those in `keep`.

    Unsafe are control characters, which move the cursor or change the colours of a terminal and are forbidden in SVG;
    and marks that let the rest of a line be shown in another order.

    >>> from pyrepsim.core.text import printable
    >>> print(printable("bert\x1b[31m \u202egpj"))
    bert\x1b[31m \u202egpj
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
