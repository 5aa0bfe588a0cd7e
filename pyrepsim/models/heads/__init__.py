"""Task layers over the top hidden state: one class a kind, chosen by the word that a task's `head()` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import OptionError
from .base import Head
from .biaffine import BiaffineHead
from .sequence import SequenceHead
from .span import SpanHead
from .tokens import TokenHead

__all__ = ["BiaffineHead", "Head", "SequenceHead", "SpanHead", "TokenHead", "build_head"]

_KINDS: dict[str, type[Head]] = {
    "sequence": SequenceHead,
    "tokens": TokenHead,
    "span": SpanHead,
    "biaffine": BiaffineHead,
}


def build_head(width: int, spec: Mapping[str, Any]) -> Head:
    """The head that ``spec`` asks for: its "kind" and its sizes, over hidden states of `width` features."""
    sizes = dict(spec)
    kind = sizes.pop("kind", None)
    if kind not in _KINDS:
        raise OptionError(
            f"A head's kind is one of {', '.join(_KINDS)}: got {kind!r}. Give the kind a task's head() has."
        )
    return _KINDS[kind](width, **sizes)
