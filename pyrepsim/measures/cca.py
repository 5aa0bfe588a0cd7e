"""Canonical correlations and what is made of them: CCA, SVCCA, PWCCA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair, Side
from ..moments.singular import column_products, singular_values
from .base import AFFINE, SIMILARITY, Invariance, Measure, one_of

__all__ = ["CCA", "PWCCA", "SVCCA"]

_EXCESS = 1e-6
"""How far above 1 a correlation may come out before the whitening must be called noise (1e4 round-offs in fp32)."""


def canonical_correlations(measure: Measure, pair: Pair, whiten_x: np.ndarray, whiten_y: np.ndarray) -> np.ndarray:
    """Descending: the singular values of W_x^T S_xy W_y, where W^T S W is diagonal on each side: I without a ridge."""
    if pair.x is pair.y:
        return checked(measure, np.sort(column_products(pair.cross @ whiten_x, whiten_x))[::-1], pair)
    if measure not in pair.known:
        pair.known[measure] = singular_values(whiten_x.T @ pair.cross @ whiten_y)
    return checked(measure, pair.known[measure], pair)


def checked(measure: Measure, correlations: np.ndarray, pair: Pair) -> np.ndarray:
    """The correlations, unless the largest shows that rounding was divided by rounding."""
    if correlations[0] > 1 + max(_EXCESS, 1e4 * pair.x.epsilon):
        raise DegenerateError(
            f"{measure}: the scatter is too ill-conditioned for the precision of its sums: the largest "
            f"canonical correlation came out as {correlations[0]:.6g}. "
            "Use SVCCA(variance=0.99), CCA(ridge=1e-6) or precision='fp64'."
        )
    return correlations


def describe(correlations: np.ndarray, pair: Pair) -> dict[str, Any]:
    details: dict[str, Any] = {"correlations": correlations}
    for name, side in (("x", pair.x), ("y", pair.y)):
        details[f"rank_{name}"] = side.rank
        details[f"condition_{name}"] = side.condition
        details[f"accuracy_{name}"] = side.accuracy
        details[f"constant_features_{name}"] = int(np.count_nonzero(~side.varying))
    return details


@dataclass(frozen=True)
class CCA(Measure):
    """Mean canonical correlation.

    value = (1/k) sum_i rho_i, k = min(rank S_xx, rank S_yy), rho_i the canonical correlations of X (n, d_x) and
    Y (n, d_y); in [0, 1], symmetric. With n <= rank it is 1 whatever the data are: the ranks are in ``details``.

    ridge : kappa >= 0; both scatters become S + kappa tr(S)/d I. The correlations then shrink, and the measure is
        no longer invariant to invertible maps.

    ``details``: correlations; and for each side rank, condition (of the scatter at unit diagonal), accuracy (condition
    times round-off: about how much of a correlation may be rounding) and constant_features.

    References: Hotelling (1936); Raghu et al. (2017), arXiv:1706.05806, section 2; ridge: Vinod (1976).
    """

    ridge: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.ridge < float("inf"):
            raise OptionError(f"CCA: ridge must be a number >= 0: got {self.ridge!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if self.ridge else AFFINE

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        whiten = self._ridged if self.ridge else lambda side: side.whitening
        correlations = canonical_correlations(self, pair, whiten(pair.x), whiten(pair.y))
        correlations = correlations[: min(pair.x.rank, pair.y.rank)]  # a ridge fills up the rank with zeros
        return float(np.mean(correlations)), describe(correlations, pair)

    def _ridged(self, side: Side) -> np.ndarray:
        values, vectors = side.spectrum
        return vectors / np.sqrt(np.maximum(values, 0.0) + self.ridge * side.total / side.n_features)


@dataclass(frozen=True)
class SVCCA(Measure):
    """Singular vector CCA: canonical correlations of the leading principal components of each side.

    value = (1/k) sum_i rho_i over k = min(k_x, k_y), in [0, 1], symmetric. Components are kept per side until they
    hold the fraction ``variance`` of the squared singular values (the explained variance), or ``components`` of them.

    variance : fraction in (0, 1] of squared singular values. 1.0 keeps the whole numerical range: CCA.
    components : a fixed number of components instead, at most the rank.

    ``details``: correlations, components_x, components_y, rank_x, rank_y, explained_variance_x, explained_variance_y.

    References: Raghu et al. (2017), arXiv:1706.05806, section 2.
    """

    variance: float = 0.99
    components: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.components is not None and self.variance != 0.99:
            raise OptionError("SVCCA takes variance= or components=, not both.")
        if not 0 < self.variance <= 1:
            raise OptionError(f"SVCCA: variance must be a fraction in (0, 1]: got {self.variance!r}.")
        if self.components is not None and self.components < 1:
            raise OptionError(f"SVCCA: components must be a whole number >= 1: got {self.components!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        (whiten_x, x), (whiten_y, y) = self._components(pair.x), self._components(pair.y)
        correlations = canonical_correlations(self, pair, whiten_x, whiten_y)
        sides = {f"{key}_{name}": side[key] for name, side in (("x", x), ("y", y)) for key in side}
        return float(np.mean(correlations)), {"correlations": correlations, **sides}

    def _components(self, side: Side) -> tuple[np.ndarray, dict[str, Any]]:
        values, vectors = side.spectrum
        rank = side.rank_of(values)
        explained = np.cumsum(values[:rank]) / np.sum(values[:rank])
        if self.components is not None:
            kept = min(self.components, rank)
        else:
            # the sum may end at 1 - eps, hence the min
            kept = min(int(np.searchsorted(explained, self.variance)) + 1, rank)
        return vectors[:, :kept] / np.sqrt(values[:kept]), {
            "components": kept,
            "rank": rank,
            "explained_variance": float(explained[kept - 1]),
        }


@dataclass(frozen=True)
class PWCCA(Measure):
    """Projection-weighted CCA: canonical correlations weighted by how much of a side they account for.

    value = sum_i alpha_i rho_i / sum_i alpha_i with alpha_i = sum_j |<h_i, x_j>|, h_i the i-th canonical variate of
    the weighting side and x_j its j-th centred feature; in [0, 1]. Not symmetric unless weights="mean".

    weights : ``"x"`` (the first argument, as in the paper), ``"y"``, or ``"mean"``: the mean of both values.

    Invariant to invertible maps of the other side only: the weights see the features of the weighting side.

    Where some correlations coincide and others differ (ranks that add up to more than n - 1 force exact ones), the
    variates of the coinciding ones are defined up to rotation only, and so is the value (about 1e-5 in such cases).

    ``details``: as CCA, and weights (normalised, of the weighting side; for "mean" weights_x and weights_y).

    References: Morcos, Raghu & Bengio (2018), arXiv:1806.05759, section 3.
    """

    weights: str = "x"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "weights", ("x", "y", "mean"))

    @property
    def symmetric(self) -> bool:
        return self.weights == "mean"

    @property
    def invariant_x(self) -> Invariance:
        return AFFINE if self.weights == "y" else _FEATURES

    @property
    def invariant_y(self) -> Invariance:
        return AFFINE if self.weights == "x" else _FEATURES

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        weights_x, correlations, weights_y = pair.canonical
        checked(self, correlations, pair)
        sides = {"x": weights_x, "y": weights_y}
        alphas = {side: sides[side] / sides[side].sum() for side in sides if self.weights in (side, "mean")}
        value = float(np.mean([alpha @ correlations for alpha in alphas.values()]))
        names = {f"weights_{side}" if self.weights == "mean" else "weights": alpha for side, alpha in alphas.items()}
        return value, {**describe(correlations, pair), **names}


_FEATURES = Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION
