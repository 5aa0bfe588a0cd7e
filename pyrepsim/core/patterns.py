"""Patterns for dotted names: `layer.*.mlp` is the mlp of every layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["expanded", "is_pattern", "matching"]


def is_pattern(name: object) -> bool:
    """Return whether a name holds one of ``*``, ``?`` and ``[``."""
    return isinstance(name, str) and re.search(r"[*?[]", name) is not None


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern matches, in their order.

    ``*`` stands for any characters and ``?`` for one, none of them a dot; ``[abc]`` for one of these characters; and
    the part ``**`` for any number of parts, dots included. So ``layer.*`` matches ``layer.3`` and not ``layer.3.mlp``.

    Examples
    --------
    >>> from pyrepsim.core.patterns import matching
    >>> matching("layer.*.mlp", ["layer.0", "layer.0.mlp", "layer.1.mlp"])
    ['layer.0.mlp', 'layer.1.mlp']
    """
    expression = re.compile(r"\.".join(_part(part) for part in pattern.split(".")).replace(r"\.(?:.*)", r"(?:\..*)?"))
    return [name for name in names if expression.fullmatch(name)]


def expanded(names: Iterable[Any], known: Sequence[str]) -> list[Any]:
    """Return `names` with each pattern replaced by what it matches in `known`; one that matches nothing stays."""
    return [found for name in names for found in (is_pattern(name) and matching(name, known)) or [name]]


def _part(part: str) -> str:
    if part == "**":
        return "(?:.*)"
    pieces = re.split(r"(\*|\?|\[[^\]]+\])", part)
    known = {"*": "[^.]*", "?": "[^.]"}
    return "".join(known.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)
