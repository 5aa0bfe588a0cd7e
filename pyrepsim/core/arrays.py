"""Input checks: everything that holds rows and features becomes a NumPy view, without a copy where possible.

Accepted are NumPy arrays and memory maps (also read-only or strided), arrays with DLPack or the buffer protocol on the
CPU (torch, JAX; CuPy through ``.get()``), pandas data frames, and nested sequences of numbers. Element types are
float16, bfloat16, float32 and float64, which are not converted here (the engine converts them block by block), and
integers and booleans, which become float32 (those of one byte) or float64.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from .errors import DTypeError, PyrepsimError, ShapeError

__all__ = ["FLOAT_NAMES", "Gate", "as_floats", "as_numpy", "check_paired", "checked_rows", "dtype_name", "rows_view"]

Gate = Callable[[Any, str], Any]

FLOAT_NAMES = ("float16", "bfloat16", "float32", "float64")


def rows_view(array: Any, name: str = "X") -> np.ndarray:
    """Return an array as a NumPy view of shape (n_samples, n_features) with a floating-point type.

    Parameters
    ----------
    array : array-like of shape (n_samples, n_features)
        An array of any library. Integers and booleans are copied to floats: int8, uint8 and bool to float32, wider
        ones to float64, in which integers above 2^53 are rounded.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    ndarray of shape (n_samples, n_features)

    Raises
    ------
    ShapeError
        If it does not have two dimensions, or no row or no feature.
    DTypeError
        If it has another element type.

    Examples
    --------
    >>> from pyrepsim.core.arrays import rows_view
    >>> rows_view([[0.5, 1.5]]).shape
    (1, 2)
    """
    return checked_rows(as_numpy(array, name), name)


def checked_rows(view: Any, name: str) -> Any:
    """Return `view`, an array of any library, or raise the error of `rows_view` for its shape or element type."""
    if view.ndim != 2:
        raise ShapeError(
            f"{name} must have shape (n_samples, n_features): got {view.ndim} dimension(s), shape {view.shape}. "
            "Reshape it, e.g. X.reshape(-1, X.shape[-1]) for (batch, tokens, features)."
        )
    view = as_floats(view)
    if not _is_read(view.dtype):
        raise DTypeError(
            f"{name} must hold numbers, {', '.join(FLOAT_NAMES)} or integers, in native byte order: got "
            f"{view.dtype!r}. Convert it first, e.g. {name}.astype(np.float32)."
        )
    if 0 in view.shape:
        raise ShapeError(f"{name} must have at least one row and one feature: got shape {view.shape}.")
    return view


def as_floats(values: Any) -> Any:
    """Return integers and booleans, in an array of NumPy or CuPy, as floats; other arrays as they are."""
    if values.dtype.kind not in "biu":
        return values
    # float16 holds those of one byte too, but rows of it that agree to its rounding count as one direction
    return values.astype(np.float32 if values.dtype.itemsize == 1 else np.float64)


@cache
def _is_read(dtype: Any) -> bool:
    """Whether elements of this type are read."""
    return dtype.name in FLOAT_NAMES and dtype.isnative


@cache
def dtype_name(dtype: Any) -> str:
    """The name of an element type, which NumPy makes anew each time."""
    return dtype.name


def check_paired(X: Any, Y: Any, gate: Gate = rows_view) -> tuple[Any, Any]:
    """Check two arrays and that their rows are paired.

    Parameters
    ----------
    X, Y : array-like of shapes (n_samples, d_x) and (n_samples, d_y)
        Two representations of the same samples.
    gate : callable
        The check of one array: `rows_view`, or that of a backend.

    Returns
    -------
    tuple of arrays
        Both arrays as returned by `gate`.

    Raises
    ------
    ShapeError
        If the numbers of rows differ, or if two data frames have different indexes.
    """
    index_x: Any = getattr(X, "index", None)
    index_y: Any = getattr(Y, "index", None)
    if hasattr(index_x, "equals") and hasattr(index_y, "equals") and not index_x.equals(index_y):
        raise ShapeError(
            "X and Y must have the same index: rows are matched by position, and these data frames have "
            "different rows. Align them first, e.g. Y.loc[X.index]."
        )
    x, y = gate(X, "X"), gate(Y, "Y")
    if x.shape[0] != y.shape[0]:
        raise ShapeError(
            f"X and Y must have the same number of rows: got {x.shape} and {y.shape}. "
            "Rows are matched by position; to match by token, compare stores instead."
        )
    return x, y


def as_numpy(array: Any, name: str) -> np.ndarray:
    """Return an array of any library, shape and type as a NumPy array: a view where that is possible."""
    if np.ma.isMaskedArray(array):
        raise DTypeError(f"{name} must have no mask: got a masked array. Remove the masked rows from both arrays.")
    if isinstance(array, np.ndarray):
        return np.asarray(array)  # subclasses (memmap, matrix) as plain arrays over the same memory
    import array_api_compat as api  # recognises arrays without importing their libraries

    if api.is_torch_array(array):
        return _from_torch(array, name)
    if api.is_cupy_array(array):
        return array.get()
    if isinstance(array, str | bytes | os.PathLike):
        raise DTypeError(f"{name} must be an array: got {array!r}. Open a store with rs.open_store.")
    if hasattr(array, "to_numpy"):
        return _converted(lambda: np.asarray(array.to_numpy()), name)
    if hasattr(array, "__dlpack__"):
        try:
            return np.from_dlpack(array)
        except MemoryError:
            raise
        except Exception as error:  # libraries raise many types
            raise DTypeError(
                f"{name} must be readable on the CPU through DLPack: {error}. Pass a NumPy array."
            ) from error
    if hasattr(array, "__array__") or isinstance(array, Sequence | memoryview):
        return _converted(lambda: np.asarray(array), name)
    raise DTypeError(
        f"{name} must be an array: got {type(array).__name__}. To compare files, pass stores (rs.open_store)."
    )


def _converted(convert: Callable[[], np.ndarray], name: str) -> np.ndarray:
    try:
        return convert()
    except (PyrepsimError, MemoryError):
        raise
    except ValueError as error:
        raise ShapeError(f"{name} must be rectangular, (n_samples, n_features): {error}.") from error
    except Exception as error:  # of another library's own conversion
        raise DTypeError(f"{name} must be an array: its conversion failed ({error!r}). Pass a NumPy array.") from error


def _from_torch(tensor: Any, name: str) -> np.ndarray:
    torch = sys.modules["torch"]  # a tensor exists, so torch is imported
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        raise DTypeError(
            f"{name} must be a dense tensor: got {tensor.layout} on {tensor.device}. "
            "Call .to_dense() first, and load its values."
        )
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:  # NumPy itself has no such type
        import ml_dtypes

        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    try:
        return tensor.numpy()
    except TypeError as error:
        raise DTypeError(
            f"{name} must hold one of {', '.join(FLOAT_NAMES)}: got {tensor.dtype}. Convert it first, e.g. .float()."
        ) from error
