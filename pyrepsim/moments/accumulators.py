"""Accumulators of moments: one pass over chunks of rows, in memory that does not depend on the number of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from ..backends import get_backend
from ..backends.checks import check_directions, check_finite, checked_threads
from ..backends.directions import any_direction, shared_direction
from ..backends.sums import ROWS_PER_CALL
from ..core.errors import OptionError, ShapeError, StateError, StoreError, check_choice
from ..core.paths import as_path
from ..core.states import open_sealed, write_sealed
from .centred import Centred, refuse_overflow
from .pair import Pair, Side
from .readback import Readback
from .saving import opened_moments, read_sums, write_moments
from .state import State, checked_layout

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TRANSFORMS", "MomentsSet"]

TRANSFORMS = ("raw", "unit", "unit_centred")


class MomentsSet:
    """Moments of several representations over the same rows, and of chosen pairs of them.

    The result has the same bits for any chunking of the rows, any number of threads and any memory layout.

    Parameters
    ----------
    widths : sequence of int
        The number of features of each representation.
    pairs : sequence of (int, int)
        Pairs of indices (i, j) of representations whose cross moments are kept.
    transforms : sequence of {"raw", "unit", "unit_centred"}
        Row transforms whose moments are kept: ``"raw"``: x; ``"unit"``: x / |x|, for cosine RSA; ``"unit_centred"``:
        (x - mean x) / |x - mean x|, for correlation RSA.
    precision : {"fp64", "fp32", "int24"}
        ``"fp32"``: products in float32, summed in float32 over 256 rows, then in float64. The error of an entry of the
        scatter is about 1e-6 sqrt(S_ii S_jj), against 1e-14 in float64. ``"int24"``, on the CPU: the rows are rounded
        to integers of 24 bits times a power of two for each feature and 256 rows. Sums of their products are exact, so
        they have the same bits on every processor. See docs/precision.md for its error, and when to use it.
    backend : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"reference"``.
    n_threads : int, optional
        By default all cores that this process may use.
    labels : sequence of str, optional
        Names of the representations in error messages.
    memory : int or str, optional
        Memory that may be used: bytes, or an amount such as ``"8GB"``. By default that of the machine, or of the
        control group (container, job) if that is less. A computation that needs more is refused before it starts.
    diagonals : bool, default False
        Of the products of a representation with itself, sum only the diagonal, which has the variances of the
        features. Such sums can be neither saved nor merged. Only with ``backend="cpu"``.

    Raises
    ------
    OptionError
        If an option is outside its domain.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((1000, 4))
    >>> moments = rs.MomentsSet([4, 4], pairs=[(0, 1)])
    >>> for start in range(0, 1000, 250):
    ...     moments.update([X[start : start + 250], 2 * X[start : start + 250]])
    >>> moments.n_samples
    1000
    >>> moments.between(0, 1).cross.shape
    (4, 4)
    """

    def __init__(
        self,
        widths: Sequence[int],
        pairs: Sequence[tuple[int, int]] = (),
        *,
        transforms: Sequence[str] = ("raw",),
        precision: str = "fp64",
        backend: str = "auto",
        n_threads: int | None = None,
        labels: Sequence[str] | None = None,
        memory: int | str | None = None,
        diagonals: bool = False,
    ) -> None:
        check_choice("precision", precision, get_backend(backend).moment_precisions)
        if not transforms or not set(transforms) <= set(TRANSFORMS):
            raise OptionError(f"transforms must name some of {', '.join(TRANSFORMS)}: got {tuple(transforms)!r}.")
        self.widths, self.pairs = checked_layout(widths, pairs, len(transforms), memory)
        self.transforms = tuple(kind for kind in TRANSFORMS if kind in transforms)
        self.precision = precision
        self.n_threads = checked_threads(n_threads)
        self.labels = tuple(labels) if labels is not None else tuple(f"array {i}" for i in range(len(self.widths)))
        if len(self.labels) != len(self.widths):
            raise OptionError(f"labels must name each of the {len(self.widths)} sides: got {self.labels}.")
        self._backend = get_backend(backend)
        self._diagonals = diagonals
        if diagonals and self.backend != "cpu":
            raise OptionError(f"diagonals are summed by backend 'cpu' only: got {backend!r}. Leave diagonals out.")
        self._live = self._new_live()
        self._directions = self._no_directions()
        self._merged: dict[str, State] = {}
        self._incomplete = False
        self._lock = Lock()
        self._centred: dict[str, Centred] = {}

    @property
    def backend(self) -> str:
        return self._backend.name

    @property
    def n_samples(self) -> float:
        return self._n_live + (self._merged[self.transforms[0]].n_samples if self._merged else 0)

    @property
    def _n_live(self) -> int:
        return next(iter(self._live.values())).n_samples

    def update(self, chunk: Sequence[Any]) -> None:
        """Add one chunk of rows.

        Parameters
        ----------
        chunk : sequence of ndarray of shape (n_rows, width)
            One array for each representation; row k of every array belongs to the same sample.

        Raises
        ------
        NonFiniteError, DegenerateError, ShapeError
            For NaN or infinity, for a row without direction (transforms ``"unit"`` and ``"unit_centred"``), or for
            arrays of other shapes. Nothing is added then.
        StateError
            If another thread uses this object at the same time.
        """
        self.add(self.checked(chunk))

    def checked(self, chunk: Sequence[Any], *, first_row: int | None = None) -> list[Any]:
        """The arrays of a chunk in the form that `add` takes, or the error that `update` would raise.

        ``first_row`` is the number of the first row in error messages; by default the number of rows added before.
        """
        if len(chunk) != len(self.widths):
            raise ShapeError(
                f"a chunk must hold {len(self.widths)} arrays, one for each representation: got {len(chunk)}."
            )
        gate = self._backend.rows_view
        views = [gate(array, label) for array, label in zip(chunk, self.labels, strict=True)]
        for view, width, label in zip(views, self.widths, self.labels, strict=True):
            if view.shape != (views[0].shape[0], width):
                raise ShapeError(
                    f"{label} must have shape ({views[0].shape[0]}, {width}), the rows of {self.labels[0]} "
                    f"and the width declared: got {view.shape}."
                )
        views = self._backend.stage(views)
        for view, label in zip(views, self.labels, strict=True):
            self._check_rows(view, label, int(self.n_samples) if first_row is None else first_row)
        return views

    def add(self, views: Sequence[Any]) -> None:
        """Add rows that `checked` returned."""
        with self._exclusive():
            self._check_complete()
            self._clear_centred()
            self._incomplete = True  # until every row transform has had every row
            for kind, known in self._directions.items():
                self._directions[kind] = [
                    shared_direction(view, kind, so_far) for view, so_far in zip(views, known, strict=True)
                ]
            for start in range(0, len(views[0]), ROWS_PER_CALL):
                part = [view[start : start + ROWS_PER_CALL] for view in views]
                for moments in self._live.values():
                    moments.update(part, self.n_threads)
            self._incomplete = False

    def state(self, transform: str = "raw") -> State:
        """The sums over all rows so far, as a frozen copy; NonFiniteError if they do not fit in float64."""
        with self._exclusive():
            state = self._read(transform)
        refuse_overflow(state, self.labels)
        return state

    def arrays(self, *, shift: Any = None, transform: str = "raw") -> dict[str, np.ndarray]:
        """The sums over all rows so far as plain arrays, for other tools: see `State.arrays`."""
        return self.state(transform).arrays(shift)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], **options: Any) -> MomentsSet:
        """Return moments with the sums that `arrays` gave, perhaps added over processes; more rows can be added.

        Parameters
        ----------
        arrays : mapping of str to array-like
            See `State.arrays`; sums about one shift can be added, entry by entry.
        **options : of the constructor, but no widths or pairs; ``transforms`` has one row transform
        """
        kinds = options.setdefault("transforms", ("raw",))
        check_choice("the number of transforms", len(kinds), (1,))
        state = State.from_arrays(arrays, transform=kinds[0], precision=options.get("precision", "fp64"))
        moments = cls._of_layout(state, options)
        moments.add_states({kinds[0]: state})
        return moments

    @classmethod
    def _of_layout(cls, state: State, options: dict[str, Any]) -> MomentsSet:
        return cls(state.widths, state.pairs, **options)

    def side(self, index: int, transform: str = "raw") -> Side:
        """Centred moments of one representation."""
        return self._centred_at(transform).side(index)

    def pair_at(self, k: int, transform: str = "raw") -> Pair:
        """Centred moments of the k-th pair."""
        if not 0 <= k < len(self.pairs):
            raise OptionError(f"k must be one of the {len(self.pairs)} pairs, from 0: got {k!r}.")
        return self._centred_at(transform).pair_at(k)

    def between(self, i: int, j: int, transform: str = "raw") -> Pair:
        """Moments of representations i and j in this order; ``pairs`` holds (i, j) or (j, i)."""
        return self._centred_at(transform).between(i, j)

    def on_device(self) -> tuple[Readback, dict[str, Centred]] | None:
        """The sums of each row transform, centred where a GPU made them; None where the host has them (merged ones)."""
        device = getattr(self._live[self.transforms[0]], "device", None)
        if device is None or self._merged or not self._n_live:
            return None
        readback, options = Readback(device), {"n_threads": self.n_threads}
        with self._exclusive():
            states = {kind: self._read(kind, on_device=True) for kind in self.transforms}
        return readback, {k: Centred(s, self.labels, **options, readback=readback) for k, s in states.items()}

    def merge(self, other: MomentsSet) -> None:
        """Add the samples of ``other``, which was accumulated with the same options."""
        for option in ("transforms", "widths", "pairs", "precision"):
            ours, theirs = getattr(self, option), getattr(other, option)
            if ours != theirs:
                raise OptionError(f"moments merge when they have the same {option}: got {ours} and {theirs}.")
        self.add_states({kind: other.state(kind) for kind in self.transforms})

    def add_states(self, states: Mapping[str, State]) -> None:
        """Add the samples of the given sums, one `State` for each row transform."""
        self._refuse_diagonals()
        with self._exclusive():
            self._check_complete()
            self._merged = {
                kind: self._merged[kind] + states[kind] if self._merged else states[kind] for kind in self.transforms
            }
            self._clear_centred()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a file with a checksum, so that `restore` continues with the same bits."""
        if not as_path(path).parent.is_dir():
            raise StoreError(f"moments must be saved in a folder that exists: {path} is in none. Create it first.")
        write_sealed(path, self.write)

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote; the options must be those of the accumulator that wrote it.

        Everything is read and checked first, so a damaged file (CorruptStoreError) changes nothing.
        """
        with open_sealed(path) as (_, file):
            self.read(file, path)

    def write(self, file: BinaryIO) -> None:
        """Write everything to an open file, for `read`."""
        self._refuse_diagonals()
        with self._exclusive():
            self._check_complete()
            sums = {
                f"live/{kind}": {**live.get_state(complete=False), "directions": self._directions.get(kind, ())}
                for kind, live in self._live.items()
            }
            sums |= {f"merged/{kind}": vars(state) for kind, state in self._merged.items()}
            write_moments(file, self._options(), sums)

    def read(self, file: BinaryIO, path: str | os.PathLike[str]) -> None:
        """Read what `write` wrote, as `restore` does. `path` is for messages."""
        self._refuse_diagonals()
        with opened_moments(file, path) as (header, arrays):
            for key, value in self._options().items():
                if header[key] != value:
                    raise StoreError(
                        f"{path}: saved moments must have the same {key}: got {header[key]}, want {value}."
                    )
            live = {kind: read_sums(arrays, header, f"live/{kind}") for kind in self.transforms}
            merged = {}
            if any(name.startswith("merged/") for name in header["n_samples"]):
                merged = {
                    kind: self._as_state(
                        found := read_sums(arrays, header, f"merged/{kind}"), kind, found["directions"]
                    )
                    for kind in self.transforms
                }
        for parts in ([part["n_samples"] for part in live.values()], [state.n_samples for state in merged.values()]):
            if len(set(parts)) > 1:
                raise StoreError(f"{path}: all row transforms must have seen the same rows: got {parts}.")
        fresh, directions = self._new_live(), self._no_directions()
        for kind, sums in live.items():
            found = sums.pop("directions")
            if kind in directions and sums["n_samples"]:
                directions[kind] = found
            # backends hold back more or fewer rows until they make a block: these go in again as rows
            pending = sums["pending"]
            n_summed = sums["n_samples"] - len(pending[0])
            fresh[kind].set_state({**sums, "n_samples": n_summed, "pending": [rows[:0] for rows in pending]})
            if len(pending[0]):
                fresh[kind].update(pending, self.n_threads)
        with self._exclusive():
            self._live, self._merged, self._incomplete = fresh, merged, False
            self._directions = directions
            self._clear_centred()

    def _refuse_diagonals(self) -> None:
        if self._diagonals:
            raise OptionError("sums of diagonals can be neither saved nor merged. Make them without diagonals=True.")

    def _centred_at(self, transform: str) -> Centred:
        if transform not in self._centred:  # several threads may read what is already centred
            with self._exclusive():
                self._centred[transform] = Centred(self._read(transform), self.labels, n_threads=self.n_threads)
        return self._centred[transform]

    def _read(self, transform: str, *, on_device: bool = False) -> State:
        if transform not in self._live:
            raise OptionError(
                f"these moments keep transforms={self.transforms}: {transform!r} rows were not summed. "
                f"Make them with transforms={(*self.transforms, transform)!r}, or let rs.compare choose."
            )
        self._check_complete()
        get_state = self._live[transform].get_state
        sums = self._live[transform].state_on_device() if on_device else get_state(True, self.n_threads)
        state = self._as_state(sums, transform, self._directions.get(transform, ()))
        if not self._merged:
            return state
        # copied where there is nothing to add
        return self._merged[transform] + state if state.n_samples else 1.0 * self._merged[transform]

    def _options(self) -> dict[str, Any]:
        return {"widths": self.widths, "pairs": self.pairs, "transforms": self.transforms, "precision": self.precision}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `MomentsSet` for another one like it."""
        return {**self._options(), "backend": self.backend, "n_threads": self.n_threads, "labels": self.labels}

    def _new_live(self) -> dict[str, Any]:
        options = {"precision": self.precision, **({"diagonals": True} if self._diagonals else {})}
        return {
            kind: self._backend.Moments(self.widths, self.pairs, transform=kind, **options) for kind in self.transforms
        }

    def _no_directions(self) -> dict[str, list[np.ndarray | None]]:
        return {kind: [any_direction(d) for d in self.widths] for kind in self.transforms if kind != "raw"}

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise StateError(
                "moments must be updated and read by one thread at a time: another thread is using these. "
                "Use one accumulator for each thread and merge them."
            )
        try:
            yield
        finally:
            self._lock.release()

    def _clear_centred(self) -> None:
        self._centred.clear()

    def _check_complete(self) -> None:
        if self._incomplete:
            raise StateError(
                "moments must be complete to be read or updated: an earlier update was interrupted within its rows. "
                "Start again, or restore the last file that save(...) wrote."
            )

    def _check_rows(self, view: Any, label: str, first_row: int) -> None:
        def number(row: int) -> int:
            return first_row + row

        check_finite(self._backend, view, label, self.n_threads, number)
        for transform in self.transforms:
            check_directions(self._backend, view, transform, label, self.n_threads, number)

    def _as_state(self, sums: Mapping[str, Any], transform: str, directions: Sequence[np.ndarray | None]) -> State:
        directions = directions if transform in self._directions else ()
        return State.of_sums(
            sums, transform=transform, precision=self.precision, pairs=self.pairs, directions=directions
        )
