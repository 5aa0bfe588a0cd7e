"""`Drift`: representations of the same inputs, compared with a reference again and again, as during training."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import DegenerateError, LayerError
from ..measures import Measure
from .comparing import compare
from .options import as_measures

__all__ = ["Drift"]

log = logging.getLogger("pyrepsim.comparison")


class Drift:
    """How far representations of fixed inputs have moved from a reference.

    Parameters
    ----------
    measures : Measure, str, or a sequence of these
        Such as ``rs.LinearCKA(debiased=True)``.
    reference : array-like of shape (n_samples, n_features), or mapping of str to array-like, optional
        The rows of the reference, or those of each of its layers. They are copied. By default the rows that `measure`
        is first called with.
    **options
        ``backend``, ``n_threads``, ``precision`` and ``memory`` of `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 8))
    >>> drift = rs.Drift(["LinearCKA(debiased=True)", "Procrustes"])
    >>> for step in range(3):
    ...     values = drift.measure(X + 0.3 * step * rng.standard_normal((200, 8)))
    ...     print({name: round(value, 3) for name, value in values.items()})
    {'LinearCKA(debiased=True)': 1.0, 'Procrustes': 1.0}
    {'LinearCKA(debiased=True)': 0.915, 'Procrustes': 0.957}
    {'LinearCKA(debiased=True)': 0.734, 'Procrustes': 0.859}
    """

    def __init__(self, measures: Measure | str | Sequence[Measure | str], reference: Any = None, **options: Any):
        self.measures = as_measures(measures)
        self.reference: dict[str, np.ndarray] | None = None if reference is None else _layers(reference, copied=True)
        """The rows of each layer of the reference; an array is the layer ""."""
        self._options = {"progress": False, **options}

    def measure(self, rows: Any) -> dict[str, float]:
        """Return the value of each measure between the reference and other rows of the same inputs.

        Parameters
        ----------
        rows : array-like of shape (n_samples, n_features), or mapping of str to array-like
            Like the reference; row i of both belongs to the same input. Numbers of features may differ.

        Returns
        -------
        dict of str to float
            The value by the text of the measure, with the layer before it for a mapping: ``"layer.3/LinearCKA"``.
            A measure that is not defined on the rows, such as constant ones, is NaN; the reason is logged.

        Raises
        ------
        LayerError
            If the rows have other layers than the reference.
        ShapeError, DTypeError, NonFiniteError
            If the rows cannot be compared with the reference.
        """
        layers = _layers(rows)
        if self.reference is None:
            self.reference = _layers(rows, copied=True)
        if layers.keys() != self.reference.keys():
            raise LayerError(
                f"rows must be those of the layers of the reference: got {_named(layers)}, want "
                f"{_named(self.reference)}. Make another Drift for them."
            )
        values = {}
        for layer, kept in self.reference.items():
            of_layer = self._values(kept, layers[layer], self.measures, layer)
            values |= {_key(layer, measure): value for measure, value in zip(self.measures, of_layer, strict=True)}
        return values

    def _values(self, kept: np.ndarray, rows: np.ndarray, measures: Sequence[Measure], layer: str) -> list[float]:
        try:
            scores: Any = compare(kept, rows, measures, **self._options)
            return [score.value for score in scores]
        except DegenerateError as error:
            if len(measures) > 1:
                return [value for one in measures for value in self._values(kept, rows, [one], layer)]
            log.warning("%s is NaN: %s", _key(layer, measures[0]), error)
            return [math.nan]


def _key(layer: str, measure: Measure) -> str:
    return f"{layer}/{measure}" if layer else str(measure)


def _layers(rows: Any, *, copied: bool = False) -> dict[str, np.ndarray]:
    """Return the rows of each layer as arrays."""
    layers = rows if isinstance(rows, Mapping) else {"": rows}
    views = {str(name): rows_view(array, str(name) or "rows") for name, array in layers.items()}
    return {name: view.copy() for name, view in views.items()} if copied else views


def _named(layers: Mapping[str, Any]) -> str:
    return "an array" if [*layers] == [""] else ", ".join(layers) or "none"
