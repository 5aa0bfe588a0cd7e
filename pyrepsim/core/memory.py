"""How much memory this process may use, and how amounts of memory are read and written."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from .errors import OptionError

__all__ = ["format_bytes", "memory_budget", "total_memory"]

_FREE_SHARE = 0.5
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_MEMORY_INFO = Path("/proc/meminfo")


def memory_budget(memory: int | str | None = None) -> int:
    """Return how many bytes of memory a computation may use.

    Parameters
    ----------
    memory : int, str or None
        A number of bytes, or an amount such as ``"8GB"`` (10^9 bytes each) or ``"8GiB"`` (2^30 bytes each). None:
        half of the memory that is free now, on the machine and within the limits of the process's control groups
        (cgroups v1 and v2, as set by containers and schedulers).

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
        return max(1, int(_FREE_SHARE * _free_memory()))
    n_bytes = _parsed(memory) if isinstance(memory, str) else memory
    if isinstance(n_bytes, bool) or not isinstance(n_bytes, int) or n_bytes < 1:
        raise OptionError(f"memory must be a number of bytes or an amount such as '8GB': got {memory!r}.")
    return n_bytes


@functools.cache
def total_memory() -> int:
    """Return the memory of the machine in bytes, or the smallest limit of the process's control groups if it is less.

    It does not depend on what other processes use. It is read once in a process.
    """
    return min([_memory_info("MemTotal"), *(limit for limit, _ in _cgroup_limits())])


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


def _parsed(text: str) -> int | None:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        return None
    for base, units in ((1000, _UNITS), (1024, _BINARY_UNITS)):
        lower = [unit.lower() for unit in units]
        if match[2].lower() in lower:
            return int(float(match[1]) * base ** lower.index(match[2].lower()))
    return None


def _free_memory() -> int:
    return min([_memory_info("MemAvailable"), *(limit - used for limit, used in _cgroup_limits())])


def _memory_info(name: str) -> int:
    """A number of bytes from /proc/meminfo; without that file, the size of the physical memory."""
    try:
        for line in _MEMORY_INFO.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_limits() -> list[tuple[int, int]]:
    """Limit and use, in bytes, of each control group of this process that has a limit, and of those above it."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            root, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = _CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = Path(path.lstrip("/"))
        # In a container the path is often that on the host, and only the root of the hierarchy is visible.
        for folder in (group, *group.parents):
            limit = _limit_of(root / folder, *names)
            if limit is not None:
                limits.append(limit)
    return limits


def _limit_of(folder: Path, limit_file: str, use_file: str, cache_key: str) -> tuple[int, int] | None:
    try:
        limit = int((folder / limit_file).read_text())  # "max" where there is none
    except (OSError, ValueError):
        return None
    try:
        used = int((folder / use_file).read_text())
        statistics = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        used -= next((int(value) for key, value in statistics if key == cache_key), 0)  # a cache is freed on demand
    except (OSError, ValueError):
        used = 0
    return limit, max(0, used)
