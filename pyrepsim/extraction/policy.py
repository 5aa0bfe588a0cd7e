"""The choices that decide which rows a corpus gives: checked once, frozen, written into every plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError

WORDS = (None, "first", "mean")
LONG = ("error", "window", "truncate")


@dataclass(frozen=True)
class Policy:
    """How documents become sequences and rows."""

    words: str | None = None
    """None: a row per token; "first", "mean": a row per word, from its first subword or their mean."""
    long: str = "error"
    """Documents beyond `max_length`: refuse, read in overlapping windows, or cut off."""
    max_length: int | None = None
    """Tokens per sequence, special tokens included."""
    batch_tokens: int = 4096
    """Tokens per batch, padding included; a longer sequence is a batch of its own."""
    shard_tokens: int = 32768
    """Tokens per shard; a longer document is a shard of its own."""

    def __post_init__(self) -> None:
        for name, value, choices in (("words", self.words, WORDS), ("long", self.long, LONG)):
            if value not in choices:
                allowed = ", ".join(repr(choice) for choice in choices)
                raise OptionError(f"{name} must be one of {allowed}: got {value!r}.")
        for name in ("max_length", "batch_tokens", "shard_tokens"):
            value: Any = getattr(self, name)
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
            if not (whole or (name == "max_length" and value is None)):
                raise OptionError(f"{name} must be a whole number of tokens, 1 or more: got {value!r}.")

    def is_long(self, lengths: np.ndarray) -> np.ndarray:
        """Mask of the documents that do not fit into one sequence."""
        return np.zeros(len(lengths), bool) if self.max_length is None else lengths > self.max_length
