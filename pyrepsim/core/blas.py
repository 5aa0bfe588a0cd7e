"""Running NumPy's BLAS on one thread, so that results do not depend on the number of cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from threading import local

import numpy as np  # noqa: F401 - loads the BLAS library
from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@cache
def _libraries() -> ThreadpoolController:
    """Return the loaded BLAS libraries. Finding them takes a millisecond, so it is done once."""
    return ThreadpoolController().select(user_api="blas")


_here = local()


def one_blas_thread() -> AbstractContextManager[None]:
    """Let BLAS use one thread, in the whole process, until the end of the with-block.

    Idle BLAS threads would also slow down the threads of the engine.
    """
    return nullcontext() if getattr(_here, "inside", False) else _limited()


@contextmanager
def _limited() -> Iterator[None]:
    several = [library for library in _libraries().lib_controllers if library.num_threads != 1]
    with _libraries().limit(limits=1) if several else nullcontext():  # changing the limits takes longer than small sums
        _here.inside = True
        try:
            yield
        finally:
            _here.inside = False
