"""Measures made of canonical correlations: CCA, SVCCA, PWCCA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair, Side
from ..moments.singular import column_products, singular_values
from .base import AFFINE, SIMILARITY, Invariance, Measure, MomentMeasure, Result, determined, largest_excess, one_of

__all__ = ["CCA", "PWCCA", "SVCCA"]


def canonical_correlations(measure: Measure, pair: Pair, whiten_x: np.ndarray, whiten_y: np.ndarray) -> np.ndarray:
    """Return the singular values of W_x^T S_xy W_y, descending; W^T S W is diagonal on each side (I without ridge)."""
    if pair.x is pair.y:
        own = pair.reader(measure)("own", lambda: column_products(pair.cross @ whiten_x, whiten_x))
        return checked(measure, np.sort(own)[::-1], pair)
    found = pair.known.get(measure)
    if found is None:
        found = pair.known[measure] = singular_values(whiten_x.T @ pair.cross @ whiten_y, pair.reader(measure))
    return checked(measure, found, pair)


def checked(measure: Measure, correlations: np.ndarray, pair: Pair) -> np.ndarray:
    """Return the correlations. Raises DegenerateError if the largest is above 1 by more than rounding."""
    if correlations[0] > 1 + largest_excess(pair.x.epsilon):
        raise DegenerateError(
            f"{measure}: the scatter is too ill-conditioned for the precision of its sums: the largest "
            f"canonical correlation came out as {correlations[0]:.6g}. "
            "Use SVCCA(variance=0.99), CCA(ridge=1e-6) or precision='fp64'."
        )
    return correlations


def describe(correlations: np.ndarray, pair: Pair) -> dict[str, Any]:
    """Return the details of CCA: the correlations, and the numerical properties of each side."""
    details: dict[str, Any] = {"correlations": correlations}
    for name, side in (("x", pair.x), ("y", pair.y)):
        details[f"rank_{name}"] = side.rank
        details[f"condition_{name}"] = side.condition
        details[f"accuracy_{name}"] = side.accuracy
        details[f"constant_features_{name}"] = side.n_features - int(np.count_nonzero(side.varying))
    return details


@dataclass(frozen=True)
class CCA(MomentMeasure):
    """Mean canonical correlation.

    value = (1/k) sum_i rho_i, with k = min(rank S_xx, rank S_yy) and rho_i the canonical correlations of X and Y.

    Range [0, 1]. Symmetric. Invariant to translation and to invertible linear maps of either side; with a ridge, to
    translation, isotropic scaling and orthogonal maps only.

    Parameters
    ----------
    ridge : float, default 0.0
        kappa >= 0; both scatters become S + kappa tr(S) / d I, which shrinks the correlations.

    Notes
    -----
    If the number of rows is at most the rank plus one, the value is 1 whatever the data are: `compare` logs a warning,
    and ``Score.details`` has ``determined=True``.

    ``Score.details`` has ``correlations`` (descending) and, for each side, ``rank``, ``condition`` (of the scatter at
    unit diagonal), ``accuracy`` (condition times round-off: about how much of a correlation may be rounding) and
    ``constant_features`` (their number).

    References
    ----------
    Hotelling (1936), Relations between two sets of variates. Raghu et al. (2017), arXiv:1706.05806, section 2. Ridge:
    Vinod (1976), Journal of Econometrics 4.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.CCA()).value, 4)
    0.6938
    """

    biased_by_few_rows = True

    ridge: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.ridge < float("inf"):
            raise OptionError(f"CCA: ridge must be a number >= 0: got {self.ridge!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if self.ridge else AFFINE

    @property
    def from_gram(self) -> bool:
        return self.ridge > 0

    def evaluate(self, pair: Pair) -> Result:
        correlations = canonical_correlations(self, pair, self.whitening(pair.x), self.whitening(pair.y))
        correlations = correlations[: min(pair.x.rank, pair.y.rank)]  # with a ridge, correlations beyond the rank are 0
        details = describe(correlations, pair)
        if not self.ridge:
            details |= determined(pair.n_samples, pair.x.rank, pair.y.rank)
        return float(correlations.mean()), details

    def whitening(self, side: Side) -> np.ndarray:
        """Return W with W^T (S + ridge) W = I over the numerical range of S."""
        if not self.ridge:
            return side.whitening
        values, vectors = side.spectrum
        return vectors / np.sqrt(np.maximum(values, 0.0) + self.ridge * side.total / side.n_features)


@dataclass(frozen=True)
class SVCCA(MomentMeasure):
    """Singular vector CCA: mean canonical correlation of the leading principal components of each side.

    value = (1/k) sum_i rho_i over k = min(k_x, k_y) correlations, where k_x and k_y components are kept.

    Range [0, 1]. Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either side.

    Parameters
    ----------
    variance : float, default 0.99
        Keep components until they hold this fraction, in (0, 1], of the variance (of the squared singular values).
        1.0 keeps the whole numerical rank, as in CCA.
    components : int, optional
        Keep this number of components instead, at most the rank.

    Notes
    -----
    ``Score.details`` has ``correlations`` and, for each side, ``components``, ``rank`` and ``explained_variance`` (a
    fraction in [0, 1]).

    References
    ----------
    Raghu et al. (2017), arXiv:1706.05806, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.SVCCA(components=3)).value, 4)
    0.4973
    """

    variance: float = 0.99
    components: int | None = None

    invariant_x = SIMILARITY
    from_gram = True

    @property
    def biased_by_few_rows(self) -> bool:
        return self.components is None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.components is not None and self.variance != 0.99:
            raise OptionError("SVCCA takes variance= or components=, not both.")
        if not 0 < self.variance <= 1:
            raise OptionError(f"SVCCA: variance must be a fraction in (0, 1]: got {self.variance!r}.")
        if self.components is not None and self.components < 1:
            raise OptionError(f"SVCCA: components must be a whole number >= 1: got {self.components!r}.")

    def evaluate(self, pair: Pair) -> Result:
        (whiten_x, x), (whiten_y, y) = self._components(pair.x), self._components(pair.y)
        correlations = canonical_correlations(self, pair, whiten_x, whiten_y)
        sides = {f"{key}_{name}": side[key] for name, side in (("x", x), ("y", y)) for key in side}
        sides |= determined(pair.n_samples, x["components"], y["components"])
        return float(np.mean(correlations)), {"correlations": correlations, **sides}

    def whitening(self, side: Side) -> np.ndarray:
        """Return W with W^T S W = I over the components that are kept."""
        return self._components(side)[0]

    def _components(self, side: Side) -> tuple[np.ndarray, dict[str, Any]]:
        values, (there, vectors) = side.eigenvalues, side.spectrum
        rank = side.rank_of(values)
        explained = np.cumsum(values[:rank]) / np.sum(values[:rank])
        if self.components is not None:
            kept = min(self.components, rank)
        else:
            # the last cumulative sum may be 1 - eps, hence the min
            kept = min(int(np.searchsorted(explained, self.variance)) + 1, rank)
        return vectors[:, :kept] / np.sqrt(there[:kept]), {
            "components": kept,
            "rank": rank,
            "explained_variance": float(explained[kept - 1]),
        }


@dataclass(frozen=True)
class PWCCA(MomentMeasure):
    """Projection-weighted CCA: canonical correlations weighted by how much of one side they account for.

    value = sum_i alpha_i rho_i / sum_i alpha_i with alpha_i = sum_j |<h_i, x_j>|, where h_i is the i-th canonical
    variate of the weighting side and x_j its j-th centred feature.

    Range [0, 1]. Symmetric only with ``weights="mean"``. Invariant to translation, isotropic scaling and permutation of
    the features of the weighting side, and to invertible linear maps of the other side.

    Parameters
    ----------
    weights : {"x", "y", "mean"}, default "x"
        The weighting side: X as in the paper, Y, or the mean of both values.

    Notes
    -----
    Where some correlations are equal and others are not (always if the ranks add up to more than the number of rows),
    variates of equal correlations are defined only up to rotation, and the value varies by about 1e-5.

    ``Score.details`` has the entries of `CCA` and ``weights`` (normalised; for "mean" ``weights_x`` and ``weights_y``).

    References
    ----------
    Morcos, Raghu & Bengio (2018), arXiv:1806.05759, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.PWCCA()).value, 4)
    0.6941
    """

    biased_by_few_rows = True

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

    def evaluate(self, pair: Pair) -> Result:
        weights_x, correlations, weights_y = pair.canonical
        checked(self, correlations, pair)
        sides = {"x": weights_x, "y": weights_y}
        alphas = {side: sides[side] / sides[side].sum() for side in sides if self.weights in (side, "mean")}
        value = float(np.mean([alpha @ correlations for alpha in alphas.values()]))
        names = {f"weights_{side}" if self.weights == "mean" else "weights": alpha for side, alpha in alphas.items()}
        details = {**describe(correlations, pair), **determined(pair.n_samples, pair.x.rank, pair.y.rank)}
        return value, {**details, **names}


_FEATURES = Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION
