"""What all targets share: a folder for their files, and the rule for errors."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pyrepsim.core.errors import PyrepsimError
from tests.fuzz import targets

MOST_SECONDS = 2.0
CORPUS = Path(__file__).with_name("corpus")
TARGETS = tuple(sorted(module.name for module in pkgutil.iter_modules(targets.__path__)))


@cache
def workplace() -> Path:
    """A folder of this process, in memory where the system has such a file system."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="pyrepsim-fuzz-", dir=memory if memory.is_dir() else None))


def tolerate(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a reader; return None if it refuses its input with an error of pyrepsim. Other errors are faults."""
    try:
        return function(*arguments, **options)
    except PyrepsimError as error:
        if not str(error):
            raise AssertionError("an error without a message") from error
        return None


def target(name: str) -> ModuleType:
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def corpus(name: str) -> list[bytes]:
    """The examples of a target, and the inputs in its folder: found by fuzzing, or once a fault."""
    files = sorted((CORPUS / name).glob("*")) if (CORPUS / name).is_dir() else []
    return [*target(name).examples(), *(file.read_bytes() for file in files)]


def run_one(name: str, data: bytes) -> None:
    """Read one input. Raises whatever is a fault; AssertionError if it takes too long, also a second time."""
    took = _seconds(name, data)
    if took > MOST_SECONDS:  # the first call may have imported modules
        took = _seconds(name, data)
    if took > MOST_SECONDS:
        raise AssertionError(f"{name}: {len(data)} bytes took {took:.1f} s")


def _seconds(name: str, data: bytes) -> float:
    """Read one input and return how long it took."""
    folder = workplace() / name
    folder.mkdir(exist_ok=True)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(name).read(data, folder)
    finally:
        logging.disable(disabled)
    return time.perf_counter() - started
