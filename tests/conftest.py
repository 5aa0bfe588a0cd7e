"""What every test gets: fixed seeds, no network, a hub cache of its own, real data where there is some.

Warnings are errors (pyproject.toml), so NumPy's division by zero, overflow and invalid value fail a test.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from pathlib import Path

# Read when NumPy, torch and the hub's client load, which is after this file.
# Nothing a test does may land in, or depend on, the caches of whoever runs it.
_CACHE = tempfile.TemporaryDirectory(prefix="pyrepsim-tests-")
_USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("MPLCONFIGDIR", str(_USER_CACHE / "matplotlib"))  # its list of fonts takes seconds to make
os.environ.update(HF_HUB_CACHE=f"{_CACHE.name}/hub", XDG_CACHE_HOME=_CACHE.name)
for name, value in {
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYREPSIM_NUM_THREADS": "2",
    "TOKENIZERS_PARALLELISM": "false",
}.items():
    os.environ.setdefault(name, value)

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from tests.helpers.backends import register_emulated  # noqa: E402

register_emulated()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so it is in a background job of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for libraries that draw from the global state
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts from the same place in each test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real corpora and a real 12-layer encoder: beside the developers' repository, not part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no shared_data: the folder ../shared/data is not here")
    return SHARED_DATA
