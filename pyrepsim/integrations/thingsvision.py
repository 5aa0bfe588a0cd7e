"""thingsvision: `get_cka`, `compute_rdm` and `correlate_rdms` by pyrepsim, also where thingsvision is not installed.

As there, arrays of float32 are computed in float32, except for Euclidean distances.
"""

from __future__ import annotations

import importlib
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..comparison import compare
from ..core.arrays import as_numpy
from ..core.errors import DegenerateError, OptionError, ShapeError
from ..measures import KernelCKA, LinearCKA
from ..pairwise import compare_rdms, pdist, rdm
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["CKA", "compute_rdm", "correlate_rdms", "get_cka", "patched"]


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute CKA, RDMs and their correlations with pyrepsim where thingsvision is called.

    Parameters
    ----------
    any_version
        Patch a version of thingsvision that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def get_cka(
    backend: str,
    m: int,
    kernel: str = "linear",
    unbiased: bool = False,
    sigma: float | None = 1.0,
    device: str | None = None,
    verbose: bool = False,
) -> CKA:
    """Return an object with the method ``compare``, as `thingsvision.core.cka.get_cka` does.

    Parameters
    ----------
    backend : {"numpy", "torch"}
        The type of the value: a NumPy number, or a tensor of the type of X.
    m : int
        Number of rows. Not used: any number of rows is compared.
    kernel : {"linear", "rbf"}, default "linear"
    unbiased : bool, default False
        Use the unbiased HSIC.
    sigma : float, optional
        Width of the RBF kernel; None takes the root of the median squared distance between rows of each side.
    device : str, optional
        "cpu", or "cuda" to compute on the GPU.
    verbose : bool, default False
        Not used.

    Raises
    ------
    OptionError
        For another backend, kernel or width.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations import thingsvision
    >>> X = np.random.default_rng(0).standard_normal((100, 512))
    >>> cka = thingsvision.get_cka("numpy", m=100, kernel="rbf", unbiased=True, sigma=None)
    >>> round(float(cka.compare(X, X[:, :256])), 3)
    0.719
    """
    del verbose
    return CKA(backend, m, kernel, unbiased, sigma, device)


@dataclass(frozen=True)
class CKA:
    """CKA with the interface of thingsvision: see `get_cka`."""

    backend: str
    m: int
    kernel: str = "linear"
    unbiased: bool = False
    sigma: float | None = 1.0
    device: str | None = None

    def __post_init__(self) -> None:
        for option, known in (("backend", ("numpy", "torch")), ("kernel", ("linear", "rbf"))):
            if getattr(self, option) not in known:
                raise OptionError(f"{option} must be {known[0]} or {known[1]}: got {getattr(self, option)!r}.")
        if self.kernel == "rbf" and self.sigma is not None:
            KernelCKA(bandwidth=float(self.sigma))  # raises OptionError for a width that is none

    def compare(self, X: Any, Y: Any) -> Any:
        """Return the CKA of two arrays or tensors of shape (m, d) and (m, p)."""
        computed_on = "cuda" if (self.device or "").startswith("cuda") else "auto"
        precision = _precision(X, Y)
        x, y, measure = X, Y, LinearCKA(debiased=self.unbiased)
        if self.kernel == "rbf" and self.sigma is None:
            x, y = (self._over_median(side, name) for side, name in ((X, "X"), (Y, "Y")))
        if self.kernel == "rbf":
            measure = KernelCKA(bandwidth=1.0 if self.sigma is None else float(self.sigma), debiased=self.unbiased)
        score: Any = compare(x, y, measure, backend=computed_on, precision=precision, progress=False)
        if self.backend == "numpy":
            return np.float64(score.value)
        torch = importlib.import_module("torch")
        return torch.tensor(score.value, dtype=X.dtype if torch.is_tensor(X) else torch.from_numpy(X[:0]).dtype)

    def _over_median(self, rows: Any, name: str) -> np.ndarray:
        """Return the rows over the root of the median of the squared distances other than 0."""
        rows = np.asarray(as_numpy(rows, name), np.float64)
        squares = pdist(rows, "sqeuclidean", precision="fp64", progress=False)
        squares = squares[squares > 0]  # equal rows have the distance 0 exactly
        if not len(squares):
            raise DegenerateError(
                f"the median distance must be a number > 0: all rows of {name} are equal. Pass sigma."
            )
        middle = (len(squares) - 1) // 2  # of two middle entries, torch.median takes the lower one
        median = np.median(squares) if self.backend == "numpy" else np.partition(squares, middle)[middle]
        return rows / math.sqrt(median)


def compute_rdm(X: Any, method: str) -> np.ndarray:
    """Return the RDM of the rows of X, (n, n), as `thingsvision.core.rsa.compute_rdm` does.

    Parameters
    ----------
    X : array-like of shape (n, d)
    method : {"correlation", "cosine", "euclidean", "gaussian"}
        "gaussian" is 1 - exp(-D / mean D) of the squared distances D; the mean has the zeros of the diagonal too.

    Raises
    ------
    OptionError
        For another method.
    PyrepsimError
        As in `rdm`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations import thingsvision
    >>> thingsvision.compute_rdm(np.eye(3), "cosine")
    array([[0., 1., 1.],
           [1., 0., 1.],
           [1., 1., 0.]])
    """
    if method not in (known := ("correlation", "cosine", "euclidean", "gaussian")):
        raise OptionError(f"method must be one of {', '.join(known)}: got {method!r}.")
    metric = "sqeuclidean" if method == "gaussian" else method
    precision = "fp64" if method == "euclidean" else _precision(X)
    distances = rdm(X, metric, square=True, precision=precision, progress=False)
    if method != "gaussian":
        return distances
    if not (mean := float(np.mean(distances))) > 0:
        raise DegenerateError("gaussian RDMs need rows that differ: all rows are equal. Check the layer.")
    return -np.expm1(-distances / mean)


def correlate_rdms(rdm_1: Any, rdm_2: Any, correlation: str = "pearson") -> float:
    """Return the correlation of the entries above the diagonals of two RDMs, (n, n) each.

    Parameters
    ----------
    rdm_1, rdm_2 : array-like of shape (n, n)
    correlation : {"pearson", "spearman"}, default "pearson"

    Raises
    ------
    OptionError
        For another correlation.
    ShapeError
        If the RDMs are no matrices of the same size.
    PyrepsimError
        As in `compare_rdms`.
    """
    if correlation not in ("pearson", "spearman"):
        raise OptionError(f"correlation must be pearson or spearman: got {correlation!r}.")
    one, other = np.asarray(rdm_1), np.asarray(rdm_2)
    if one.ndim != 2 or one.shape != other.shape or one.shape[0] != one.shape[1]:
        raise ShapeError(f"RDMs must have the same shape (n, n): got {one.shape} and {other.shape}.")
    above = np.triu_indices(len(one), k=1)
    return np.float64(compare_rdms(one[above], other[above], correlation))


def _precision(*arrays: Any) -> str:
    return "fp64" if any("64" in str(getattr(array, "dtype", "float64")) for array in arrays) else "fp32"


def _compare(self: Any, X: Any, Y: Any) -> Any:
    """`compare` of thingsvision's CKA objects."""
    on_torch = type(self).__name__ == "CKATorch"
    if on_torch and self.device.type != "cpu":
        raise NotCovered("devices other than the CPU")
    if self.kernel not in ("linear", "rbf"):
        raise NotCovered("other kernels")
    return CKA("torch" if on_torch else "numpy", self.m, self.kernel, self.unbiased, self.sigma).compare(X, Y)


def _compute_rdm(X: Any, method: str) -> np.ndarray:
    """`compute_rdm`, in the element type that thingsvision returns."""
    return compute_rdm(X, method).astype(X.dtype if method in ("correlation", "cosine") else np.float64)


_CORE = "thingsvision.core"
_HOST = Host(
    "thingsvision",
    ">=2.7,<2.8",
    {
        f"{_CORE}.cka.cka_numpy.CKANumPy.compare": _compare,
        f"{_CORE}.cka.cka_torch.CKATorch.compare": _compare,
        f"{_CORE}.rsa.helpers.compute_rdm": _compute_rdm,
        f"{_CORE}.rsa.helpers.correlate_rdms": correlate_rdms,
    },
)
