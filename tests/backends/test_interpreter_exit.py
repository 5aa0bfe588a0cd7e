"""A script that ends while a daemon thread is inside the engine exits with its own status."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each keeps the engine busy for so long that the interpreter exits meanwhile.
WORK = {
    "moments": "rs.compare(X, X, 'LinearCKA', n_threads=1)",
    "tiles": "rs.compare(X, X, rs.RSA(metric='euclidean'), n_threads=2)",
    "ranks": "rs.compare(X, X, rs.RSA(compare='spearman'), n_threads=1)",
    "neighbours": "rs.compare(X, X, rs.MutualKNN(k=5), n_threads=2)",
}
SCRIPT = """
import sys, threading, numpy as np, pyrepsim as rs
X = np.random.default_rng(0).standard_normal((4000, 300)).astype("f4")
ready = threading.Event()
def work():
    while True:
        {work}
        ready.set()
threading.Thread(target=work, daemon=True).start()
ready.wait()
print("done", flush=True)
sys.exit(7)
"""


@pytest.mark.parametrize("work", WORK)
def test_exit_status_with_a_daemon_thread_in_the_engine(work: str):
    script = SCRIPT.format(work=WORK[work])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (7, "done\n"), done.stderr
