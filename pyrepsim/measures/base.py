"""What a measure is: a frozen set of options, declared properties, and arithmetic on moments or on rows.

FOLDED: Which rows a sample takes: the same for every model and layer.
FOLDED: What is found once for each layer, however many pairs the layer is in.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Flag, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ..core.blas import one_blas_thread
from ..core.calls import build_called
from ..core.errors import DegenerateError, NonFiniteError, OptionError
from ..moments.pair import Pair, Side
from ..results import Score

if TYPE_CHECKING:
    from ..pairwise import PairSums, PairwiseEngine

__all__ = [
    "Invariance",
    "Measure",
    "MomentsSource",
    "Result",
    "all_measures",
    "draw_rows",
    "parse_measure",
    "per_layer",
]


def draw_rows(
    n_rows: int, documents: np.ndarray | None, *, sample: int, draws: int, seed: int, per_document: int | None
) -> list[np.ndarray]:
    """``draws`` samples of row numbers, ascending, uniform without replacement.

    per_document : the most rows of one document; ``documents`` names each row's. Draw k of a seed is the same whatever
    the number of draws.
    """
    if per_document is not None and documents is None:
        raise OptionError("per_document needs to know each row's document: arrays do not say. Compare stores.")
    found = []
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(n_rows)
        if per_document is not None and documents is not None:
            order = order[_place_in_group(documents[order]) < per_document]
        if len(order) < sample:
            cap = "" if per_document is None else f" of which at most {per_document} a document make {len(order)}"
            raise OptionError(
                f"a sample must be at most the rows there are: sample={sample}, got {n_rows} rows{cap}. "
                "Take a smaller one, or sample=None for all rows."
            )
        found.append(np.sort(order[:sample]))
    return found


def _place_in_group(groups: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value, for each."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered, side="left")
    return place


Found = TypeVar("Found")


def per_layer(
    layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], find: Callable[[np.ndarray, str], Found]
) -> dict[int, Found]:
    """``find(rows, label)`` of every layer that is in a pair; each is read once and let go."""
    labels = getattr(layers, "labels", None) or ["X", "Y", *(f"layer {i}" for i in range(2, len(layers)))]
    return {i: find(layers[i], labels[i]) for i in sorted({i for pair in pairs for i in pair})}


Result = tuple[float, Mapping[str, Any]]
"""A value, and details worth keeping."""


class Invariance(Flag):
    """Maps of one side, applied to every row, that leave the score as it was."""

    NONE = 0
    TRANSLATION = auto()
    """x + t"""
    SCALING = auto()
    """s x, s > 0 (isotropic)"""
    PERMUTATION = auto()
    """features in another order"""
    ORTHOGONAL = auto()
    """x Q, Q orthogonal"""
    INVERTIBLE = auto()
    """x A, A invertible"""


RIGID = Invariance.TRANSLATION | Invariance.PERMUTATION | Invariance.ORTHOGONAL
SIMILARITY = RIGID | Invariance.SCALING
AFFINE = SIMILARITY | Invariance.INVERTIBLE


class MomentsSource(Protocol):
    """Whatever hands out the moments of a pair for a row transform: `PairedMoments`, or one pair of many layers."""

    def pair(self, transform: str = "raw") -> Pair: ...


@dataclass(frozen=True)
class Measure(ABC):
    """A function of two representations. Subclasses are frozen dataclasses whose fields are the options.

    ``reads`` says what of: ``"moments"`` (then `evaluate`) or ``"rows"`` (then `evaluate_rows`, or `evaluate_layers`
    where many layers share work). ``transform`` names the row transform whose moments are read; ``needs_second_pass``
    is true when the moments of one pass do not suffice. ``symmetric``, ``range`` and the invariances per side are
    declarations that tests check.
    """

    @property
    def symmetric(self) -> bool:
        return True

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value, up to rounding."""
        return (0.0, 1.0)

    def __post_init__(self) -> None:
        for option in fields(self):
            object.__setattr__(self, option.name, _as_declared(self, option.name, str(option.type)))

    @property
    def reads(self) -> str:
        """``"moments"``: one pass, memory independent of the number of rows; ``"rows"``: the rows of whole layers."""
        return "moments"

    @property
    def transform(self) -> str:
        return "raw"

    @property
    def needs_second_pass(self) -> bool:
        return False

    @property
    @abstractmethod
    def invariant_x(self) -> Invariance:
        """Maps of X that leave the score as it was."""

    @property
    def invariant_y(self) -> Invariance:
        return self.invariant_x

    @property
    def copies_bias(self) -> bool:
        """Whether repeating rows biases the value, so that a bootstrap of it would: averages over distinct rows."""
        return False

    @property
    def has_block_sums(self) -> bool:
        """Whether all that the value needs of rows is kept per pair of blocks of rows: see `block_sums`."""
        return False

    def block_sums(
        self,
        layers: Sequence[np.ndarray],  # noqa: ARG002
        pairs: Sequence[tuple[int, int]],  # noqa: ARG002
        engine: PairwiseEngine,  # noqa: ARG002
    ) -> list[PairSums]:
        """Of each pair of layers the sums from which `from_block_sums` makes the value; rows are in block order."""
        raise OptionError(f"{self} keeps no sums per block of rows. Its jackknife reads the rows again.")

    def from_block_sums(self, sums: PairSums, engine: PairwiseEngine) -> Result:  # noqa: ARG002
        """The value of sums that ``engine`` made, or of a replicate of their blocks."""
        raise OptionError(f"{self} keeps no sums per block of rows. Its jackknife reads the rows again.")

    def evaluate(self, pair: Pair) -> Result:  # noqa: ARG002
        """The value from moments."""
        raise OptionError(f"{self} is no function of moments: it reads the rows. Compare two arrays or two stores.")

    def evaluate_rows(self, x: np.ndarray, y: np.ndarray, engine: PairwiseEngine) -> Result:
        """The value from the rows themselves: (n, d_x) and (n, d_y) as stored, maybe read-only."""
        if type(self).evaluate_layers is Measure.evaluate_layers:
            raise OptionError(f"{self} is no function of rows alone: it reads their moments. Use rs.compare or .score.")
        return self.evaluate_layers([x, y], [(0, 1)], engine)[0]

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        """`evaluate_rows` of each pair of layers; overridden where a layer's work serves all its pairs.

        ``layers`` may read a layer anew each time it is indexed: index once and let go. A measure of rows overrides
        one of the two.
        """
        return [self.evaluate_rows(layers[i], layers[j], engine) for i, j in pairs]

    def chosen_rows(self, n_rows: int, documents: np.ndarray | None) -> list[np.ndarray] | None:  # noqa: ARG002
        """Row numbers, ascending, of each sample of rows to evaluate; None for one evaluation of all rows.

        ``documents`` names each row's document; None where rows have none. All models and layers share the draws.
        """
        return None

    def pooled(self, results: Sequence[Result]) -> Result:
        """One result from those of the draws."""
        if len(results) != 1:
            raise OptionError(f"{self} has no rule to join {len(results)} draws. Use one.")
        return results[0]

    def score(self, moments: MomentsSource) -> Score:
        """The score of the rows that ``moments`` has seen."""
        if self.reads != "moments":
            raise OptionError(f"{self} is no function of moments: it reads the rows. Use rs.compare.")
        pair = moments.pair(self.transform)
        for side in (pair.x, pair.y):
            self.check_side(pair.n_samples, side.is_constant, side.label)
        with one_blas_thread():
            return self.scored(self.evaluate(pair), int(pair.n_samples))

    def check_side(self, n_samples: float, constant: bool, label: str) -> None:
        """Raise DegenerateError where no measure is defined: fewer than two rows, or rows that are all equal."""
        if n_samples < 2:
            raise DegenerateError(f"{self} needs at least two rows: got {n_samples:g}. Pass more samples.")
        if constant:
            raise DegenerateError(
                f"{self} needs features that vary: every feature of {label} is constant over the "
                f"{n_samples:g} rows. Check the layer and the row selection."
            )

    def scored(self, result: Result, n_samples: int) -> Score:
        """A result as a score, unless it is no number."""
        value, details = result
        if not math.isfinite(value):
            raise NonFiniteError(f"{self} must be a number: got {value}. Rescale the representations to sizes near 1.")
        return Score(value=float(value), measure=str(self), n_samples=n_samples, details=details)

    def __str__(self) -> str:
        """The measure as one would write it, with the options that differ from their defaults."""
        options = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return type(self).__name__ + (f"({', '.join(options)})" if options else "")


def geometric_mean(a: float, b: float) -> float:
    """sqrt(a b) for a, b > 0: no overflow on the way, and exactly a where a = b."""
    (x, i), (y, j) = math.frexp(a), math.frexp(b)
    x, y = math.ldexp(x, i % 2), math.ldexp(y, j % 2)  # even exponents leave the root whole
    return math.ldexp(math.sqrt(x * y), (i - i % 2 + j - j % 2) // 2)


def one_of(measure: Measure, option: str, allowed: tuple[str, ...]) -> None:
    value = getattr(measure, option)
    if value not in allowed:
        raise OptionError(f"{type(measure).__name__}: {option} must be one of {', '.join(allowed)}: got {value!r}.")


def _as_declared(measure: Measure, option: str, kind: str) -> Any:
    """An option as its annotation wants it: NumPy scalars as Python numbers, truth values never as numbers."""
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
    raise OptionError(f"{type(measure).__name__}: {option} must be of type {kind}: got {value!r}.")


def at_least_rows(measure: Measure, side: Side, rows: int) -> None:
    if side.n_samples < rows:
        raise DegenerateError(f"{measure} needs at least {rows} rows: got {side.n_samples:g}. Pass more samples.")


def all_measures() -> dict[str, type[Measure]]:
    """Every measure by name: the subclasses that have been defined."""
    found: dict[str, type[Measure]] = {}
    waiting = list(Measure.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not kind.__name__.startswith("_"):
            found[kind.__name__] = kind
    return dict(sorted(found.items()))


def parse_measure(text: str) -> Measure:
    """``"SVCCA(variance=0.99)"`` or ``"CCA"`` as a measure: a name and literal keyword options, nothing evaluated."""
    return build_called(text, all_measures(), "measure", "SVCCA(variance=0.99)")
