"""The comparison of every representation of a list with every other one: a square matrix, and its figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..core.text import printable
from .tables import Records, TextTable, flat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ComparisonMatrix"]

_ROUNDING = 1e-6
"""Largest difference of the diagonal from 0 or 1, to which angles of equal shapes are computed."""
_MOST_SHOWN = 12


@dataclass(frozen=True, eq=False)
class ComparisonMatrix(Records):
    """The value of one measure for all pairs of a list of representations, with their names.

    ``np.asarray(matrix)`` and ``matrix.values`` are the numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> networks = {"a": X, "b": X + 0.5 * rng.standard_normal((500, 8)), "c": rng.standard_normal((500, 6))}
    >>> matrix = rs.compare_all(networks, rs.Procrustes(), value="angle")
    >>> matrix
    ComparisonMatrix(3 x 3, Procrustes, value='angle', n=500)
    >>> print(matrix.table())
    Procrustes (angle), n = 500
            a       b       c
    -  ------  ------  ------
    a  0.0000  0.4654  1.4588
    b  0.4654  0.0000  1.4629
    c  1.4588  1.4629  0.0000
    """

    names: tuple[str, ...]
    """Names of the representations, in the order of the rows and columns."""
    values: np.ndarray
    """The value for each pair, (k, k), float64, read-only. The row is X and the column Y."""
    measure: str
    """The measure as it is written in code."""
    n_samples: int
    """Number of rows that were compared."""
    value: str | None = None
    """Which number of the measure this is: None for its value, or the name of one of its details, such as "angle"."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Backend, precision, threads and version."""

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values."""
        return np.array(self.values, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        k, value = len(self.names), "" if self.value is None else f", value={self.value!r}"
        return printable(f"ComparisonMatrix({k} x {k}, {self.measure}{value}, n={self.n_samples:,})")

    @property
    def caption(self) -> str:
        """The measure, the value that was chosen, and the number of rows."""
        value = "" if self.value is None else f" ({self.value})"
        return f"{self.measure}{value}, n = {self.n_samples:,}"

    def distances(self) -> np.ndarray:
        """Return dissimilarities: symmetric, (k, k), 0 on the diagonal.

        Values whose diagonal is 0 are distances already. Those whose diagonal is 1 are similarities s, and become
        sqrt(2 - 2 s). Where the order of a pair matters, both orders are averaged.

        Raises
        ------
        DegenerateError
            If the diagonal is neither 0 nor 1, or a value is not defined.
        """
        diagonal = np.diag(self.values)
        if np.isnan(self.values).any():
            name = self.names[int(np.isnan(self.values).sum(axis=1).argmax())]
            raise DegenerateError(
                f"distances need values of all pairs: {self.caption} is not defined for {name!r}. Leave it out."
            )
        if np.allclose(diagonal, 0, rtol=0, atol=_ROUNDING):
            distances = np.abs(self.values)
        elif np.allclose(diagonal, 1, rtol=0, atol=_ROUNDING):
            distances = np.sqrt(np.maximum(2 - 2 * self.values, 0.0))
        else:
            raise DegenerateError(
                f"distances need values that are 0 or 1 for a representation and itself: {self.caption} has "
                f"{diagonal.min():.4g} to {diagonal.max():.4g}. Choose another measure or value."
            )
        distances = (distances + distances.T) / 2
        np.fill_diagonal(distances, 0.0)
        return distances

    def coordinates(self, n_dimensions: int = 2) -> np.ndarray:
        """Return points whose distances resemble those of the representations: classical multidimensional scaling.

        Parameters
        ----------
        n_dimensions : int, default 2
            At most k.

        Returns
        -------
        ndarray of shape (k, n_dimensions), float64
            Centred; axes by descending variance, each with its largest coordinate positive. Axes beyond those that
            Euclidean distances have are 0.

        References
        ----------
        Torgerson (1952), Psychometrika 17.
        """
        if not 1 <= n_dimensions <= len(self.names) or isinstance(n_dimensions, bool):
            raise OptionError(f"n_dimensions must be from 1 to {len(self.names)}: got {n_dimensions!r}.")
        squares = self.distances() ** 2
        centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
        values, vectors = np.linalg.eigh(-centred / 2)
        points = vectors[:, ::-1][:, :n_dimensions] * np.sqrt(np.maximum(values[::-1][:n_dimensions], 0.0))
        largest = points[np.argmax(np.abs(points), axis=0), np.arange(points.shape[1])]
        return points * np.where(largest < 0, -1.0, 1.0)

    def table(self) -> str:
        """Return the values as text; the first twelve rows and columns of larger matrices."""
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> TextTable:
        shown = self.names[:_MOST_SHOWN]
        rows = tuple(
            (name, *(f"{value:.4f}" for value in row[:_MOST_SHOWN]))
            for name, row in zip(shown, self.values, strict=False)
        )
        return TextTable(("", *shown), rows, self.caption)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the long table: a dict for each pair, with ``x``, ``y``, ``value``, the measure and the provenance."""
        recorded = {"measure": self.measure, "quantity": self.value or "value", "n_samples": self.n_samples}
        recorded |= dict(flat(self.provenance))
        return [
            {"x": x, "y": y, "value": float(self.values[i, j]), **recorded}
            for i, x in enumerate(self.names)
            for j, y in enumerate(self.names)
        ]

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, ax: Axes | None = None, title: str | None = None
    ) -> Figure:
        """Draw a heat map, on `ax` if given, and write it to `path` if given; ``title=""`` for none."""
        from .matrix_figures import heat_map

        return heat_map(self, path, ax, title)

    def dendrogram(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        method: str = "average",
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw the hierarchical clustering of the representations by `distances`.

        Parameters
        ----------
        path : path-like, optional
            File to write; its ending (.svg, .png, .pdf) chooses the format.
        method : {"average", "single", "complete", "weighted"}, default "average"
            The distance of two clusters, as in `scipy.cluster.hierarchy.linkage`.
        ax, title : optional
            As of `plot`.
        """
        from .matrix_figures import dendrogram

        return dendrogram(self, path, method, ax, title)

    def mds(
        self, path: str | os.PathLike[str] | None = None, *, ax: Axes | None = None, title: str | None = None
    ) -> Figure:
        """Draw the representations as points, at their `coordinates`; arguments as of `plot`."""
        from .matrix_figures import mds

        return mds(self, path, ax, title)
