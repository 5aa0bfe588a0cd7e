"""How much memory this process may use, and how amounts of memory are read and written."""

from __future__ import annotations

import functools
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OptionError, ShapeError

__all__ = ["allocating", "format_bytes", "keep_freed_memory", "memory_budget"]

_LARGEST = (32 << 20) - (1 << 16)
"""Size in bytes of the largest block, without its header, for which glibc raises its trim threshold."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@functools.cache
def keep_freed_memory() -> None:
    """Let arithmetic use the memory of the one before, so that no page is mapped again.

    After this block has been freed, glibc keeps up to twice its size of free memory at the end of a heap.
    """
    bytes(_LARGEST)


def memory_budget(memory: int | str | None = None) -> int:
    """Return how many bytes of memory a computation may use.

    Parameters
    ----------
    memory : int, str or None
        A number of bytes, or an amount such as ``"8GB"`` (10^9 bytes each) or ``"8GiB"`` (2^30 bytes each). None:
        the memory of the machine, or the smallest limit of the process (ulimit -v, -d) or of its control groups if it
        is less (cgroups v1 and v2, as set by containers and schedulers). What other processes use is not counted, so
        that the same call always takes the same way.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    OptionError
        If `memory` is no such amount.

    Examples
    --------
    >>> from pyrepsim.core.memory import memory_budget
    >>> memory_budget("1.5GB")
    1500000000
    >>> memory_budget("8 GiB")
    8589934592
    """
    if memory is None:
        space, data = resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_DATA)[0]
        return min(limit for limit in (_total_memory(), space, data) if limit != resource.RLIM_INFINITY)
    n_bytes = _parsed(memory) if isinstance(memory, str) else memory
    if isinstance(n_bytes, bool) or not isinstance(n_bytes, int) or n_bytes < 1:
        raise OptionError(f"memory must be a number of bytes or an amount such as '8GB': got {memory!r}.")
    return n_bytes


@contextmanager
def allocating(n_bytes: int, what: str, advice: str, *, memory: int | str | None = None) -> Iterator[None]:
    """Allocate so many bytes within a with-block, or raise ShapeError before it if they are more than may be used.

    Parameters
    ----------
    n_bytes : int
        Bytes that will be allocated, from the sizes that a file or an argument states.
    what : str
        The beginning of the message, such as "A column".
    advice : str
        The end of the message: what else can be done.
    memory : int, str or None
        See `memory_budget`.

    Examples
    --------
    >>> from pyrepsim.core.memory import allocating
    >>> with allocating(8 * 10**15, "A column of 10^15 rows", "Read it in chunks."):
    ...     pass
    Traceback (most recent call last):
        ...
    pyrepsim.core.errors.ShapeError: A column of 10^15 rows must fit into memory: it takes 8 PB, ... Read it in chunks.
    """
    available = memory_budget(memory)
    needed = f"{what} must fit into memory: it takes {format_bytes(n_bytes)}, and {format_bytes(available)} may be used"
    if n_bytes > available:
        raise ShapeError(f"{needed}. {advice}")
    try:
        yield
    except MemoryError as error:
        raise ShapeError(f"{needed}, of which less is free now. {advice}") from error


def format_bytes(n_bytes: float) -> str:
    """Return an amount of memory as text with three digits, in powers of 1000.

    Examples
    --------
    >>> from pyrepsim.core.memory import format_bytes
    >>> format_bytes(153_400_000)
    '153 MB'
    """
    size, unit = float(n_bytes), 0
    while size >= 999.5 and unit + 1 < len(_UNITS):
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}" if size < 999.5 else f"{size:,.0f} {_UNITS[unit]}"


@functools.cache
def _total_memory() -> int:
    return max(1, min([_physical_memory(), *_cgroup_limits()]))


def _parsed(text: str) -> int | None:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        return None
    for base, units in ((1000, _UNITS), (1024, _BINARY_UNITS)):
        lower = [unit.lower() for unit in units]
        if match[2].lower() in lower:
            return int(float(match[1]) * base ** lower.index(match[2].lower()))
    return None


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_limits() -> list[int]:
    """Limit in bytes of each control group of this process that has one, and of the groups above it."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            root, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.lstrip("/"))
        # In a container the path is often that on the host, and only the root of the hierarchy is visible.
        for folder in (group, *group.parents):
            try:
                limits.append(int((root / folder / name).read_text()))  # "max" where there is none
            except (OSError, ValueError):
                continue
    return limits
