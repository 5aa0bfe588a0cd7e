"""What a measure is.

`Measure` declares the properties of a function of two representations. It has two kinds of subclasses, one for each
engine:

* `MomentMeasure` is computed from moments (sums, second moments): one pass over the rows, memory independent of the
  number of rows. It has ``evaluate(pair)``.
* `RowMeasure` needs the rows of whole layers: time grows with the square of their number. It has
  ``evaluate(layers, pairs, engine)``.

A new measure is one frozen dataclass with its options as fields, its declarations, and ``evaluate``.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Flag, auto
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, NonFiniteError, OptionError
from ..moments.pair import Pair, Side
from ..results import Score

if TYPE_CHECKING:
    from ..pairwise import PairSums, PairwiseEngine

__all__ = [
    "BlockSumMeasure",
    "Invariance",
    "Measure",
    "MomentMeasure",
    "MomentsSource",
    "Result",
    "RowMeasure",
    "per_layer",
]

Result = tuple[float, Mapping[str, Any]]
"""A value, and details such as ranks and correlations."""


class Invariance(Flag):
    """Maps of one representation, applied to every row x, that do not change the value of a measure.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> from pyrepsim.measures import Invariance
    >>> Invariance.ORTHOGONAL in rs.LinearCKA().invariant_x
    True
    >>> Invariance.INVERTIBLE in rs.LinearCKA().invariant_x
    False
    """

    NONE = 0
    TRANSLATION = auto()
    """x + t."""
    SCALING = auto()
    """s x with s > 0 (isotropic)."""
    PERMUTATION = auto()
    """The features in another order."""
    ORTHOGONAL = auto()
    """x Q with Q orthogonal."""
    INVERTIBLE = auto()
    """x A with A invertible."""


RIGID = Invariance.TRANSLATION | Invariance.PERMUTATION | Invariance.ORTHOGONAL
SIMILARITY = RIGID | Invariance.SCALING
AFFINE = SIMILARITY | Invariance.INVERTIBLE


class MomentsSource(Protocol):
    """An object that has the moments of two representations for each row transform, such as `PairedMoments`."""

    def pair(self, transform: str = "raw") -> Pair:
        """Return the centred moments of the rows after a row transform."""
        ...


@dataclass(frozen=True)
class Measure(ABC):
    """A function of two representations: the base class of all measures.

    A measure is a frozen dataclass whose fields are its options. Pass it to `compare`, or write it as text there:
    ``"SVCCA(variance=0.9)"``. Its properties are declarations, which the tests check.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> measure = rs.SVCCA(variance=0.9)
    >>> measure.range, measure.symmetric
    ((0.0, 1.0), True)
    >>> str(measure), measure == rs.parse_measure("SVCCA(variance=0.9)")
    ('SVCCA(variance=0.9)', True)
    """

    # Declarations. A subclass sets them, or overrides them with a property if they depend on its options.

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """Lowest and highest value, up to rounding."""
    symmetric: ClassVar[bool] = True
    """Whether the value is the same with X and Y exchanged."""
    invariant_x: ClassVar[Invariance]
    """Maps of X that do not change the value."""
    is_distance: ClassVar[bool] = False
    """Whether the value is 0 for equal representations and larger the less similar they are."""
    depends_on_matching: ClassVar[bool] = True
    """Whether the value depends on which row of X belongs to which row of Y, as a permutation test needs."""
    biased_by_copies: ClassVar[bool] = False
    """Whether repeated rows bias the value, as in an average over distinct rows: a bootstrap is then not valid."""

    biased_by_few_rows: ClassVar[bool] = False
    """Whether unrelated representations look alike where there are fewer rows than features."""

    def __post_init__(self) -> None:
        for option, kind, _ in _options_of(type(self)):
            object.__setattr__(self, option, _as_declared(self, option, kind))

    @property
    def invariant_y(self) -> Invariance:
        """Maps of Y that do not change the value: by default those of X."""
        return self.invariant_x

    @property
    def correlation_like(self) -> bool:
        """Whether equal representations have the value 1, the largest: intervals are then those of Fisher's z."""
        return not self.is_distance and self.range[1] == 1 and self.range[0] >= -1

    @property
    def array_form(self) -> RowMeasure | None:
        """The same measure for two arrays, if rows in memory give it in less time than moments."""
        return None

    def score(self, moments: MomentsSource) -> Score:  # noqa: ARG002
        """Return the score of the rows whose moments are given. Only a `MomentMeasure` has one.

        Raises
        ------
        OptionError
            If the measure reads rows.
        """
        raise OptionError(f"{self} cannot be computed from moments: it reads the rows. Use rs.compare.")

    def check_side(self, n_samples: float, constant: bool, label: str) -> None:
        """Raise DegenerateError where no measure is defined: fewer than two rows, or all rows equal."""
        if n_samples < 2:
            raise DegenerateError(f"{self} needs at least two rows: got {n_samples:g}. Pass more samples.")
        if constant:
            raise DegenerateError(
                f"{self} needs features that vary: every feature of {label} is constant over the "
                f"{n_samples:g} rows. Check the layer and the row selection."
            )

    def refuse_one_direction(self, label: str, metric: str) -> None:
        """Raise DegenerateError because all distances by a metric are 0 up to rounding: see backends/directions.py."""
        raise DegenerateError(
            f"{self} needs rows whose {metric} distances differ from 0 by more than rounding: all rows of {label} have "
            f"one {'pattern of features' if metric == 'correlation' else 'direction'}. Check the layer and the row "
            "selection, or use a metric that takes the sizes of rows into account, such as 'euclidean'."
        )

    def scored(self, result: Result, n_samples: int, epsilon: float = 2.0**-53, n_features: int = 0) -> Score:
        """Return a result as a score; `epsilon` is the unit round-off of the products that it was computed from.

        If the measure is biased where n_samples < `n_features`, those of the wider side, the details say so.

        Raises
        ------
        NonFiniteError
            If the value is not finite.
        DegenerateError
            If the value is outside the range of the measure by more than rounding.
        """
        value, details = result
        if not math.isfinite(value):
            raise NonFiniteError(f"{self} must be a number: got {value}. Rescale the representations to sizes near 1.")
        low, high = self.range
        excess = largest_excess(epsilon)
        if not low - excess <= value <= high + excess:
            raise DegenerateError(
                f"{self} has values from {low:g} to {high:g}: got {value:.9g}, so rounding errors decide the value. "
                "Use precision='fp64', or more rows."
            )
        if n_samples < n_features and self.biased_by_few_rows:
            details = {**details, "fewer_rows_than_features": True}
        return Score(value=float(value), measure=str(self), n_samples=n_samples, details=details)

    @property
    def public_name(self) -> str:
        """The name of the measure; classes that implement some of its options have private names."""
        return next(kind.__name__ for kind in type(self).__mro__ if not kind.__name__.startswith("_"))

    def __str__(self) -> str:
        """The measure as it is written in code, with the options that differ from their defaults."""
        return _written(self)


class MomentMeasure(Measure):
    """A measure that is computed from moments: one pass over the rows, memory independent of their number."""

    transform: ClassVar[str] = "raw"
    """The row transform whose moments are read: raw, unit, unit_centred or whitened."""

    reads: ClassVar[str] = "scatter"
    """What ``evaluate`` reads of a side: its "scatter"; its mean and the "variances" of its features; or "products": of
    a pair `cross_sq`, `norm_products`, `mean_cross` and `mean_weighted`, of a side `norm_sq`, `norm_spread`, `total`,
    `squares` and `mean`. Those follow from tiles of n x n matrices for many layers at once (moments/gram_tiles.py)."""
    from_gram: ClassVar[bool] = False
    """Whether ``evaluate`` also takes a `GramPair`: it does not depend on rotations and does not whiten features."""

    @property
    def needs_second_pass(self) -> bool:
        """Whether the rows are read twice: whitening needs the moments of a first pass."""
        return self.transform == "whitened"

    @property
    def row_form(self) -> RowMeasure | None:
        """The same measure computed from rows; None where it has no such form."""
        return None

    @abstractmethod
    def evaluate(self, pair: Pair) -> Result:
        """Return the value and its details.

        Parameters
        ----------
        pair : Pair
            Centred moments of both representations after the row transform.
        """

    def score(self, moments: MomentsSource) -> Score:
        """Return the score of the rows whose moments are given.

        Parameters
        ----------
        moments : PairedMoments, or any object with ``pair(transform)``

        Raises
        ------
        DegenerateError, NonFiniteError
            If the measure is not defined on these rows.
        """
        pair = moments.pair(self.transform)
        for side in (pair.x, pair.y):
            # rows of one direction, which may differ in size, are a matter of the measure and its metric
            self.check_side(pair.n_samples, side.is_constant and not side.one_direction, side.label)
        with one_blas_thread():
            widest = max(pair.x.n_features, pair.y.n_features)
            value, details = self.evaluate(pair)
            if pair.x.rounding is not None:
                details = {**details, "largest_error": pair.largest_error}
            return self.scored((value, details), int(pair.n_samples), pair.x.epsilon, widest)


class RowMeasure(Measure):
    """A measure that reads the rows of whole layers: time grows with the square of the number of rows."""

    @abstractmethod
    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        """Return value and details for each pair of layers; what is computed for a layer serves all its pairs.

        Parameters
        ----------
        layers : sequence of ndarray of shape (n_samples, n_features)
            The rows of each layer as they are stored, perhaps read-only. Indexing may read them from disk: index a
            layer once and keep no reference.
        pairs : sequence of (int, int)
            Indices into `layers`.
        engine : PairwiseEngine
        """

    def chosen_rows(self, n_rows: int, documents: np.ndarray | None) -> list[np.ndarray] | None:  # noqa: ARG002
        """Return the row numbers, ascending, of each sample of rows; None to evaluate all rows once.

        All models and layers share the samples. `documents` is the document of each row, or None if unknown.
        """
        return None

    def pooled(self, results: Sequence[Result]) -> Result:
        """Return one result from the results of all samples."""
        (result,) = results
        return result


class BlockSumMeasure(RowMeasure):
    """A measure of rows whose value follows from sums over pairs of blocks of rows.

    An interval then needs no second evaluation: blocks are left out or repeated by adding their sums again.
    """

    @abstractmethod
    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[PairSums]:
        """Return the sums of each pair of layers. Rows are ordered by block."""

    @abstractmethod
    def from_block_sums(self, sums: PairSums, engine: PairwiseEngine) -> Result:
        """Return value and details from sums, or from resampled sums, that `engine` made."""

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        """Return value and details for each pair of layers; see `RowMeasure.evaluate`."""
        return [self.from_block_sums(sums, engine) for sums in self.block_sums(layers, pairs, engine)]


PerLayer = TypeVar("PerLayer")


def per_layer(
    layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], compute: Callable[[np.ndarray, str], PerLayer]
) -> dict[int, PerLayer]:
    """Return ``compute(rows, label)`` for every layer that is in a pair; each layer is read once."""
    labels = getattr(layers, "labels", None) or ["X", "Y", *(f"layer {i}" for i in range(2, len(layers)))]
    return {i: compute(layers[i], labels[i]) for i in sorted({i for pair in pairs for i in pair})}


def determined(n_samples: float, *ranks: int) -> dict[str, bool]:
    """Return the detail ``determined`` if the features of a side span all n - 1 dimensions of the centred rows.

    What is then predicted from that side is predicted without error, whatever the data are.
    """
    return {"determined": True} if max(ranks) >= n_samples - 1 else {}


def largest_excess(epsilon: float) -> float:
    """Return by how much a value may leave its range: 1e4 round-offs of its products, and at least 1e-6."""
    return max(1e-6, 1e4 * epsilon)


def geometric_mean(a: float, b: float) -> float:
    """Return sqrt(a b) for a, b > 0, without overflow, and exactly a where a = b."""
    (x, i), (y, j) = math.frexp(a), math.frexp(b)
    x, y = math.ldexp(x, i % 2), math.ldexp(y, j % 2)  # the square root of an even power of two is exact
    return math.ldexp(math.sqrt(x * y), (i - i % 2 + j - j % 2) // 2)


def one_of(measure: Measure, option: str, allowed: tuple[str, ...]) -> None:
    """Raise OptionError unless an option has one of the allowed values."""
    value = getattr(measure, option)
    if value not in allowed:
        raise OptionError(f"{measure.public_name}: {option} must be one of {', '.join(allowed)}: got {value!r}.")


@cache
def _options_of(kind: type[Measure]) -> list[tuple[str, str, Any]]:
    """Return name, type as text and default of each option."""
    return [
        (f.name, f.type if isinstance(f.type, str) else getattr(f.type, "__name__", str(f.type)), f.default)
        for f in fields(kind)
    ]


@lru_cache(1024)
def _written(measure: Measure) -> str:
    options = [(name, getattr(measure, name), default) for name, _, default in _options_of(type(measure))]
    listed = [f"{name}={value!r}" for name, value, default in options if value != default]
    return measure.public_name + (f"({', '.join(listed)})" if listed else "")


def _as_declared(measure: Measure, option: str, kind: str) -> Any:
    """Return an option in its annotated type; NumPy scalars become Python numbers, a bool is not a number."""
    value = getattr(measure, option)
    if value is None and "None" in kind:
        return None
    if kind.startswith("float") and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if kind == "float | str" and isinstance(value, str):
        return value
    if kind.startswith("int") and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if (kind == "bool" and type(value) is bool) or (kind == "str" and isinstance(value, str)):
        return value
    raise OptionError(f"{measure.public_name}: {option} must be of type {kind}: got {value!r}.")


def at_least_rows(measure: Measure, side: Side, rows: int) -> None:
    """Raise DegenerateError if there are fewer rows than the measure needs."""
    if side.n_samples < rows:
        raise DegenerateError(f"{measure} needs at least {rows} rows: got {side.n_samples:g}. Pass more samples.")
