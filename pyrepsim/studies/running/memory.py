"""Memory between cells."""

from __future__ import annotations

import ctypes
import gc

__all__ = ["free_memory"]


def free_memory() -> None:
    """Give back to the system what a cell has used.

    Trainers and models refer to each other in circles, which are collected late; and glibc keeps what was freed for
    later use, gigabytes after a cell of long texts, which another worker on the machine may need.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim(0)
