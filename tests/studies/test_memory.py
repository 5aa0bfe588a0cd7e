"""What a cell used goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np, psutil
from pyrepsim.studies.runner.running import free_memory
pieces = [np.ones(10_000) for _ in range(2000)]  # 160 MB; some of them are kept, all over the heap
kept = pieces[::500]
del pieces
before = psutil.Process().memory_info().rss
free_memory()
print((before - psutil.Process().memory_info().rss) / 1e6)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has ways of its own")
def test_freed_memory_between_cells_is_given_back():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 100
