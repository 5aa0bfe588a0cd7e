"""Builds the emulated kernels with CMake, into build/ of this repository; again only where something changed.

PYREPSIM_EMULATION_SANITIZE=address builds them with AddressSanitizer, whose library is preloaded then (.ci/emulation).
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
BUILDS = HERE.parents[1] / "build"


@cache
def build(sanitize: str = "", target: str = "_cuda_emulated") -> Path:
    """The folder with `target` (or planted_faults, the emulator's own test program), compiled with these sanitizers."""
    folder = BUILDS / "-".join(["emulation", sys.implementation.cache_tag, *filter(None, [sanitize.replace(",", "-")])])
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "build.ninja").exists():
            import pybind11

            options = [
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
                f"-DEMULATION_SANITIZE={sanitize}",
            ]
            _run("cmake", "-G", "Ninja", "-S", str(HERE), "-B", str(folder), *options)
        _run("cmake", "--build", str(folder), "--target", target)
    return folder


@cache
def emulated_kernels() -> ModuleType:
    """The module _cuda_emulated, built if need be."""
    folder = build(os.environ.get("PYREPSIM_EMULATION_SANITIZE", ""))
    path = folder / f"_cuda_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"
    spec = importlib.util.spec_from_file_location("_cuda_emulated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(*command: str) -> None:
    scripts = Path(sysconfig.get_path("scripts"))
    program = scripts / command[0] if (scripts / command[0]).exists() else command[0]
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
