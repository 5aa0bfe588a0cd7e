"""Changes of single tokens: another number, another comparison, plus for minus, max for min, True for False."""

from __future__ import annotations

import io
import token
import tokenize
from dataclasses import dataclass

__all__ = ["Change", "changed", "changes_of"]

_OPERATORS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "+": "-", "-": "+", "*": "/", "/": "*", "**": "*", "//": "/", "%": "*", "@": "*",
}  # fmt: skip
_NAMES = {
    "max": "min", "min": "max", "and": "or", "or": "and", "True": "False", "False": "True", "not": "",
    "sum": "max", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax", "sqrt": "square",
    "HOLDS": "DOES_NOT_HOLD", "DOES_NOT_HOLD": "HOLDS", "UNDECIDED": "HOLDS", "above": "below", "below": "above",
    "low": "high", "high": "low", "first": "second", "ndim": "size",
}  # fmt: skip
_NOT_CODE = ("import", "from", "@", "__all__", "raise", "log.", "assert")
"""Lines that begin so are not changed: what they do is not a number or a decision."""
_LAYOUT = (token.NEWLINE, tokenize.NL, token.INDENT, token.DEDENT, tokenize.COMMENT, token.ENDMARKER)


@dataclass(frozen=True)
class Change:
    """A token that is replaced."""

    line: int
    column: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.old} -> {self.new or '(nothing)'}"


def changes_of(source: str) -> list[Change]:
    """Return every change of one token of a module, outside of texts, annotations, imports and errors."""
    found: list[Change] = []
    lines = source.splitlines()
    depth, in_statement_that_counts, annotation = 0, True, False
    previous = tokenize.TokenInfo(token.NEWLINE, "", (0, 0), (0, 0), "")
    for one in tokenize.generate_tokens(io.StringIO(source).readline):
        if depth == 0 and previous.type in _LAYOUT and one.type not in _LAYOUT:
            text = lines[one.start[0] - 1].strip()
            in_statement_that_counts = not text.startswith(_NOT_CODE)
            annotation = text.startswith(("def ", "class "))
        if one.type == token.OP:
            depth += (one.string in "([{") - (one.string in ")]}")
        new = _replacement(one, previous)
        if one.string in ("True", "False") and lines[one.start[0] - 1][: one.start[1]].endswith("strict="):
            new = None  # a check that never fails: without it no result changes
        if in_statement_that_counts and not annotation and new is not None:
            change = Change(*one.start, one.string, new)
            if _is_python(changed(source, change)):
                found.append(change)
        if one.type not in (tokenize.NL, tokenize.COMMENT):
            previous = one
    return found


def _replacement(one: tokenize.TokenInfo, previous: tokenize.TokenInfo) -> str | None:
    if one.type == token.NUMBER:
        return _other_number(one.string)
    if one.type == token.OP:
        starred = one.string in ("*", "**") and previous.string in ("(", ",", "[", "{", "=", "return", "yield", "in")
        signed = one.string in ("+", "-") and previous.type == token.OP and previous.string not in ")]}"
        if starred or (one.string == "/" and previous.string in ("(", ",")):
            return None
        return "" if signed else _OPERATORS.get(one.string)
    return _NAMES.get(one.string) if one.type == token.NAME else None


def _other_number(text: str) -> str:
    """One more for a whole number, and twice a fraction: ``0`` to ``1``, ``0.5`` to ``1.0``."""
    try:
        return str(int(text) + 1)
    except ValueError:
        return repr(2 * float(text)) if float(text) else "1.0"


def _is_python(source: str) -> bool:
    try:
        compile(source, "changed", "exec")
    except SyntaxError:
        return False
    return True


def changed(source: str, change: Change) -> str:
    """Return the source with a change."""
    lines = source.splitlines(keepends=True)
    line = lines[change.line - 1]
    lines[change.line - 1] = line[: change.column] + change.new + line[change.column + len(change.old) :]
    return "".join(lines)
