"""Peak resident memory of this process, in MB."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """Return VmHWM of /proc/self/status; ru_maxrss would also include the process that started this one."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise RuntimeError("Peak memory is read from VmHWM in /proc/self/status: this system has none. Run on Linux.")
    return int(match.group(1)) / 1024
