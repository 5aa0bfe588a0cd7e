"""Two sides of which at least one has sparse rows, such as features of sparse autoencoders, matched by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from ..core.arrays import Gate, dtype_name
from ..core.errors import OptionError, ShapeError
from ..core.sparse import is_sparse, sparse_rows
from ..measures import Measure, MomentMeasure
from .layers import LayerGroup
from .options import ExecutionOptions

__all__ = ["SparseSource"]

_BOTH = LayerGroup(("X",), ("Y",), (("X", "Y"),))


class SparseSource:
    """Rows of which one side or both are sparse. Each side has one layer, called X or Y."""

    layers_x, layers_y = ("X",), ("Y",)
    documents: np.ndarray | None = None

    def __init__(self, X: Any, Y: Any, gate: Gate) -> None:
        self.arrays = tuple(
            sparse_rows(side, name) if is_sparse(side) else gate(side, name)
            for side, name in zip((X, Y), self.layers_x + self.layers_y, strict=True)
        )
        if self.arrays[0].shape[0] != self.arrays[1].shape[0]:
            raise ShapeError(
                f"X and Y must have the same number of rows: got {self.arrays[0].shape} and {self.arrays[1].shape}. "
                "Rows are matched by position; rows without an active feature are rows too."
            )
        self.n_rows = int(self.arrays[0].shape[0])
        self.provenance = {
            f"{what}_{side}": dtype_name(array.dtype) if what == "dtype" else is_sparse(array)
            for what in ("dtype", "sparse")
            for side, array in zip("xy", self.arrays, strict=True)
        }

    def check(self, measures: Sequence[Measure], options: ExecutionOptions) -> None:
        """Raise OptionError for measures and options that products of sparse rows do not have."""
        if options.moments_precision != "fp64" or options.backend not in ("auto", "cpu", "reference"):
            raise OptionError(
                "sparse rows are multiplied in float64 on the CPU: got "
                f"precision={options.precision!r}, backend={options.backend!r}. Leave both out."
            )
        for measure in measures:
            if (
                not isinstance(measure, MomentMeasure)
                or measure.reads != "products"
                or measure.transform not in ("raw", "unit")
            ):
                raise OptionError(
                    f"{measure} is not computed from sparse rows: these have LinearCKA, RV2, and RSA in closed form "
                    "with the metrics cosine, dot and sqeuclidean. Pass X.toarray() if it fits into memory."
                )

    def width(self, side: int, _layer: str) -> int:
        return int(self.arrays[side].shape[1])

    def groups(self, _pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
        return [_BOTH]

    def reader(self, side: int, _layer: str) -> Callable[[int, int], Iterator[np.ndarray]]:
        """Return the reader of the side that is not sparse."""
        rows = np.asarray(self.arrays[side])
        return lambda start, stop: iter([rows[start:stop]])

    def gather(self, _side: int, _layer: str, _chosen: np.ndarray | None) -> NoReturn:
        raise OptionError("sparse rows are not gathered: they are compared by products of blocks. Pass X.toarray().")

    def chunks(self, group: LayerGroup, start: int = 0) -> NoReturn:
        self.gather(start, group.layers_x[0], None)
