"""Which backend is used, the errors for backends that cannot be used, and what scores record."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim import backends
from pyrepsim.backends.cuda import device
from pyrepsim.core.errors import BackendError, OptionError

X, Y = np.random.default_rng(0).standard_normal((2, 50, 4))


def raising(message):
    def count():
        raise RuntimeError(message)

    return count


KERNELS = {
    "not built": (None, "its kernels are not built .*install nvcc 12 or newer and build pyrepsim again"),
    "no device": (lambda: 0, "there is no CUDA device"),
    "no driver": (
        raising("CUDA driver version is insufficient"),
        "there is no usable CUDA device: CUDA driver version is insu",
    ),
    "no CuPy": (lambda: 1, r"CuPy is not installed: pip install 'pyrepsim\[cuda\]'"),
}


@pytest.mark.parametrize("case", KERNELS)
def test_reasons_without_cuda(case, monkeypatch):
    count, reason = KERNELS[case]
    kernels = None if count is None else SimpleNamespace(device_count=count)
    monkeypatch.setitem(sys.modules, "pyrepsim._cuda", kernels)
    original = importlib.util.find_spec
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None if name == "cupy" else original(name))
    reported = backends.available_backends()["cuda"] or ""
    for refused in (
        lambda: rs.compare(X, Y, "CCA", backend="cuda"),
        lambda: rs.pdist(X, backend="cuda"),
        lambda: rs.PairedMoments(4, 4, backend="cuda"),
    ):
        with pytest.raises(BackendError, match=f"backend 'cuda' cannot be used: {reason}.*'cpu'") as error:
            refused()
        assert reported in str(error.value)
    assert rs.compare(X, Y, "CCA").provenance["backend"] == "cpu"  # nothing else is affected


@pytest.mark.skipif("not built" in (backends.available_backends()["cuda"] or ""), reason="built without nvcc")
def test_the_compiled_kernels_import_without_a_gpu():
    """Only device_count needs the driver; importing does not."""
    kernels = importlib.import_module("pyrepsim._cuda")
    assert kernels.strip > 0
    try:
        assert kernels.device_count() >= 0
    except RuntimeError as error:
        assert str(error)


@pytest.mark.parametrize("measure", ["CCA", "RSA(metric='euclidean')", "MutualKNN"])
def test_auto_is_recorded(measure, monkeypatch):
    assert rs.compare(X, Y, measure).provenance["backend"] == "cpu"
    monkeypatch.setattr(backends, "_reason_without_cpu", lambda: "no compiler")
    slow = rs.compare(X, Y, measure)
    assert slow.provenance["backend"] == "reference"
    assert slow.value == pytest.approx(rs.compare(X, Y, measure, backend="cpu").value, abs=1e-6)


def test_unknown_names():
    with pytest.raises(OptionError, match="backend must be 'auto' or one of cpu, cuda, reference.*: got 'gpu'"):
        rs.compare(X, Y, "CCA", backend="gpu")


def test_threads_that_ask_at_once_get_a_whole_backend():
    """While one thread imports the backend, another must not get the module that is half made."""
    script = """
import sys, threading, time
from pyrepsim.backends import get_backend

class Slow:
    def find_spec(self, name, path=None, target=None):
        if "pyrepsim.backends.cpu" in sys.modules and not hasattr(sys.modules["pyrepsim.backends.cpu"], "narrow"):
            time.sleep(0.2)

sys.meta_path.insert(0, Slow())
found = []
def ask(wait):
    time.sleep(wait)
    found.append(hasattr(get_backend("cpu"), "narrow"))
threads = [threading.Thread(target=ask, args=(0.03 * i,)) for i in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert found == [True] * 6, found
"""
    subprocess.run([sys.executable, "-c", script], check=True)
