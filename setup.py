"""Builds pyrepsim._core by driving the CMake tree in CMakeLists.txt; everything else is in pyproject.toml.

CMAKE_ARGS adds options, for example CMAKE_ARGS="-DPYREPSIM_SANITIZE=address". The folder
build/cmake-<platform> is kept between builds, so that only what changed is compiled again.
"""

import importlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def tool(name: str, folder: str) -> str:
    """Path of a build tool: the one pip installed for this interpreter, else the one on the PATH."""
    try:
        return str(Path(getattr(importlib.import_module(name), folder)) / name)
    except (ImportError, AttributeError):
        return name


class CMakeBuild(build_ext):
    """Configure, build in parallel, copy the module to where setuptools wants it."""

    def build_extension(self, ext: Extension) -> None:
        build = ROOT / "build" / f"cmake-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        build.mkdir(parents=True, exist_ok=True)
        # The cache remembers options and tool paths of the last call, whose isolated environment may be gone.
        (build / "CMakeCache.txt").unlink(missing_ok=True)

        import pybind11

        cmake = tool("cmake", "CMAKE_BIN_DIR")
        options = [
            f"-DCMAKE_MAKE_PROGRAM={tool('ninja', 'BIN_DIR')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        subprocess.run([cmake, "-G", "Ninja", "-S", ROOT, "-B", build, *options], check=True)
        subprocess.run([cmake, "--build", build], check=True)

        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{target.name.split('.')[0]}.*{target.suffix}"):
            stale.unlink()  # also those of other Pythons, which would not match the sources any more
        shutil.copy2(build / target.name, target)


sources = ["CMakeLists.txt", *(str(path) for path in sorted(Path("csrc").rglob("*")) if path.is_file())]
setup(ext_modules=[Extension("pyrepsim._core", sources=sources)], cmdclass={"build_ext": CMakeBuild})
