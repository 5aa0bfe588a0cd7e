"""What a comparison returns: a `Score` for each measure and layer pair, in `Scores`, a long table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from ..core.errors import LayerError, OptionError
from ..core.text import printable
from .score import Score
from .tables import Records, flat

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Score", "Scores"]

MeasureLike: TypeAlias = Any
"""The name of a measure, or a `Measure`, whose ``str()`` is its name. (This package may not import measures.)"""


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

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        measure: MeasureLike | None = None,
        *,
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw lines over layers if each layer has one partner, else layer x layer heat maps.

        Of a single pair of layers it draws a point for each measure.

        Parameters
        ----------
        path : path-like, optional
            File to write; its ending (.svg, .png, .pdf) chooses the format.
        measure : str or Measure, optional
            Draw only this measure.
        ax : matplotlib Axes, optional
            Draw there, for a figure of one panel: measures in [-1, 1], or one other measure, or one heat map.
        title : str, optional
            By default what is compared, and the number of rows; "" for none.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        OptionError
            If the scores have no layers, or several scores for one measure and pair of layers, or need several panels
            where `ax` is given.
        MissingExtraError
            Without matplotlib: ``pip install "pyrepsim[plot]"``.
        """
        from .score_figures import plot

        return plot(self, path=path, measure=measure, ax=ax, title=title)

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

    def to_frame(self, *, provenance: bool = False) -> pd.DataFrame:
        """Return a pandas DataFrame with one row for each score.

        Columns: ``measure``, ``model_x``, ``layer_x``, ``model_y``, ``layer_y`` (text; short names of the models),
        ``value``, ``ci_low``, ``ci_high`` (float64) and ``n_samples`` (int64). Columns of text that have no value for
        any score are left out.

        Parameters
        ----------
        provenance : bool, default False
            Add every scalar of the provenance as ``provenance.<key>``: digests, full names, backend, version.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        from .score_tables import score_frame

        return score_frame(self, provenance=provenance)

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
