"""Every error a caller can cause. Each message carries the rule, the fact and the remedy."""

__all__ = [
    "BackendError",
    "CorruptStoreError",
    "DTypeError",
    "DegenerateError",
    "LayerError",
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
]


class PyrepsimError(Exception):
    """Base of all errors raised on purpose by pyrepsim."""


class ShapeError(PyrepsimError, ValueError):
    """An array has the wrong number of dimensions, rows or features."""


class DTypeError(PyrepsimError, TypeError):
    """An array has an element type that the engine does not read."""


class NonFiniteError(PyrepsimError, ValueError):
    """NaN or infinity where a number is due."""


class DegenerateError(PyrepsimError, ValueError):
    """The measure is not defined on this input (no variance, zero rows, too few samples)."""


class OptionError(PyrepsimError, ValueError):
    """An option has a value outside its domain."""


class LayerError(PyrepsimError, LookupError):
    """A layer name that the representation does not have."""


class RowMismatchError(PyrepsimError, ValueError):
    """Two stores whose rows are not the same tokens in the same order."""


class StoreError(PyrepsimError, OSError):
    """A store, or another file of ours, cannot be opened, written or resumed."""


class CorruptStoreError(StoreError):
    """An activation store whose bytes are not what was committed."""


class ModelError(PyrepsimError, OSError):
    """A model that cannot be found, loaded or asked for hidden states."""


class TextError(PyrepsimError, ValueError):
    """A text source that cannot be read, or a text that does not fit the model."""


class StateError(PyrepsimError, RuntimeError):
    """An object that was left half way through an interrupted call."""


class BackendError(PyrepsimError, RuntimeError):
    """A backend that is not there, with the reason."""


class MissingExtraError(PyrepsimError, ImportError):
    """An optional dependency that is not installed, with the command that installs it."""
