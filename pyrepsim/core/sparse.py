"""Sparse rows, such as the features of a sparse autoencoder: three forms that others write become a scipy CSR matrix.

Accepted are scipy sparse matrices and arrays of any format, torch sparse tensors (COO, CSR), and mappings with
``locations`` and ``activations``, as interpretability tools store them.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .arrays import FLOAT_NAMES, as_numpy
from .errors import DTypeError, NonFiniteError, ShapeError

__all__ = ["column_moments", "is_sparse", "sparse_rows"]

_FORM = "{'locations': (k, 2), 'activations': (k,), 'shape': (n_rows, n_features)}"


def is_sparse(value: Any) -> bool:
    """Return whether `value` has one of the accepted sparse forms. Imports nothing."""
    if isinstance(value, np.ndarray):
        return False
    if isinstance(value, Mapping):
        return {"locations", "activations"} <= {*value}
    sparse, torch = sys.modules.get("scipy.sparse"), sys.modules.get("torch")
    if sparse is not None and sparse.issparse(value):
        return True
    return torch is not None and isinstance(value, torch.Tensor) and value.layout != torch.strided


def sparse_rows(value: Any, name: str = "X") -> Any:
    """Return sparse rows as a `scipy.sparse.csr_array` with sorted indices, without stored zeros.

    Its elements are float32 if those of the value have at most 32 bits and are floats, or have 8 bits, else float64.

    Parameters
    ----------
    value : sparse matrix, sparse tensor, or mapping
        A mapping has ``locations``, whole numbers of shape (k, 2): row and feature, or (k, 3): document, position and
        feature; ``activations``, (k,); and ``shape``, (n_rows, n_features) or (n_documents, n_positions, n_features),
        because rows without an active feature are rows too. Values of the same place are added.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError
        If the value is not a matrix of finite numbers with at least one row and one feature.

    Examples
    --------
    >>> from pyrepsim.core.sparse import sparse_rows
    >>> found = sparse_rows({"locations": [[0, 2], [2, 0]], "activations": [1.5, 2.0], "shape": (3, 4)})
    >>> found.shape, found.toarray()[0].tolist()
    ((3, 4), [0.0, 0.0, 1.5, 0.0])
    """
    from scipy import sparse

    if isinstance(value, Mapping):
        rows = _from_locations(value, name)
    elif sparse.issparse(value):
        rows = value
    else:
        torch, tensor = sys.modules["torch"], value.detach().cpu()
        tensor = tensor if tensor.layout == torch.sparse_coo else tensor.to_sparse_coo()
        if not tensor.is_complex():
            few_bits = tensor.dtype.itemsize <= (4 if tensor.is_floating_point() else 1)
            tensor = tensor.to(torch.float32 if few_bits else torch.float64)
        tensor = tensor.coalesce()
        if tensor.ndim != 2 or tensor.dense_dim():
            raise ShapeError(f"{name} must have shape (n_samples, n_features): got shape {tuple(tensor.shape)}.")
        places = tensor.indices().numpy()
        rows = sparse.coo_array((tensor.values().numpy(), (places[0], places[1])), shape=tuple(tensor.shape))
    if rows.ndim != 2 or not all(rows.shape or (0,)):
        raise ShapeError(f"{name} must have shape (n_samples, n_features), both at least 1: got shape {rows.shape}.")
    if rows.dtype.kind not in "biuf":
        raise DTypeError(f"{name} must hold numbers, {', '.join(FLOAT_NAMES)} or integers: got {rows.dtype!r}.")
    few_bits = rows.dtype.itemsize <= (4 if rows.dtype.kind == "f" else 1)
    # converted first: the sum of two bytes is no byte
    rows = sparse.csr_array(rows.astype(np.float32 if few_bits else np.float64), copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    if not np.isfinite(rows.data).all():
        first = int(np.flatnonzero(~np.isfinite(rows.data))[0])
        row = int(np.searchsorted(rows.indptr, first, side="right")) - 1
        raise NonFiniteError(
            f"{name} must be finite: got {rows.data[first]} at row {row}, feature {rows.indices[first]}. "
            "Drop or repair such rows in both representations."
        )
    return rows


def column_moments(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each column and the sum of squares around it, (d,) each; nothing cancels in the sums.

    Parameters
    ----------
    rows : scipy.sparse.csr_array of float64
    """
    n, d = rows.shape
    idle = n - np.bincount(rows.indices, minlength=d)
    mean = np.bincount(rows.indices, rows.data, d) / n
    mean += (np.bincount(rows.indices, rows.data - mean[rows.indices], d) - idle * mean) / n  # the rounding of the sums
    return mean, np.bincount(rows.indices, (rows.data - mean[rows.indices]) ** 2, d) + idle * mean**2


def _from_locations(value: Mapping[str, Any], name: str) -> Any:
    """Return the matrix of a mapping with locations, activations and shape."""
    from scipy import sparse

    if "shape" not in value:
        raise ShapeError(
            f"{name} must tell its shape, because rows without an active feature are rows too: got "
            f"{', '.join(map(repr, value))}. Pass {_FORM}."
        )
    try:
        places, numbers = (as_numpy(value[key], f"{key} of {name}") for key in ("locations", "activations"))
        shape = tuple(operator.index(size) for size in value["shape"])
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{name} must hold arrays of numbers: {error}. Pass {_FORM}.") from error
    k, *columns = places.shape or (0,)
    if columns != [len(shape)] or len(shape) not in (2, 3) or numbers.shape != (k,) or min(shape) < 0:
        raise ShapeError(
            f"{name} must have locations of shape (k, 2) or (k, 3), as many activations, and a shape of 2 or 3 "
            f"numbers, none of them negative: got {places.shape}, {numbers.shape} and {shape}. Pass {_FORM}."
        )
    numbers = numbers.astype(np.float32) if numbers.dtype.name in ("float16", "bfloat16") else numbers
    if places.dtype.kind not in "iu" or numbers.dtype.kind not in "biuf":
        raise DTypeError(
            f"{name} must have locations that are whole numbers and activations that are numbers: got "
            f"{places.dtype} and {numbers.dtype}. Convert them first."
        )
    if len(places) and not ((places >= 0) & (places < np.array(shape))).all():
        raise ShapeError(
            f"{name} must have locations within its shape {shape}: got up to {places.max(axis=0).tolist()} and from "
            f"{places.min(axis=0).tolist()}. Check the order of row and feature, and the shape."
        )
    rows = places[:, 0].astype(np.int64)
    if len(shape) == 3:
        rows = rows * shape[1] + places[:, 1]
    return sparse.coo_array((numbers, (rows, places[:, -1])), shape=(int(np.prod(shape[:-1])), shape[-1]))
