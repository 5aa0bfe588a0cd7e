"""Peak resident memory of this process, in MB."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """The kernel's high-water mark of this program; ru_maxrss would also count the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("peak memory is read from VmHWM in /proc/self/status, which Linux has.")
    return int(found.group(1)) / 1024
