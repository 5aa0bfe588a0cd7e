"""Which part of the work a process does. Workers share only a folder: each may stop, restart or start late."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import OptionError


@dataclass(frozen=True)
class Worker:
    """Worker `index` of `count` does the shards ``k`` with ``k % count == index``."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise OptionError(
                f"worker must be 'i/n' with 0 <= i < n: got {self.index}/{self.count}. Workers count from 0."
            )

    def takes(self, shard: int) -> bool:
        """Return whether this worker does that shard."""
        return shard % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def find_worker(worker: str | Worker | None = None, environ: Mapping[str, str] | None = None) -> Worker:
    """Return which worker this process is.

    Parameters
    ----------
    worker : str, Worker or None
        ``"i/n"``, counted from 0. None: from the variables of torchrun (RANK, WORLD_SIZE) or of a SLURM array, which
        may start at any number and have a step (``--array=1-8`` gives workers 0/8 to 7/8); otherwise worker 0/1.
    environ : mapping, optional
        Environment variables; by default those of the process.

    Raises
    ------
    OptionError
        If `worker` or a variable is not of that form.

    Examples
    --------
    >>> from pyrepsim.core.workers import find_worker
    >>> find_worker("1/4").takes(5)
    True
    >>> str(find_worker(None, {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_ARRAY_TASK_MIN": "1"}))
    '2/8'
    """
    if isinstance(worker, Worker):
        return worker
    environ = os.environ if environ is None else environ
    if worker is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", worker)
        if match is None:
            raise OptionError(f"worker must be 'i/n', such as '0/4': got {worker!r}.")
        return Worker(int(match[1]), int(match[2]))
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return Worker(_number(environ, "RANK"), _number(environ, "WORLD_SIZE"))
    if "SLURM_ARRAY_TASK_ID" in environ and "SLURM_ARRAY_TASK_COUNT" in environ:
        first = _number(environ, "SLURM_ARRAY_TASK_MIN", "0")
        step = _number(environ, "SLURM_ARRAY_TASK_STEP", "1")
        index = (_number(environ, "SLURM_ARRAY_TASK_ID") - first) // max(step, 1)
        return Worker(index, _number(environ, "SLURM_ARRAY_TASK_COUNT"))
    return Worker()


def _number(environ: Mapping[str, str], name: str, default: str = "") -> int:
    text = environ.get(name, default)
    if not text.isdecimal():
        raise OptionError(f"The environment variable {name} must be a whole number: got {text!r}. Set worker='i/n'.")
    return int(text)
