"""A comparison fed chunk by chunk: what fused extraction uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import LayerError, OptionError, ShapeError
from ..measures import Measure, MomentMeasure
from ..results import Score, Scores
from .options import Engine, as_measures, ordered
from .passes import score_group
from .sources import LayerGroup, Layers, layer_groups, layer_pairs

__all__ = ["StreamingComparison"]


class StreamingComparison:
    """Every pair of layers by every measure, from the rows of all layers as they come; no cache on disk.

    widths_x, widths_y : features of each layer, by name.
    measures, layers, backend, n_threads, precision : see `compare`.
    provenance : recorded in every score, e.g. ``{"model_x": ..., "model_y": ...}``.

    A measure that reads rows (KernelCKA), or needs a second pass over them (RSA with metric="sqmahalanobis"), is
    refused.
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
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self._measures = as_measures(measures)
        for measure in self._measures:
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
        self._engine = Engine(backend=backend, n_threads=n_threads, precision=precision)
        self._provenance = dict(provenance or {})
        self._pairs = layer_pairs(tuple(widths_x), tuple(widths_y), layers)
        self._groups = []
        for group in layer_groups(self._pairs):
            widths = [
                *(widths_x[name] for name in group.layers_x),
                *(widths_y[name] for name in group.layers_y),
            ]
            self._groups.append((group, self._engine.moments(group, widths, self._measures)))

    @property
    def n_samples(self) -> int:
        """Rows seen so far."""
        return int(self._groups[0][1].n_samples)

    def update(self, chunk_x: Mapping[str, Any], chunk_y: Mapping[str, Any]) -> None:
        """Add rows: an array (n, width) for each layer of both sides, rows matched by position.

        All layers are checked before any is added: a refused chunk leaves everything as it was.
        """
        views = [moments.checked(_members(group, chunk_x, chunk_y)) for group, moments in self._groups]
        rows = {len(layer) for group in views for layer in group}
        if len(rows) > 1:
            raise ShapeError(f"all layers of a chunk must have the same number of rows: got {sorted(rows)}.")
        for (_, moments), checked in zip(self._groups, views, strict=True):
            moments.add(checked)

    def scores(self) -> Scores:
        """The scores of the rows so far; more rows may follow."""
        scores: list[Score] = []
        for group, moments in self._groups:
            scores += score_group(group, moments, self._measures, self._engine, self._provenance, None)
        return Scores(ordered(scores, self._pairs, self._measures))


def _members(group: LayerGroup, chunk_x: Mapping[str, Any], chunk_y: Mapping[str, Any]) -> list[Any]:
    missing = {*group.layers_x} - {*chunk_x} | {*group.layers_y} - {*chunk_y}
    if missing:
        raise LayerError(f"a chunk must hold every layer that is compared: {', '.join(sorted(missing))} is not in it.")
    return [*(chunk_x[name] for name in group.layers_x), *(chunk_y[name] for name in group.layers_y)]
