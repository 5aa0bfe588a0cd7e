"""All errors that a caller can cause. Each message states the rule, the fact and the remedy."""

from __future__ import annotations

from collections.abc import Iterable

from .text import printable

__all__ = [
    "BackendError",
    "CorruptStoreError",
    "DTypeError",
    "DegenerateError",
    "HostVersionError",
    "LayerError",
    "LockedError",
    "MissingExtraError",
    "ModelError",
    "NonFiniteError",
    "OptionError",
    "PyrepsimError",
    "RowMismatchError",
    "ShapeError",
    "StateError",
    "StoreError",
    "TextError",
    "check_choice",
]


class PyrepsimError(Exception):
    """Base class of all errors that pyrepsim raises. Control characters of names in its message are escaped."""

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


class ShapeError(PyrepsimError, ValueError):
    """An array has the wrong number of dimensions, rows or features."""


class DTypeError(PyrepsimError, TypeError):
    """An array has an element type that pyrepsim does not read."""


class NonFiniteError(PyrepsimError, ValueError):
    """An array has NaN or infinite values."""


class DegenerateError(PyrepsimError, ValueError):
    """A measure is not defined for this input (no variance, zero rows, too few samples)."""


class OptionError(PyrepsimError, ValueError):
    """An argument has a value that is not allowed."""


class LayerError(PyrepsimError, LookupError):
    """There is no layer of that name."""


class RowMismatchError(PyrepsimError, ValueError):
    """Two stores do not hold the same tokens in the same order."""


class StoreError(PyrepsimError, OSError):
    """A store or another file cannot be opened, written or resumed."""


class CorruptStoreError(StoreError):
    """The bytes of a store or file are not those that were written."""


class LockedError(StoreError):
    """Another process is writing to the folder; the message has its name and how to wait for it."""


class ModelError(PyrepsimError, OSError):
    """A model cannot be found or loaded, or has no such hidden states."""


class TextError(PyrepsimError, ValueError):
    """A text file cannot be read, or a text does not fit the model."""


class StateError(PyrepsimError, RuntimeError):
    """An object cannot be used any more because a call on it was interrupted."""


class BackendError(PyrepsimError, RuntimeError):
    """A backend is not available; the message has the reason."""


class MissingExtraError(PyrepsimError, ImportError):
    """An optional package is not installed; the message has the command that installs it."""


class HostVersionError(PyrepsimError, ImportError):
    """A library that pyrepsim integrates with is installed in a version that was not tested."""


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise OptionError unless the argument `name` has one of these values."""
    known = tuple(choices)
    if value not in known:
        raise OptionError(f"{name} must be one of {', '.join(map(repr, known))}: got {value!r}.")
