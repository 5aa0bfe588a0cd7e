"""One value of a comparison, with its details and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..core.text import printable

__all__ = ["Score"]


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
