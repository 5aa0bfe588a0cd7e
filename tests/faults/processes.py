"""Children that are killed at a chosen step, forked from a parent that has imported everything and run nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pyrepsim.cli.interrupts import Interrupts
from pyrepsim.core.errors import PyrepsimError

__all__ = [
    "FOREIGN",
    "INTERRUPTED",
    "OURS",
    "arm",
    "restarted_with_library",
    "run",
    "start",
    "steps",
    "wait",
]

OURS, FOREIGN, INTERRUPTED = 2, 3, 130
"""Endings of a child: an error of pyrepsim, another error, Ctrl-C."""

ACTIONS = {"kill": 0, "full disk": 1}


def _build_library(folder: Path) -> Path:
    """Compile interpose.c."""
    library = folder / "interpose.so"
    source = Path(__file__).with_name("interpose.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def restarted_with_library(module: str, arguments: Sequence[str]) -> int | None:
    """Run a module again in a process that has the library preloaded; None if this one has it already."""
    if "interpose.so" in os.environ.get("LD_PRELOAD", ""):
        return None
    with tempfile.TemporaryDirectory(prefix="pyrepsim-faults-") as folder:
        environment = os.environ | {
            "LD_PRELOAD": str(_build_library(Path(folder))),
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "XDG_CACHE_HOME": folder,
        }
        return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode


def arm(folder: Path, at: int, action: str = "kill") -> None:
    """In a child: count its steps below `folder`, and act at step `at` (-1: never)."""
    ctypes.CDLL(None).faults_arm(os.fsencode(folder), ctypes.c_long(at), ACTIONS[action])


def steps() -> str:
    """The kinds of the steps so far: w(rite), s(ync), r(ename), u(nlink), m(kdir), l(ink), t(runcate)."""
    library = ctypes.CDLL(None)
    library.faults_kinds.restype = ctypes.c_char_p
    library.faults_steps.restype = ctypes.c_long
    return library.faults_kinds()[: library.faults_steps()].decode()


def start(call: Callable[[], object], log: Path) -> int:
    """Fork a child that makes this call and ends with 0, `OURS` or `FOREIGN`; its output goes to `log`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # an interrupt before `try` would run the parent's code
    child = os.fork()
    if child == 0:
        code = FOREIGN
        try:
            fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
            with Interrupts() as interrupts:
                try:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
                    call()
                    code = 0
                except BaseException as error:
                    code = INTERRUPTED if interrupts.came else OURS if isinstance(error, PyrepsimError) else FOREIGN
                    traceback.print_exc()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            sys.stdout.flush()
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    return child


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(call: Callable[[], object], log: Path) -> int:
    return wait(start(call, log))
