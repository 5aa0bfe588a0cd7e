"""torchmetrics: measures of representation similarity as a metric, over batches and over processes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import torch
from torch import Tensor

from ..backends import available_backends, get_backend
from ..backends.checks import check_finite
from ..backends.directions import any_direction, both_directions
from ..comparison import as_measures, compare
from ..core.arrays import check_paired
from ..core.errors import DTypeError, OptionError, PyrepsimError, ShapeError
from ..measures import Measure, MomentMeasure
from ..moments import PairedMoments, State
from ..moments.accumulators import TRANSFORMS
from .patching import base_class

__all__ = ["RepresentationSimilarity"]

Metric: Any = base_class("torchmetrics.Metric", "torchmetrics>=1.9,<2")


class RepresentationSimilarity(Metric):
    """Measures of representation similarity as a metric of torchmetrics.

    Row i of both tensors of an update belongs to the same sample. The value is that of all rows of all updates, and in
    a distributed run of all rows of all processes, as `compare` computes it from them.

    Measures of moments (CKA, CCA, Procrustes, RSA in closed form, ...) need memory that does not depend on the number
    of rows: the states are float64 sums about a shift near the mean, which every process has for itself, and `compute`
    merges them. Measures of rows (RSA by tiles, nearest neighbours, kernels) keep all rows, in lists that are gathered.

    Parameters
    ----------
    measures : Measure, str, or a sequence of these
        Such as ``rs.LinearCKA()`` or ``["SVCCA(variance=0.9)", "RSA"]``.
    d_x, d_y : int
        Numbers of features.
    **kwargs
        Of `torchmetrics.Metric`, such as ``dist_sync_on_step`` and ``process_group``.

    Raises
    ------
    OptionError
        If there is no such measure, or it needs the documents of rows, which a metric does not know.
    MissingExtraError
        If torchmetrics is not installed.

    Notes
    -----
    ``update(x, y)`` and ``forward(x, y)`` take tensors (n, d_x) and (n, d_y) of real numbers of any type, with 0 or
    more rows, on any device: on the CPU floats are read in place, and on an NVIDIA GPU they are summed there, if
    pyrepsim was built with CUDA. They raise ShapeError, DTypeError, NonFiniteError or DegenerateError, and add nothing,
    for rows that cannot be summed. The number of threads is that of torch (``torch.set_num_threads``).

    `compute` and ``forward`` return a float64 tensor for one measure, and for a sequence a dictionary with the texts of
    the measures as keys. A measure that is not defined on the rows, such as CKA of a single row, is NaN, with a warning
    that has the reason. Sums stay float64 when the metric is moved to another type.

    Examples
    --------
    >>> import torch
    >>> from pyrepsim.integrations.torchmetrics import RepresentationSimilarity
    >>> metric = RepresentationSimilarity("LinearCKA(debiased=True)", d_x=8, d_y=8)
    >>> rows = torch.randn(4, 50, 8, generator=torch.Generator().manual_seed(0))
    >>> for batch in rows:
    ...     metric.update(batch, batch + batch.roll(1, dims=0))
    >>> round(float(metric.compute()), 4)
    0.5167
    """

    is_differentiable = False
    higher_is_better = None  # more similar is not better
    full_state_update = True

    def __init__(self, measures: Measure | str | Sequence[Measure | str], d_x: int, d_y: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.measures = tuple(as_measures(measures))
        self.d_x, self.d_y = d_x, d_y
        self._single = isinstance(measures, Measure | str)
        for measure in self.measures:
            if getattr(measure, "per_document", None) is not None:
                raise OptionError(f"{measure}: the rows of a metric have no documents. Leave out per_document.")
        of_moments = [measure for measure in self.measures if _is_of_moments(measure)]
        self._transforms = tuple(kind for kind in TRANSFORMS if kind in {measure.transform for measure in of_moments})
        self._keeps_rows = len(of_moments) < len(self.measures)
        self._moments: PairedMoments | None = None
        """All sums so far, kept from one update to the next. While they are newer than the states, those are deleted:
        `__getattr__` makes them on first use."""
        self._sums: tuple[str, ...] = ()
        if self._transforms:
            empty = self._new_moments()
            states = {name: sums for kind in self._transforms for name, sums in _as_tensors(empty.state(kind)).items()}
            for name, sums in states.items():
                self.add_state(name, sums, dist_reduce_fx=None)
            self._sums = tuple(states)
        if self._keeps_rows:
            self.add_state("rows_x", [], dist_reduce_fx="cat")
            self.add_state("rows_y", [], dist_reduce_fx="cat")

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add rows of shape (n, d_x) and (n, d_y), matched by position."""
        if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
            raise DTypeError(f"x and y must be tensors: got {type(x).__name__} and {type(y).__name__}.")
        if x.shape == (0, self.d_x) and y.shape == (0, self.d_y):
            return
        if self._transforms:
            self._kept_moments(x).update(x, y)
            self._delete_states()
        else:
            self._check_rows(x, y)
        if self._keeps_rows:
            self.rows_x.append(x.detach().clone())
            self.rows_y.append(y.detach().clone())

    @torch.jit.unused
    def forward(self, x: Tensor, y: Tensor) -> Any:
        """Add rows, and return the value of these rows alone."""
        if self.dist_sync_on_step or self._is_synced:
            return super().forward(x, y)
        self.update(x, y)
        batch = None
        if self._transforms:
            batch = self._new_moments(x)
            if len(x):
                batch.update(x, y)
        self._forward_cache = self._values(batch, x, y)
        return self._forward_cache

    def compute(self) -> Any:
        """Return the value of all rows: a tensor for one measure, a dictionary of tensors for a sequence."""
        rows = [_joined(self.rows_x, self.d_x), _joined(self.rows_y, self.d_y)] if self._keeps_rows else [None, None]
        return self._values(self._kept_moments() if self._transforms else None, *rows)

    def merge_state(self, incoming_state: Any) -> None:
        """Add the rows of another metric of the same measures, given as the metric or as its ``metric_state``."""
        states = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        if not isinstance(states, Mapping) or set(states) != set(self._defaults):
            raise OptionError(
                f"metrics merge if they have the same measures: got {type(incoming_state).__name__} with other states."
            )
        self._computed = None
        if self._transforms:
            self._kept_moments().add_states({kind: _as_state(states, kind) for kind in self._transforms})
            self._delete_states()
        if self._keeps_rows:
            self.rows_x, self.rows_y = [*self.rows_x, *states["rows_x"]], [*self.rows_y, *states["rows_y"]]

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a value, several values, or by default that of `compute`; return the figure and the axes."""
        return self._plot(val, ax)

    def _new_moments(self, rows: Tensor | None = None) -> PairedMoments:
        on_gpu = rows is not None and rows.is_cuda and available_backends()["cuda"] is None
        return PairedMoments(
            self.d_x,
            self.d_y,
            transforms=self._transforms,
            backend="cuda" if on_gpu else "auto",
            n_threads=torch.get_num_threads(),
        )

    def _kept_moments(self, rows: Tensor | None = None) -> PairedMoments:
        """Return the sums so far: of this process, or of all while they are gathered, in the order of the processes."""
        if self._moments is None:
            moments, states = self._new_moments(rows), self.metric_state
            n_samples = states[f"n_samples_{self._transforms[0]}"]
            for process in range(len(n_samples)) if n_samples.ndim else [...]:
                moments.add_states({kind: _as_state(states, kind, process) for kind in self._transforms})
            self._moments = moments
        return self._moments

    def _delete_states(self) -> None:
        for name in self._sums:
            self.__dict__.pop(name, None)

    def _write_states(self) -> None:
        if self._moments is not None and not self.__dict__.keys() >= set(self._sums):
            for kind in self._transforms:
                states = _as_tensors(self._moments.state(kind))
                self.__dict__.update({name: sums.to(self.device) for name, sums in states.items()})

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("_sums", ()):
            self._write_states()
            return self.__dict__[name]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_sums", ()):  # torchmetrics resets, restores or gathers the states
            self._write_states()
            self._moments = None
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        self._write_states()
        return {**super().__getstate__(), "_moments": None}

    def _apply(self, fn: Any, exclude_state: Sequence[str] = ()) -> Any:  # noqa: ARG002 - all are excluded
        """Move the states to another device; they keep their types."""
        before = self.device
        module = super()._apply(fn, exclude_state=tuple(self._defaults))
        if self.device != before:
            for name, value in self.metric_state.items():
                moved = [v.to(self.device) for v in value] if isinstance(value, list) else value.to(self.device)
                setattr(self, name, moved)
        return module

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states; rows as matrices of one type, because a process may have none, or none of that type."""
        if self._keeps_rows:
            self.rows_x = [_joined(self.rows_x, self.d_x).to(self.device, torch.float64)]
            self.rows_y = [_joined(self.rows_y, self.d_y).to(self.device, torch.float64)]
        super()._sync_dist(*args, **kwargs)

    def _check_rows(self, x: Tensor, y: Tensor) -> None:
        """Raise the errors that sums of these rows would raise."""
        views = check_paired(x, y)
        for view, width, label in zip(views, (self.d_x, self.d_y), "XY", strict=True):
            if view.shape[1] != width:
                raise ShapeError(f"{label} must have {width} features, as declared: got shape {view.shape}.")
            check_finite(get_backend(), view, label, torch.get_num_threads(), int)

    def _values(self, moments: PairedMoments | None, x: Tensor | None, y: Tensor | None) -> Any:
        values = {str(measure): self._value(measure, moments, x, y) for measure in self.measures}
        tensors = {name: torch.tensor(value, dtype=torch.float64, device=self.device) for name, value in values.items()}
        return next(iter(tensors.values())) if self._single else tensors

    def _value(self, measure: Measure, moments: PairedMoments | None, x: Tensor | None, y: Tensor | None) -> float:
        try:
            if moments is not None and _is_of_moments(measure):
                score: Any = measure.score(moments)
            else:
                score = compare(x, y, measure, n_threads=torch.get_num_threads())
        except PyrepsimError as error:
            warnings.warn(f"{measure} is NaN: {error}", UserWarning, stacklevel=4)
            return math.nan
        if score.details.get("determined"):
            warnings.warn(
                f"{measure} does not depend on the data: {score.n_samples} centred rows have no more dimensions than "
                "the features span. Add more rows than features plus one.",
                UserWarning,
                stacklevel=4,
            )
        return score.value


def _is_of_moments(measure: Measure) -> TypeGuard[MomentMeasure]:
    return isinstance(measure, MomentMeasure) and not measure.needs_second_pass


def _as_tensors(state: State) -> dict[str, Tensor]:
    """Return the sums of a state by name. If the rows have several directions, the range of directions is empty."""
    arrays = state.arrays()
    for s, shared in enumerate(state.directions):
        arrays[f"directions_{s}"] = -any_direction(state.widths[s]) if shared is None else shared
    return {f"{name}_{state.transform}": torch.from_numpy(array) for name, array in arrays.items()}


def _as_state(tensors: Mapping[str, Any], kind: str, process: Any = ...) -> State:
    """Return the state of a process whose sums `_as_tensors` gave."""
    named = {name.removesuffix(f"_{kind}"): sums for name, sums in tensors.items() if name.endswith(f"_{kind}")}
    arrays = {name: sums[process].cpu().numpy() for name, sums in named.items()}
    directions = [arrays.pop(name) for name in sorted(arrays) if name.startswith("directions_")]
    state = State.from_arrays(arrays, transform=kind)
    return replace(state, directions=tuple(both_directions(shared, shared) for shared in directions))


def _joined(rows: list[Tensor] | Tensor, width: int) -> Tensor:
    """Return rows as one tensor, (n, width); they are one already when they were gathered."""
    if isinstance(rows, Tensor):
        return rows
    return torch.cat(rows) if rows else torch.empty(0, width)
