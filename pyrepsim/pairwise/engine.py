"""The pairwise engine: packs the rows of layers once, and sweeps over all their pairs in interruptible slices."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from numbers import Integral
from types import ModuleType
from typing import Any

import numpy as np

from ..backends import get_backend
from ..backends.checks import check_directions, check_finite, checked_threads
from ..backends.directions import any_direction, shared_direction
from ..core.errors import BackendError, OptionError, ShapeError
from ..core.memory import format_bytes, memory_budget
from ..core.progress import progress_bar
from .bounds import entry_error
from .metrics import Metric, metric_named
from .sizes import check_largest_row, check_sizes, refuse_sizes
from .whitening import whiten

__all__ = ["FEW_FEATURES", "Estimate", "Packed", "PairwiseEngine", "equal_blocks"]

_BYTES = {"fp32": 4, "fp64": 8, "bf16": 2, "fast": 2}
_TILE_ROWS, _MOST_BLOCKS = 192, 64
"""Every block but the last is a whole number of tiles high; each pair of blocks is a task."""
_FEW_ROWS = 512
FEW_FEATURES = 32
"""With so few features some rows are so close that rounding to float32 changes their distance, and fp64 is cheap."""
_FINE_ROWS = 2048
_SLICE_SECONDS, _MOST_GROWTH = 0.15, 64
_rates: dict[tuple[str, int, str, str], float] = {}


@dataclass(frozen=True)
class Estimate:
    """Predicted memory and time of a run: see `PairwiseEngine.estimate`."""

    n_bytes: int
    """Memory for the packed rows of all layers and for stored results, in bytes."""
    seconds: float
    """Time of one sweep over all pairs of rows, from the speed of a small trial on this machine."""

    def __str__(self) -> str:
        return f"about {self.seconds:.2g} s and {format_bytes(self.n_bytes)}"


@dataclass(frozen=True, eq=False)
class Packed:
    """The rows of one layer, packed for sweeps by a metric; made by `PairwiseEngine.packed`."""

    label: str
    """Name of the layer in error messages."""
    panels: Any
    metric: Metric
    few: np.ndarray
    """Entries between a few evenly spaced rows, float64: for a provisional mean and range."""
    one_direction: bool = False
    """Whether the metric scales rows to length 1 and they are then equal up to rounding."""
    error: float = 0.0
    """The largest rounding error of an entry: see pairwise/bounds.py."""
    simplex: bool = False
    """Whether whitened rows span n - 1 dimensions, so that all their distances are equal whatever the data are."""


def equal_blocks(n_rows: int) -> np.ndarray:
    """Boundaries of at most 64 equal blocks of rows, int64, from 0 to n_rows."""
    tiles = -(-n_rows // _TILE_ROWS)
    height = _TILE_ROWS * -(-tiles // _MOST_BLOCKS)
    return np.append(np.arange(0, n_rows, height, dtype=np.int64), np.int64(n_rows))


class PairwiseEngine:
    """Computes n x n matrices of distances tile by tile and reduces each tile at once; the matrix is never stored.

    Parameters
    ----------
    backend : {"auto", "cpu", "cuda", "reference"}
        `pyrepsim.show_config` shows which ones work here.
    n_threads : int, optional
        By default all cores that this process may use. Results have the same bits for any number.
    precision : {"auto", "fp32", "fp64", "bf16", "fast"}
        Of the tiles; sums over tiles are float64. ``"auto"`` is fp32, except for ranks of up to 2048 rows. ``"bf16"``
        is for dot products of bfloat16 rows. ``"fast"`` is for GPUs: rows are rounded to half precision after shift and
        scaling.
    memory : int or str, optional
        As in `compare`.
    progress : bool, optional
        Whether to show a progress bar. None: on a terminal and in a notebook; lines in a log.
    blocks : array-like of int, optional
        Ascending row boundaries from 0 to n_rows of the groups of rows for which sums are kept separately (documents,
        for example); by default equal blocks.

    Raises
    ------
    OptionError
        If an option is outside its domain.
    BackendError
        If the backend does not work on this machine.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((50, 8))
    >>> engine = rs.PairwiseEngine(precision="fp64")
    >>> packed = engine.packed_layers([X, X + 1.0], "euclidean")
    >>> (sums,) = rs.pairwise.pair_sums(engine, packed, [(0, 1)])
    >>> round(sums.pearson(), 4)
    1.0
    """

    def __init__(
        self,
        *,
        backend: str = "auto",
        n_threads: int | None = None,
        precision: str = "auto",
        memory: int | str | None = None,
        progress: bool | None = None,
        blocks: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self.backend = get_backend(backend)
        known = ("auto", *self.backend.tile_precisions)
        if precision not in known:
            raise OptionError(
                f"precision of tiles must be one of {', '.join(known)} on backend {self.backend.name!r}: "
                f"got {precision!r}.{' Pass backend=' + repr('cuda') + ' with it.' if precision == 'fast' else ''}"
            )
        if n_threads is not None:
            self.n_threads = checked_threads(n_threads)
        self.precision = "fp32" if precision == "auto" else precision
        self.moments_precision = "fp32" if precision == "fp32" else "fp64"
        """Precision of moments for measures that sum them from gathered rows: fp64 unless fp32 was requested."""
        self._requested = precision
        self._memory = memory_budget(memory)
        self._progress = progress
        self.blocks = None if blocks is None else np.asarray(blocks, dtype=np.int64)
        """Boundaries of the blocks of rows whose sums are kept apart; None for equal blocks."""
        self._row_numbers: np.ndarray | None = None

    @cached_property
    def n_threads(self) -> int:
        """Number of threads; the number of cores is read at first use, which takes as long as a small RDM."""
        return checked_threads(None)

    @property
    def host(self) -> ModuleType:
        """The backend for rows that are in host memory: the same one, or that of the CPU beside a GPU."""
        return get_backend() if self.backend.name.startswith("cuda") else self.backend

    def naming_rows(self, numbers: np.ndarray | None) -> PairwiseEngine:
        """The same engine, whose error messages call row i ``numbers[i]`` (for samples of rows)."""
        if numbers is None and self._row_numbers is None:
            return self
        named = copy.copy(self)
        named._row_numbers = numbers
        return named

    def for_ranks(self, n_rows: int) -> PairwiseEngine:
        """The engine for ranks: with ``precision="auto"`` and few rows it uses fp64, so that ties stay ties."""
        if self._requested != "auto" or n_rows > _FINE_ROWS:
            return self
        return self.exact()

    def exact(self) -> PairwiseEngine:
        """The same engine with precision fp64."""
        finer = copy.copy(self)
        finer.precision = "fp64"
        return finer

    @property
    def entry_type(self) -> type:
        """Element type of the entries of tiles."""
        return np.float64 if self.precision == "fp64" else np.float32

    def panels(self, rows: Any, metric: str, *, label: str = "X") -> Any:
        """Rows of shape (n, d), packed for sweeps by ``metric``: see `panels_of`."""
        return self.panels_of([rows], metric, [label])[0]

    def panels_of(self, sides: Sequence[Any], metric: str, labels: Sequence[str]) -> list[Any]:
        """Packed sides whose rows are compared with each other: all have the same shift and the same whitening.

        For results that hold every entry. With few features, precision "fp32" then applies to the entries only, and
        operands are fp64.

        Raises ShapeError, DTypeError, NonFiniteError, or DegenerateError for a row without direction if the metric
        needs one.
        """
        chosen = metric_named(metric)
        views, shift = self._operands(sides, chosen, labels)
        if self.one_direction(metric, *views):  # distances of exactly 0
            views = [np.repeat(np.asarray(views[0][:1]), len(view), axis=0) for view in views]
        few = self.precision == "fp32" and views[0].shape[1] <= FEW_FEATURES
        precision = "fp64" if few else self.precision
        return [self._packed(view, chosen, shift, label, precision) for view, label in zip(views, labels, strict=True)]

    def packed(self, rows: Any, metric: str, *, label: str = "X") -> Packed:
        """The rows of one layer, shape (n, d), packed, with the entries between a few of them."""
        chosen = metric_named(metric)
        (view,), shift = self._operands([rows], chosen, [label])
        panels = self._packed(view, chosen, shift, label)
        few = _evenly(view, _FEW_ROWS)
        entries = np.zeros(len(few) * (len(few) - 1) // 2, self.entry_type)
        if len(entries):
            panels_of_few = self._new_panels(few, chosen.transform, shift, equal_blocks(len(few)))
            sweep = self.backend.DistanceSweep(panels_of_few, None, metric=chosen.kernel, out=entries)
            sweep.run(0, sweep.n_tasks, self.n_threads)
        return Packed(
            label,
            panels,
            chosen,
            entries.astype(np.float64),
            one_direction=self.one_direction(metric, view),
            error=entry_error(chosen, self.precision, few, entries),
            simplex=chosen.whitened and view.shape[1] >= len(view) - 1,
        )

    def one_direction(self, metric: str, *sides: Any) -> bool:
        """Whether the metric scales rows to length 1, and they are then equal up to rounding (backends/directions)."""
        transform = metric_named(metric).transform
        known = None if transform == "raw" else any_direction(sides[0].shape[1])
        return reduce(lambda so_far, rows: shared_direction(rows, transform, so_far), sides, known) is not None

    def packed_layers(self, layers: Sequence[np.ndarray], metric: str) -> list[Packed]:
        """`packed` for several layers over the same rows; each layer is read once and not kept."""
        names = getattr(layers, "labels", None) or (("X", "Y") if len(layers) == 2 else None)
        return [
            self.packed(layers[index], metric, label=names[index] if names else f"layer {index}")
            for index in range(len(layers))
        ]

    def _operands(
        self, sides: Sequence[Any], chosen: Metric, labels: Sequence[str]
    ) -> tuple[list[Any], np.ndarray | None]:
        """The rows for the engine, and the shift that it subtracts after the transform."""
        views = [self.backend.rows_view(side, label) for side, label in zip(sides, labels, strict=True)]
        for view, label in zip(views, labels, strict=True):
            self.refuse_bad_rows(view, chosen.transform, label)
            if view.shape[1] != views[0].shape[1]:
                raise ShapeError(
                    f"rows that are compared must have the same number of features: {labels[0]} has "
                    f"{views[0].shape[1]}, {label} has {view.shape[1]}."
                )
        shift = None
        if chosen.whitened:
            views = whiten([np.asarray(view) for view in views], self.backend, self.n_threads, self.entry_type)
        elif chosen.shifted and chosen.transform == "raw":
            few = [_evenly(view, _FEW_ROWS) for view in views]
            shift = self.backend.centre_on_grid(few[0] if len(few) == 1 else np.concatenate(few))
        elif chosen.shifted:
            n_rows = [len(view) for view in views]
            means = [self.backend.mean_row(view, chosen.transform, self.n_threads) for view in views]
            shift = np.sum([n * mean for n, mean in zip(n_rows, means, strict=True)], axis=0) / sum(n_rows)
        return views, shift

    def run(self, sweep: Any, desc: str) -> Any:
        """Run all tasks of a sweep, in slices for the progress bar and Ctrl-C, and return its result."""
        if sweep.n_tasks == 1:
            sweep.run(0, 1, 1)
            return sweep.result()
        done, step = 0, self.n_threads
        with progress_bar(sweep.n_tasks, self._progress, desc=desc, unit=" blocks", transient=True) as bar:
            while done < sweep.n_tasks:
                stop = min(done + step, sweep.n_tasks)
                began = time.monotonic()
                sweep.run(done, stop, self.n_threads)
                took = time.monotonic() - began
                # large slices, because threads wait for each other at the end of each
                step = max(self.n_threads, int(step * min(_SLICE_SECONDS / max(took, 1e-9), _MOST_GROWTH)))
                bar.update(stop - done)
                done = stop
        return sweep.result()

    def estimate(self, n_rows: int, widths: Sequence[int], metric: str = "cosine", *, kept: int = 0) -> Estimate:
        """Predict memory and time of one sweep over all pairs of rows.

        Parameters
        ----------
        n_rows : int
            Number of rows of each layer.
        widths : sequence of int
            Number of features of each layer.
        metric : str
            Name of a metric.
        kept : int
            Bytes that are stored in addition to the packed rows, such as an RDM.

        Returns
        -------
        Estimate
        """
        if not (isinstance(n_rows, Integral) and n_rows >= 1 and all(width >= 1 for width in widths)):
            raise OptionError(f"an estimate needs rows and widths of at least 1: got {n_rows!r} rows, {widths!r}.")
        rate = self._rate(metric_named(metric).kernel)
        seconds = float(n_rows) ** 2 / 2 * sum(max(width, 16) for width in widths) / rate
        return Estimate(self.packed_bytes(n_rows, widths) + kept, seconds)

    def packed_bytes(self, n_rows: int, widths: Sequence[int]) -> int:
        """Bytes of the packed rows of layers with these widths, including three norms for each row."""
        return sum((int(width) + 3) * _BYTES[self.precision] * n_rows for width in widths)

    def refuse_what_does_not_fit(self, n_bytes: int, what: str, remedy: str) -> None:
        """Raise ShapeError if ``n_bytes`` are more than the memory budget."""
        if n_bytes > self._memory:
            raise ShapeError(
                f"{what} must fit into memory: {format_bytes(n_bytes)} of {format_bytes(self._memory)}. {remedy}"
            )

    def _rate(self, kernel: str) -> float:
        """Speed in features of row pairs per second, from a trial of a few milliseconds."""
        key = (self.backend.name, self.n_threads, self.precision, kernel)
        if key not in _rates:
            n, took = 128, 0.0
            while took < 0.005 and n < 4096:
                n *= 2
                rows = np.random.default_rng(0).standard_normal((n, 64)).astype(np.float32)
                # raw rows without a shift are valid operands of every kernel
                panels = self._new_panels(rows, "raw", None, equal_blocks(n))
                sums = self.backend.SumSweep([panels], [], metric=kernel, maps=[None], origins=[0.0], row_sums=False)
                began = time.perf_counter()
                sums.run(0, sums.n_tasks, self.n_threads)
                took = time.perf_counter() - began
            _rates[key] = n * n / 2 * 64 / took
        return _rates[key]

    def _packed(
        self, view: Any, metric: Metric, shift: np.ndarray | None, label: str, precision: str | None = None
    ) -> Any:
        if self.precision == "bf16" and (metric.kernel != "dot" or view.dtype.name != "bfloat16"):
            raise OptionError(
                "precision='bf16' is for dot products of bfloat16 rows, which it multiplies without rounding: got "
                f"metric={metric.name!r} of {view.dtype.name} rows. Use precision='fp32'."
            )
        if metric.transform == "raw" and metric.squares:
            check_sizes(_evenly(view, _FEW_ROWS // 4), shift, label, self.precision)
        if metric.transform == "raw" and precision not in (None, self.precision):
            rows = _evenly(view, len(view))
            check_largest_row(rows, shift, label, self.precision, squares=metric.squares, number=self._number)
        self.refuse_what_does_not_fit(
            self.packed_bytes(len(view), [view.shape[1]]), f"the packed rows of {label}", "Take a sample of the rows."
        )
        return self._new_panels(view, metric.transform, shift, label=label, precision=precision)

    def _new_panels(
        self,
        rows: Any,
        transform: str,
        shift: np.ndarray | None,
        blocks: np.ndarray | None = None,
        label: str = "X",
        precision: str | None = None,
    ) -> Any:
        if blocks is None:
            blocks = equal_blocks(len(rows)) if self.blocks is None else self.blocks
        if blocks[0] != 0 or blocks[-1] != len(rows) or (np.diff(blocks) <= 0).any():
            raise OptionError(
                f"blocks must be ascending row boundaries from 0 to {len(rows)}: got {blocks.tolist()[:8]}."
            )
        options = {"transform": transform, "shift": shift, "blocks": blocks, "n_threads": self.n_threads}
        try:
            return self.backend.Panels(rows, precision=precision or self.precision, **options)
        except ValueError as error:
            if self.precision != "bf16":
                refuse_sizes(label, f"are not ({error})", self.precision)
            raise BackendError(f"bf16 products need special instructions: {error}. Use precision='fp32'.") from error

    def refuse_nonfinite(self, view: Any, label: str) -> None:
        """Raise NonFiniteError for NaN or infinity."""
        check_finite(self.backend, view, label, self.n_threads, self._number)

    def refuse_bad_rows(self, view: Any, transform: str, label: str) -> None:
        """Raise NonFiniteError for NaN or infinity, DegenerateError for a row that ``transform`` cannot normalise."""
        self.refuse_nonfinite(view, label)
        check_directions(self.backend, view, transform, label, self.n_threads, self._number)

    def _number(self, row: int) -> int:
        return row if self._row_numbers is None else int(self._row_numbers[row])


def _evenly(rows: Any, most: int) -> np.ndarray:
    """At most ``most`` evenly spaced rows, in host memory."""
    if isinstance(rows, np.ndarray) and len(rows) > most:
        return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    return np.asarray(rows[:: -(-len(rows) // most)])
