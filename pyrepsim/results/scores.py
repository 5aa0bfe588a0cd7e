"""What a comparison returns: a `Score` for each measure and layer pair, in `Scores`, a long table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from ..core.errors import LayerError, OptionError
from ..core.text import printable
from .tables import Records, flat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Score", "Scores"]

MeasureLike: TypeAlias = Any
"""The name of a measure, or a `Measure`, whose ``str()`` is its name. (This package may not import measures.)"""


@dataclass(frozen=True, repr=False)
class Score:
    """The value of a measure for a pair of representations, with its details and provenance.

    ``float(score)`` is the value. Arrays in `details` are copied and read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> score = rs.compare(X, X[:, :6] + rng.standard_normal((500, 6)), rs.CCA())
    >>> score
    Score(0.693796, CCA, n=500)
    >>> score.details["correlations"].round(4)
    array([0.7595, 0.7238, 0.6992, 0.6923, 0.6549, 0.6332])
    >>> score.provenance["precision"]
    'fp64'
    """

    value: float
    """Value of the measure, float64, in the range that the measure declares."""
    measure: str
    """The measure as it is written in code, with its non-default options: ``SVCCA(components=20)``."""
    n_samples: int
    """Number of rows that entered the score."""
    interval: tuple[float, float] | None = None
    """Lower and upper end of the interval, if `compare` was called with ``interval=``."""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Further results of the measure, such as ranks, correlations and condition numbers: see each measure."""
    layer_x: str | None = None
    """Layer of X, named as in the model; None for arrays."""
    layer_y: str | None = None
    """Layer of Y."""
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Models (``model_x``, ``model_y``), digests of the stores, backend, precision, threads and version."""

    def __post_init__(self) -> None:
        interval = None if self.interval is None else (float(self.interval[0]), float(self.interval[1]))
        vars(self).update(  # as if it were not frozen yet
            value=float(self.value),
            n_samples=int(self.n_samples),
            interval=interval,
            details=_owned(self.details),
            provenance=_owned(self.provenance),
        )

    def quantity(self, name: str | None = None) -> float:
        """Return the value, a number of `details` by its name ("angle", "distance"), or "squared", distance^2."""
        if name is None:
            return self.value
        number = self.details.get("distance" if name == "squared" else name)
        if isinstance(number, bool) or not isinstance(number, int | float | np.number):
            known = [key for key, item in self.details.items() if isinstance(item, float)]
            known += ["squared"] if "distance" in known else []
            raise OptionError(f"a value of {self.measure} is None or one of {', '.join(known)}: got {name!r}.")
        return float(number) ** 2 if name == "squared" else float(number)

    def named(self, layer_x: str | None, layer_y: str | None, provenance: Mapping[str, Any] | None = None) -> Score:
        """Return the score with other layers, and with another provenance if one is given (a proxy is not copied)."""
        score = object.__new__(Score)
        vars(score).update(vars(self), layer_x=layer_x, layer_y=layer_y)  # its details are owned: no second copy
        if provenance is not None:
            vars(score)["provenance"] = provenance if isinstance(provenance, MappingProxyType) else _owned(provenance)
        return score

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        pair = "" if self.layer_x is None else f", {self.layer_x} ~ {self.layer_y}"
        return printable(f"Score({self.value:.6g}{interval}, {self.measure}{pair}, n={self.n_samples:,})")

    def _repr_html_(self) -> str:
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        pair = "" if self.layer_x is None else f", {self.layer_x} ~ {self.layer_y}"
        text = escape(printable(f"{interval} {self.measure}{pair}, n = {self.n_samples:,}"))
        return f"<span><b>{self.value:.6g}</b>{text}</span>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only mappings cannot be pickled. Plain dicts can, and __post_init__ makes them read-only again.
        return Score, (self.value, self.measure, self.n_samples, self.interval, _plain(self.details),
                       self.layer_x, self.layer_y, _plain(self.provenance))  # fmt: skip


class Scores(Records, Sequence[Score]):
    """An immutable sequence of scores, in order of computation.

    Index it, iterate over it, add another one, `select`, print `table`, `plot`, or write it to a file.

    Parameters
    ----------
    scores : iterable of Score

    Raises
    ------
    OptionError
        If an item is not a `Score`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> scores = rs.compare(X, Y, ["CCA", "RSA", "SVCCA(components=3)"])
    >>> scores
    Scores(3 scores; 1 x 1 layers; CCA, RSA, SVCCA(components=3))
    >>> print(scores.table())
    X ~ Y, n = 500
    measure               value
    -------------------  ------
    CCA                  0.6938
    RSA                  0.3566
    SVCCA(components=3)  0.4973
    >>> round(scores.select(measure="SVCCA")[0].value, 4)
    0.4973
    """

    def __init__(self, scores: Iterable[Score] = ()) -> None:
        self._scores = tuple(scores)
        for score in self._scores:
            if not isinstance(score, Score):
                kind = type(score).__name__
                raise OptionError(f"Scores holds Score objects: got {kind}. Pass an iterable of Score.")

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> Scores: ...
    def __getitem__(self, index: int | slice) -> Score | Scores:
        return Scores(self._scores[index]) if isinstance(index, slice) else self._scores[index]

    def __add__(self, other: Scores) -> Scores:
        return Scores((*self, *other)) if isinstance(other, Scores) else NotImplemented

    def __iter__(self) -> Iterator[Score]:
        return iter(self._scores)

    def __eq__(self, other: object) -> bool:
        return self._scores == other._scores if isinstance(other, Scores) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._scores)

    def __repr__(self) -> str:
        measures = printable(", ".join(self.measures))
        return f"Scores({len(self)} scores; {len(self.layers_x)} x {len(self.layers_y)} layers; {measures})"

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, in order of first appearance."""
        return tuple(dict.fromkeys(score.measure for score in self))

    @property
    def layers_x(self) -> tuple[str | None, ...]:
        """Layers of X, in order of first appearance."""
        return tuple(dict.fromkeys(score.layer_x for score in self))

    @property
    def layers_y(self) -> tuple[str | None, ...]:
        """Layers of Y, in order of first appearance."""
        return tuple(dict.fromkeys(score.layer_y for score in self))

    def select(
        self,
        *,
        measure: MeasureLike | Iterable[MeasureLike] | None = None,
        layer_x: str | Iterable[str] | None = None,
        layer_y: str | Iterable[str] | None = None,
    ) -> Scores:
        """Return the scores with these measures and layers.

        Parameters
        ----------
        measure : str, Measure, or an iterable of these, optional
            A full name (``"SVCCA(components=20)"``), a family with any options (``"SVCCA"``), or a measure.
        layer_x, layer_y : str or iterable of str, optional

        Raises
        ------
        OptionError, LayerError
            If no score has the measure or the layer.
        """
        families = {name: name.partition("(")[0] for name in self.measures}
        kept = list(self)
        if measure is not None:
            wanted = set()
            for item in _several(measure):
                name = str(item)
                exact = name in families or not isinstance(item, str)
                matches = {full for full, family in families.items() if name == (full if exact else family)}
                if not matches:
                    raise OptionError(f"A measure must be one of {', '.join(families)}: got {name!r}.")
                wanted |= matches
            kept = [score for score in kept if score.measure in wanted]
        for side, layers, have in (("layer_x", layer_x, self.layers_x), ("layer_y", layer_y, self.layers_y)):
            if layers is None:
                continue
            names = set(_several(layers))
            if missing := names - set(have):
                known, got = ", ".join(map(str, have)), ", ".join(sorted(map(str, missing)))
                raise LayerError(f"{side} must be one of {known}: got {got}.")
            kept = [score for score in kept if getattr(score, side) in names]
        return Scores(kept)

    def matrix(
        self, measure: MeasureLike | None = None
    ) -> tuple[tuple[str | None, ...], tuple[str | None, ...], np.ndarray]:
        """Return the values of one measure as a matrix.

        Parameters
        ----------
        measure : str or Measure, optional
            May be left out if there is only one.

        Returns
        -------
        layers_x, layers_y : tuple of str
        values : ndarray of shape (len(layers_x), len(layers_y)), float64
            NaN where a pair of layers has no score.

        Raises
        ------
        OptionError
            If there are several measures, or several scores of one pair of layers.
        """
        chosen = self if measure is None else self.select(measure=measure)
        if len(chosen.measures) != 1:
            have = ", ".join(chosen.measures) or "none"
            raise OptionError(f"A matrix shows one measure: got {have}. Name one with measure=.")
        rows, columns = chosen.layers_x, chosen.layers_y
        values = np.full((len(rows), len(columns)), np.nan)
        seen = set()
        for score in chosen:
            pair = (score.layer_x, score.layer_y)
            if pair in seen:
                raise OptionError(f"A matrix has one score for each layer pair: {pair} has several. Select first.")
            seen.add(pair)
            values[rows.index(pair[0]), columns.index(pair[1])] = score.value
        return rows, columns, values

    def table(self) -> str:
        """Return the scores as text: a row for each layer if each has one partner, else a row for each score."""
        from .score_tables import score_table

        return score_table(self).text()

    def _repr_html_(self) -> str:
        from .score_tables import score_table

        return score_table(self).html()

    def plot(self, path: str | os.PathLike[str] | None = None, measure: MeasureLike | None = None) -> Figure:
        """Draw lines over layers if each layer has one partner, else layer x layer heat maps.

        Parameters
        ----------
        path : path-like, optional
            File to write; its ending (.svg, .png, .pdf) chooses the format.
        measure : str or Measure, optional
            Draw only this measure.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        OptionError
            If the scores have no layers, or several scores for one measure and pair of layers.
        MissingExtraError
            Without matplotlib: ``pip install "pyrepsim[plot]"``.
        """
        from .score_figures import plot

        return plot(self, path=path, measure=measure)

    def html(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one HTML page with figures, table, details and provenance, and return its path.

        The page is a single file: it has no script and loads nothing from the network.

        Parameters
        ----------
        path : path-like
        title : str, optional
            By default the names of the two models.

        Raises
        ------
        OptionError
            If there are no scores.
        MissingExtraError
            Without jinja2 or matplotlib: ``pip install "pyrepsim[plot]"``.
        """
        from .page import page, write_html

        return write_html(page(self, title=title), path)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the long table: one flat dict for each score.

        Returns
        -------
        list of dict
            ``measure`` (text), ``layer_x`` and ``layer_y`` (text or None), ``value`` (in the units of the measure, most
            often a similarity in [0, 1]), ``ci_low`` and ``ci_high`` (ends of the interval in the same units, or None),
            ``n_samples`` (number of rows), and every scalar of the provenance: nested keys are joined by dots, such as
            ``interval.confidence`` (a fraction in [0, 1]). Arrays and `details` are only in `to_jsonl`.
        """
        records = []
        for score in self:
            low, high = score.interval or (None, None)
            own = {"measure": score.measure, "layer_x": score.layer_x, "layer_y": score.layer_y}
            own |= {"value": score.value, "ci_low": low, "ci_high": high, "n_samples": score.n_samples}
            records.append(own | {key: item for key, item in flat(score.provenance) if key not in own})
        return records

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write all scores, with details and provenance, one JSON object a line; `from_jsonl` reads them."""
        from .score_files import write_jsonl

        return write_jsonl((vars(score) for score in self), path)

    @classmethod
    def from_jsonl(cls, path: str | os.PathLike[str]) -> Scores:
        """Read scores that `to_jsonl` wrote. Lists of numbers in `details` become float64 arrays.

        Raises
        ------
        StoreError
            If the file cannot be read.
        OptionError
            If it is not a file of scores.
        """
        from .score_files import read_jsonl

        return cls(read_jsonl(path, lambda fields: Score(**fields)))


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


_IMMUTABLE = frozenset({str, int, float, bool, type(None)})


def _owned(value: Any) -> Any:
    """Return read-only copies of arrays and containers."""
    if type(value) in _IMMUTABLE:
        return value
    if isinstance(value, np.ndarray):
        copy = value.copy()
        copy.setflags(write=False)
        return copy
    if isinstance(value, Mapping):
        own = {key: item if type(item) in _IMMUTABLE else _owned(item) for key, item in value.items()}
        return MappingProxyType(own)
    if isinstance(value, list | tuple):
        return tuple(_owned(item) for item in value)
    return value


def _plain(value: Any) -> Any:
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
