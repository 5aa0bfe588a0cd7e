"""Compiles the fuzz targets of the engine, with clang and CMake, into build/, where something changed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[2] / "build" / "fuzz-engine"
PREFIX = "engine-"
TARGETS = tuple(sorted(f"{PREFIX}{path.stem}" for path in HERE.glob("*.cpp")))


def why_not() -> str:
    """Why nothing can be built here, or an empty string."""
    return "" if shutil.which("clang++") else "no clang"


def program(target: str) -> Path:
    """Where the program of a target is, once it is built."""
    return FOLDER / target.removeprefix(PREFIX)


def build() -> None:
    """Compile all targets. Raises RuntimeError, with what the compiler says, if that fails."""
    if not (FOLDER / "build.ninja").exists():
        ninja = [f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}"]
        _run(_tool("cmake"), "-G", "Ninja", *ninja, "-DCMAKE_CXX_COMPILER=clang++", "-S", str(HERE), "-B", str(FOLDER))
    _run(_tool("cmake"), "--build", str(FOLDER))


def _tool(name: str) -> str:
    """The tool that pip has installed for this interpreter, else the one on the PATH."""
    installed = Path(sysconfig.get_path("scripts")) / name
    return str(installed) if importlib.util.find_spec(name) is not None and installed.exists() else name


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
