"""What is installed, and what this machine can do."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from ..backends import available_backends, default_threads, get_backend

__all__ = ["describe"]

_PACKAGES = [
    "numpy",
    "safetensors",
    "ml_dtypes",
    "torch",
    "transformers",
    "datasets",
    "matplotlib",
    "pandas",
    "cupy",
]


def describe() -> dict[str, str]:
    """Return what `pyrepsim info` prints: versions, processor, threads, backends with reasons."""
    found = {
        "pyrepsim": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "processor": _processor(),
        "threads": f"{default_threads()} of {os.cpu_count()} cores",
    }
    for name, reason in available_backends().items():
        found[f"backend {name}"] = "works" if reason is None else f"no: {reason}"
    if not available_backends()["cpu"]:
        engine = get_backend("cpu").Moments([1], [(0, 0)], rows="raw", precision="fp64")
        found["instructions"] = f"{engine.isa} (PYREPSIM_ISA chooses another)"
    return found | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
