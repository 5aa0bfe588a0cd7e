"""Let pyrepsim stand in for functions of another library, for the length of a with-block."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import pkgutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from packaging.specifiers import SpecifierSet

from ..core.errors import HostVersionError, MissingExtraError, PyrepsimError

__all__ = ["Host", "NotCovered", "base_class", "calls", "count", "fallbacks", "log_once", "patched", "suspended"]

log = logging.getLogger("pyrepsim.integrations")

calls: Counter[str] = Counter()
"""How many calls of each function reached pyrepsim, by the full name of the function."""

fallbacks: Counter[str] = Counter()
"""How many of them were answered by the library's own function."""


class NotCovered(Exception):
    """Raised by an adapter for a call that it does not cover: the library's own function is called."""


@dataclass(eq=False)
class Host:
    """A library whose functions pyrepsim can stand in for.

    Attributes
    ----------
    distribution
        Its name in the metadata of what is installed, and on PyPI.
    versions
        The versions that the adapters were tested with, such as ``">=1.11,<1.18"``.
    adapters
        For the full name of each function, method or class, what is used in its place.
    address
        What pip installs, of a library that is not on PyPI.
    replaced
        While it is patched: owner, original and replacement of each.
    """

    distribution: str
    versions: str
    adapters: Mapping[str, Callable[..., Any]]
    address: str = ""
    depth: int = 0
    replaced: Sequence[tuple[Any, Any, Any]] = ()


_lock = threading.RLock()
_inside = threading.local()
_logged: set[str] = set()


@contextmanager
def patched(host: Host, *, any_version: bool) -> Iterator[None]:
    """Replace the host's functions wherever a module has bound them, in all threads of this process."""
    with _lock:
        if host.depth == 0:
            _check_version(host, any_version)
            replaced = []
            try:
                for name, adapter in host.adapters.items():
                    replaced.append(_replacement(name, adapter))
            except (AttributeError, ImportError) as error:
                raise HostVersionError(
                    f"The integration of {host.distribution} needs its function {name}: {error}. Install a version of "
                    f"{host.versions}."
                ) from error
            host.replaced = replaced
            _rebind(replaced)
        host.depth += 1
    try:
        yield
    finally:
        with _lock:
            host.depth -= 1
            if host.depth == 0:
                _rebind([(owner, replacement, original) for owner, original, replacement in host.replaced])
                host.replaced = []


@contextmanager
def suspended() -> Iterator[None]:
    """Call the library's own functions in this thread, also while it is patched."""
    before = getattr(_inside, "adapter", False)
    _inside.adapter = True
    try:
        yield
    finally:
        _inside.adapter = before


def _check_version(host: Host, any_version: bool) -> None:
    package = next(iter(host.adapters)).partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"{host.distribution} must be installed for its integration: it is not. Run pip install "
            f"'{host.address or host.distribution + host.versions}'."
        )
    try:
        found = importlib.metadata.version(host.distribution)
    except importlib.metadata.PackageNotFoundError:  # a folder on the path, without metadata
        return
    if not any_version and not SpecifierSet(host.versions).contains(found, prereleases=True):
        raise HostVersionError(
            f"The integration of {host.distribution} was tested with versions {host.versions}: {found} is installed. "
            "Install one of them, or pass any_version=True and compare some results with and without the patch."
        )


def base_class(name: str, requirement: str) -> Any:
    """Return a class of a library to derive from; without the library, one whose objects cannot be made."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError) as error:
        reason = f"{name} must be importable: {error}. Run pip install '{requirement}'."

    class Missing:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise MissingExtraError(reason)

    return Missing


def _replacement(name: str, adapter: Callable[..., Any]) -> tuple[Any, Any, Any]:
    """Where a function is, the function, and what calls the adapter in its place."""
    owner_name, _, function = name.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    original = getattr(owner, function)
    if isinstance(adapter, type):  # it counts its own calls
        return owner, original, adapter

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        if getattr(_inside, "adapter", False):  # pyrepsim itself calls the library
            return original(*args, **kwargs)
        count(calls, name)
        _inside.adapter = True
        try:
            return adapter(*args, **kwargs)
        except NotCovered as reason:
            log_once(name, reason)
        except PyrepsimError:  # the library has a value of its own for such input, or an error of its own
            pass
        finally:
            _inside.adapter = False
        count(fallbacks, name)
        return original(*args, **kwargs)

    return owner, original, replacement


def _rebind(changes: Sequence[tuple[Any, Any, Any]]) -> None:
    """For each (owner, old, new) bind new to every name of old: in its class, or in all modules but pyrepsim's."""
    in_modules = {id(old): new for owner, old, new in changes if isinstance(owner, ModuleType)}
    modules = [m for m in list(sys.modules.values()) if isinstance(m, ModuleType)]
    places = [(m, in_modules) for m in modules if getattr(m, "__name__", "").partition(".")[0] != "pyrepsim"]
    places += [(owner, {id(old): new}) for owner, old, new in changes if not isinstance(owner, ModuleType)]
    for place, new_of in places:
        for name, value in list(vars(place).items()):
            if id(value) in new_of:
                setattr(place, name, new_of[id(value)])


def count(counter: Counter[str], name: str) -> None:
    """Add 1, also where several threads do."""
    with _lock:
        counter[name] += 1


def log_once(name: str, reason: NotCovered) -> None:
    """Log that the library's own function is called, once for each reason."""
    message = f"{name}: pyrepsim does not cover {reason}; the library's own function is called"
    if message not in _logged:
        _logged.add(message)
        log.warning("%s (logged once)", message)
