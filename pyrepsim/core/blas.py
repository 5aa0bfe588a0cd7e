"""NumPy's BLAS on one thread: the same bits for any number of cores, and no thread of it spins beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np  # noqa: F401 - loads the BLAS that is to be found
from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@cache
def _libraries() -> ThreadpoolController:
    """Found once: looking takes a millisecond."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While this context lasts, in all threads of the process. Of contexts that overlap, the first thread's rules."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
