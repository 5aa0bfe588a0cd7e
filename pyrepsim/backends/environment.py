"""The machine and the installed versions: what a bug report needs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..version import __version__
from . import available_backends, default_threads, get_backend

__all__ = ["environment", "show_config"]

_PACKAGES = (
    "numpy",
    "scipy",
    "safetensors",
    "ml_dtypes",
    "torch",
    "transformers",
    "datasets",
    "peft",
    "matplotlib",
    "pandas",
    "cupy",
)
_HOSTS = (
    "rsatoolbox",
    "mne-rsa",
    "netrep",
    "brainscore-vision",
    "scikit-learn",
    "torchmetrics",
    "scanpy",
    "sentence-transformers",
    "thingsvision",
    "mteb",
)
_UNITS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_int8", "amx_bf16", "asimd", "sve")


def environment() -> dict[str, str]:
    """Return versions, processor, BLAS, threads and backends, one line of text each.

    Returns
    -------
    dict of str to str
        In the order in which `show_config` prints them. A backend that cannot be used is listed with the reason.
    """
    lines = {
        "pyrepsim": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "vector units": ", ".join(unit for unit in _UNITS if unit in _flags()) or "unknown",
        "threads": f"{default_threads()} of {os.cpu_count()} cores",
        "blas": _blas(),
    }
    backends = available_backends()
    lines |= {f"backend {name}": "available" if why is None else f"no: {why}" for name, why in backends.items()}
    if not backends["cpu"]:
        engine = get_backend("cpu").Moments([1], [(0, 0)], transform="raw", precision="fp64")
        lines["instructions"] = f"{engine.isa} (set PYREPSIM_ISA to use another)"
    lines |= {name: _version(name) or "not installed" for name in _PACKAGES}
    return lines | {name: number for name in _HOSTS if (number := _version(name)) is not None}


def show_config() -> None:
    """Print what a bug report needs: processor, BLAS, threads, backends, and versions of installed packages.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> rs.show_config()
    pyrepsim              ...
    python                ...
    """
    for name, text in environment().items():
        print(f"{name:<22}{text}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _blas() -> str:
    import numpy as np  # noqa: F401 - loads the BLAS that is listed
    from threadpoolctl import threadpool_info

    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return "; ".join(f"{one['internal_api']} {one['version']} {one.get('architecture', '')}".strip() for one in blas)


def _flags() -> set[str]:
    return set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())


def _cpuinfo(key: str) -> str | None:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return None
