"""Builds pyrepsim._core, and pyrepsim._cuda if nvcc is installed, with CMakeLists.txt; metadata is in pyproject.toml.

CMAKE_ARGS adds options, for example CMAKE_ARGS="-DPYREPSIM_CUDA=OFF"; CUDAARCHS="90a-real" names the GPU architectures.
The folder build/cmake-<platform> is kept between builds, so that only what changed is compiled again.
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
    """Path of a build tool: the one installed by pip for this interpreter, else the one on the PATH."""
    try:
        return str(Path(getattr(importlib.import_module(name), folder)) / name)
    except (ImportError, AttributeError):
        return name


class CMakeBuild(build_ext):
    """Configure and build everything once, then copy each module to the place that setuptools expects."""

    def run(self) -> None:
        self.tree = ROOT / "build" / f"cmake-{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        self.tree.mkdir(parents=True, exist_ok=True)
        # The cache has options and tool paths of the last call, whose isolated environment may have been removed.
        (self.tree / "CMakeCache.txt").unlink(missing_ok=True)
        stale = [*self.tree.glob("_cuda.*"), *(ROOT.glob("pyrepsim/_cuda.*.so") if self.inplace else ())]
        for module in stale:
            module.unlink()  # this configuration may not build it

        import pybind11

        cmake = tool("cmake", "CMAKE_BIN_DIR")
        options = [
            f"-DCMAKE_MAKE_PROGRAM={tool('ninja', 'BIN_DIR')}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        subprocess.run([cmake, "-G", "Ninja", "-S", ROOT, "-B", self.tree, *options], check=True)
        subprocess.run([cmake, "--build", self.tree], check=True)
        super().run()

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{target.name.split('.')[0]}.*{target.suffix}"):
            stale.unlink()  # also modules of other Python versions, which would not match the sources
        built = self.tree / target.name
        if built.exists() or not ext.optional:
            shutil.copy2(built, target)


sources = [
    "CMakeLists.txt",
    *(str(path) for folder in ("cmake", "csrc") for path in sorted(Path(folder).rglob("*")) if path.is_file()),
]
setup(
    ext_modules=[
        Extension("pyrepsim._core", sources=sources),
        Extension("pyrepsim._cuda", sources=sources, optional=True),
    ],
    cmdclass={"build_ext": CMakeBuild},
)
