"""What the fitted maps of alignment.py share: fitting from rows or sums, options, checks of rows and of scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..core.arrays import as_numpy, check_paired, checked_rows
from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError, StateError
from ..measures.base import MomentsSource
from ..moments import Pair, PairedMoments, Side

__all__ = ["FittedMap", "TwoMaps", "column_correlations", "varies_by_column"]


@dataclass
class FittedMap(ABC):
    """Options as fields, as scikit-learn expects them; the moments that a map is fitted from, and the rows it maps."""

    def fit(self, X: Any, Y: Any) -> Any:
        """Fit the maps to two arrays of shape (n_samples, d_x) and (n_samples, d_y), and return the object."""
        x, y = check_paired(X, Y)
        moments = PairedMoments(x.shape[1], y.shape[1])
        moments.update(x, y)
        return self.fit_moments(moments)

    def fit_moments(self, moments: MomentsSource) -> Any:
        """Fit the maps to the rows whose moments are given, and return the object."""
        pair = moments.pair()
        with one_blas_thread():
            self._fit(pair if getattr(self, "center", True) else _uncentred(pair))
        return self

    @abstractmethod
    def _fit(self, pair: Pair) -> None: ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - of scikit-learn
        """Return the options by name."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    def set_params(self, **options: Any) -> Any:
        """Change options, and return the object."""
        if unknown := sorted(options.keys() - self.get_params().keys()):
            raise OptionError(
                f"options of {type(self).__name__} are {', '.join(self.get_params())}: got {', '.join(unknown)}."
            )
        changed = type(self)(**{**self.get_params(), **options})
        for name in options:
            setattr(self, name, getattr(changed, name))
        return self

    def _rows(self, rows: Any, name: str, width: str) -> np.ndarray:
        """Return rows as float64, or an error unless the object is fitted and they have the features that it knows."""
        if not hasattr(self, width):
            raise StateError(f"{type(self).__name__} must be fitted before it maps rows. Call fit(X, Y) first.")
        x = np.asarray(checked_rows(as_numpy(rows, name), name), dtype=np.float64)
        known = getattr(self, width)
        if x.shape[1] != known:
            raise ShapeError(f"{name} must have the {known} features of fit: got shape {x.shape}. Pass the same layer.")
        if not np.isfinite(x).all():
            raise NonFiniteError(f"{name} must be finite: got NaN or infinity. Leave such rows out of both arrays.")
        return x

    def _set_sides(self, pair: Pair) -> None:
        self.n_features_in_, self.n_features_y_ = pair.x.n_features, pair.y.n_features
        self.mean_x_, self.mean_y_ = pair.x.mean, pair.y.mean


class TwoMaps(FittedMap):
    """A linear map of each side into one space: ``W_x_`` and ``W_y_``, (d_x, k) and (d_y, k)."""

    W_x_: np.ndarray
    W_y_: np.ndarray

    def transform(self, X: Any, Y: Any = None) -> Any:
        """Return the mapped rows (X - m_x) W_x, (n, k), or those of X and of Y."""
        x = (self._rows(X, "X", "n_features_in_") - self.mean_x_) @ self.W_x_
        return x if Y is None else (x, (self._rows(Y, "Y", "n_features_y_") - self.mean_y_) @ self.W_y_)


def _uncentred(pair: Pair) -> Pair:
    """The same moments around 0 in place of the means."""

    def side(own: Side) -> Side:
        scatter = own.scatter + own.n_samples * np.outer(own.mean, own.mean)
        return Side(own.n_samples, np.zeros_like(own.mean), scatter, float(np.sum(scatter**2)), own.norms, own.epsilon)

    cross = pair.cross + pair.n_samples * np.outer(pair.x.mean, pair.y.mean)
    return Pair(side(pair.x), side(pair.y), cross, float(np.sum(cross**2)), pair.norms)


def column_correlations(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of each column of A with the same column of B."""
    a, b = A - A.mean(axis=0), B - B.mean(axis=0)
    varies = varies_by_column(A, a) & varies_by_column(B, b)
    if not varies.all():
        raise DegenerateError(
            f"a correlation needs columns that vary: mapped column {int(np.argmin(varies))} is constant up to rounding "
            "over these rows. Pass more rows, or fit fewer components."
        )
    return np.einsum("nk,nk->k", a, b) / np.sqrt(np.einsum("nk,nk->k", a, a) * np.einsum("nk,nk->k", b, b))


def varies_by_column(values: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Whether the elements of each column differ by more than the rounding of their mean, as in `Side.varying`."""
    return np.max(np.abs(centred), axis=0) > 8 * 2.0**-53 * np.max(np.abs(values), axis=0)
