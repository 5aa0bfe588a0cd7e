"""Scores of the revisions of a model against one reference, made by `compare_revisions`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from ..core.text import printable
from .scores import MeasureLike, Scores
from .tables import Records, TextTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RevisionScores"]


class RevisionScores(Records, Mapping[str, Scores]):
    """The scores of each revision of a model against one reference, by name, in the order that was asked for.

    ``result["step1000"]`` is the `Scores` of one revision, `scores` are those of all, whose provenance has
    ``revision``. X is the reference, Y the revision.

    Parameters
    ----------
    scores : mapping from str to Scores
        The scores of each revision.
    reference : str
        Name of what the revisions are compared with.
    equal_weights : sequence of sequence of str
        Names with equal weights, one group for each digest that several have. The reference may be among them.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.results import RevisionScores
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 4))
    >>> noise = rng.standard_normal(X.shape)
    >>> scores = {name: rs.compare(X, X + size * noise, ["CCA"]) for name, size in (("a", 1), ("b", 0))}
    >>> result = RevisionScores(scores, "final")
    >>> print(result.table())
    final ~ each revision, n = 200
    revision     CCA
    --------  ------
    a         0.7386
    b         1.0000
    """

    def __init__(
        self, scores: Mapping[str, Scores], reference: str, equal_weights: Sequence[Sequence[str]] = ()
    ) -> None:
        self._scores = dict(scores)
        self.reference = reference
        self.equal_weights = tuple(tuple(group) for group in equal_weights)
        self._first = {name: group[0] for group in self.equal_weights for name in group[1:]}

    def __getitem__(self, name: str) -> Scores:
        return self._scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores)

    def __len__(self) -> int:
        return len(self._scores)

    def __repr__(self) -> str:
        measures = ", ".join(self.scores.measures)
        return printable(f"RevisionScores({len(self)} revisions against {self.reference}; {measures})")

    @property
    def scores(self) -> Scores:
        """The scores of all revisions, one after the other."""
        return reduce(lambda some, more: some + more, self.values(), Scores())

    def to_records(self) -> list[dict[str, Any]]:
        """Return the long table: the records of `Scores`, each with its ``revision`` and ``same_weights_as``.

        ``same_weights_as`` is the first revision with equal weights, None for others.
        """
        return [
            {**self._columns(name), **{key: item for key, item in record.items() if key not in self._columns(name)}}
            for name, scores in self.items()
            for record in scores.to_records()
        ]

    def to_frame(self, *, provenance: bool = False) -> pd.DataFrame:
        """Return a pandas DataFrame with one row for each score.

        Its columns are ``revision``, ``same_weights_as`` (the first revision with equal weights, or None), and those of
        `Scores.to_frame`.

        Parameters
        ----------
        provenance : bool, default False
            Add every scalar of the provenance as ``provenance.<key>``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        frame = self.scores.to_frame(provenance=provenance)
        columns = [self._columns(name) for name, scores in self.items() for _ in scores]
        for place, column in enumerate(("revision", "same_weights_as")):
            frame.insert(place, column, [one[column] for one in columns])
        return frame

    def _columns(self, name: str) -> dict[str, str | None]:
        return {"revision": name, "same_weights_as": self._first.get(name)}

    def table(self) -> str:
        """Return the scores as text: a row for each revision and layer, a column for each measure."""
        return self._text_table().text()

    __str__ = table

    def _repr_html_(self) -> str:
        return self._text_table().html()

    def _text_table(self) -> TextTable:
        from .score_tables import format_cell, layer_label, sample_counts

        measures = self.scores.measures
        rows = []
        for name, scores in self.items():
            cells = {(layer_label(s.layer_x, s.layer_y), s.measure): format_cell(s) for s in scores}
            for label in dict.fromkeys(label for label, _ in cells):
                values = (cells.get((label, measure), "") for measure in measures)
                rows.append((name, label, self._first.get(name) or "", *values))
        header = ("revision", "layer", "same weights as", *measures)
        kept = [column for column in range(len(header)) if column not in (1, 2) or any(row[column] for row in rows)]
        return TextTable(
            tuple(header[column] for column in kept),
            tuple(tuple(row[column] for column in kept) for row in rows),
            f"{self.reference} ~ each revision, {sample_counts(self.scores)}",
            len(kept) - len(measures),
        )

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        measure: MeasureLike | None = None,
        *,
        ax: Axes | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw value against revision, a line for each layer and a panel for each measure.

        Parameters
        ----------
        path : path-like, optional
            File to write; its ending (.svg, .png, .pdf) chooses the format.
        measure : str or Measure, optional
            Draw only this measure.
        ax : matplotlib Axes, optional
            Draw there, for one measure.
        title : str, optional
            By default what is compared, and the number of rows; "" for none.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        OptionError
            If a layer has several partners (draw ``result[revision].plot()``), or `ax` is given for several measures.
        MissingExtraError
            Without matplotlib: ``pip install "pyrepsim[plot]"``.
        """
        from .revision_figures import plot

        return plot(self, path=path, measure=measure, ax=ax, title=title)
