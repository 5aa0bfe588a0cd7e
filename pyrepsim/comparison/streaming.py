"""A comparison whose rows arrive chunk by chunk, as in `compare_models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import LayerError, OptionError, ShapeError
from ..measures import Measure, MomentMeasure
from ..results import Score, Scores
from .best import best_matches
from .comparing import check_scores
from .layers import LayerGroup, Layers, layer_groups, layer_pairs, unmatched_layers
from .moment_scores import score_group
from .options import ExecutionOptions, as_measures, ordered

__all__ = ["StreamingComparison"]


class StreamingComparison:
    """Compare layers while their rows are computed, without a store on disk.

    Parameters
    ----------
    widths_x, widths_y : mapping from str to int
        Number of features of each layer of X and of Y, by name.
    measures : Measure, str, or a sequence of these
        Measures of moments that need one pass. Measures of rows, such as `KernelCKA`, are refused.
    layers, backend, n_threads, precision, memory
        See `compare`.
    provenance : mapping, optional
        Recorded in every score, such as ``{"model_x": "bert-base-uncased"}``.

    Raises
    ------
    OptionError
        If a measure reads rows, or needs a second pass over them.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> stream = rs.StreamingComparison({"layer.0": 8}, {"layer.0": 6}, [rs.LinearCKA(), rs.CCA()])
    >>> for _ in range(3):
    ...     chunk = rng.standard_normal((200, 8))
    ...     stream.update({"layer.0": chunk}, {"layer.0": chunk[:, :6] + rng.standard_normal((200, 6))})
    >>> stream.n_samples
    600
    >>> [round(score.value, 4) for score in stream.scores()]
    [0.4336, 0.7092]
    """

    def __init__(
        self,
        widths_x: Mapping[str, int],
        widths_y: Mapping[str, int],
        measures: Measure | str | Sequence[Measure | str],
        *,
        layers: Layers = "same",
        backend: str = "auto",
        n_threads: int | None = None,
        precision: str = "auto",
        memory: int | str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._measures: list[MomentMeasure] = []
        for measure in as_measures(measures):
            if not isinstance(measure, MomentMeasure):
                raise OptionError(
                    f"{measure} reads all rows at once, which a stream does not keep. "
                    "Extract both models to stores and compare those."
                )
            if measure.needs_second_pass:
                raise OptionError(
                    f"{measure} needs a second pass over the rows, which a stream does not have. "
                    "Extract both models to stores and compare those."
                )
            self._measures.append(measure)
        self._options = ExecutionOptions(backend=backend, n_threads=n_threads, precision=precision, memory=memory)
        self._provenance = {**(provenance or {}), **unmatched_layers(tuple(widths_x), tuple(widths_y), layers)}
        self._best = layers == "best"
        self._pairs = layer_pairs(tuple(widths_x), tuple(widths_y), layers)
        self._groups = []
        for group in layer_groups(self._pairs):
            widths = [
                *(widths_x[name] for name in group.layers_x),
                *(widths_y[name] for name in group.layers_y),
            ]
            self._groups.append((group, self._options.moments(group, widths, self._measures)))

    @property
    def n_samples(self) -> int:
        """Number of rows so far."""
        return int(self._groups[0][1].n_samples)

    def update(self, chunk_x: Mapping[str, Any], chunk_y: Mapping[str, Any]) -> None:
        """Add rows that are matched by position.

        Parameters
        ----------
        chunk_x, chunk_y : mapping from str to ndarray of shape (n, n_features)
            The rows of each layer. All layers are checked before any is added.

        Raises
        ------
        LayerError, ShapeError, DTypeError, NonFiniteError
            If a layer is missing, or the rows cannot be added; the sums then stay as they were.
        """
        views = [moments.checked(_rows_of(group, chunk_x, chunk_y)) for group, moments in self._groups]
        rows = {len(layer) for group in views for layer in group}
        if len(rows) > 1:
            raise ShapeError(f"all layers of a chunk must have the same number of rows: got {sorted(rows)}.")
        for (_, moments), checked in zip(self._groups, views, strict=True):
            moments.add(checked)

    def scores(self) -> Scores:
        """Return the scores of the rows so far; more rows may follow."""
        scores: list[Score] = []
        for group, moments in self._groups:
            scores += score_group(group, moments, self._measures, self._options, self._provenance, None)
        scores = ordered(scores, self._pairs, self._measures)
        check_scores(scores)
        return Scores(best_matches(scores, self._measures) if self._best else scores)


def _rows_of(group: LayerGroup, chunk_x: Mapping[str, Any], chunk_y: Mapping[str, Any]) -> list[Any]:
    missing = {*group.layers_x} - {*chunk_x} | {*group.layers_y} - {*chunk_y}
    if missing:
        raise LayerError(f"a chunk must hold every layer that is compared: {', '.join(sorted(missing))} is not in it.")
    return [*(chunk_x[name] for name in group.layers_x), *(chunk_y[name] for name in group.layers_y)]
