"""NumPy's BLAS on one thread: the same bits for any number of cores, and no thread of it spins beside ours."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np  # noqa: F401 - loads the BLAS that is to be found
from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@cache
def _libraries() -> ThreadpoolController:
    """Found once: looking takes a millisecond."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """While this context lasts, in all threads of the process."""
    return _libraries().limit(limits=1, user_api="blas")
