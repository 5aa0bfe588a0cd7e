"""calibrated_similarity: measures of pyrepsim as its similarity functions, ``sim=``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..comparison import compare
from ..core.errors import OptionError
from ..measures import Measure, parse_measure
from .patching import calls, count

__all__ = ["sim"]


def sim(
    measure: Measure | str, *, backend: str = "auto", precision: str = "auto", n_threads: int | None = None
) -> Callable[[Any, Any], float]:
    """Return a measure as a function of two tensors, for ``calibrate(X, Y, sim=...)`` and ``calibrate_layers``.

    Parameters
    ----------
    measure : Measure or str
        A similarity. Its largest value is 1, the default of ``smax``.
    backend, precision, n_threads
        As in `compare`.

    Raises
    ------
    OptionError
        For a distance, since calibration takes large values for similar.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations import calibrated_similarity
    >>> cka = calibrated_similarity.sim("LinearCKA(debiased=True)")
    >>> X = np.random.default_rng(0).standard_normal((100, 8))
    >>> round(cka(X, X[:, :4]), 4)
    0.6282
    """
    chosen = parse_measure(measure) if isinstance(measure, str) else measure
    if chosen.is_distance:
        raise OptionError(
            f"calibration takes large values for similar, and {chosen} is a distance. Use rs.permutation_test with "
            "alternative='less'."
        )
    return _Similarity(chosen, backend, precision, n_threads)


@dataclass(frozen=True)
class _Similarity:
    measure: Measure
    backend: str
    precision: str
    n_threads: int | None

    def __call__(self, X: Any, Y: Any) -> float:
        count(calls, "calibrated_similarity.sim")
        score: Any = compare(
            X,
            Y,
            self.measure,
            backend=self.backend,
            precision=self.precision,
            n_threads=self.n_threads,
            progress=False,
        )
        return score.value
