"""Sizes in words: one way to write them, wherever a size is said."""

from __future__ import annotations

__all__ = ["bytes_in_words"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def bytes_in_words(n_bytes: float) -> str:
    """Write a size with three digits, in units of a thousand: ``153 MB``."""
    size, unit = float(n_bytes), 0
    while size >= 999.5 and unit + 1 < len(_UNITS):
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}" if size < 999.5 else f"{size:,.0f} {_UNITS[unit]}"
